"""Gate: several margin accounts in one run, each with its own leverage. A jump of the market liquidates one, and the
others trade on as if they were alone, also across kills and changed code."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_processes import check_killed, left_alone
from gate_runs import finish, play, prove, resume, state
from test_margin_runs import cut, of, path_of, places, run_config

from tickdeck import bootstrap
from tickdeck.application.drivers import simulation
from tickdeck.bootstrap import Run, open_record, start_run, trade_journal
from tickdeck.domain.events import (
    DomainEvent,
    MarginCallEvent,
    OrderFilledEvent,
    PositionLiquidatedEvent,
    ProtectionEndedEvent,
    RiskLimitBreachedEvent,
    RunResumed,
    VenueOrderReported,
)
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, config_from_dict
from tickdeck.infrastructure.reporting import run_session

D = Decimal
TRADER = '''
from decimal import Decimal
from tickdeck import Strategy
class Trader(Strategy):
    """Buys early, with a stop below, has an order far from the market, and buys and sells a little all the time."""
    seen = 0
    def on_trade(self, trade):
        self.seen += 1
        if self.seen == 3:
            self.buy(trade.symbol, Decimal("4"), stop_loss=Decimal("71"), reason="bold")
        elif self.seen == 8:
            self.buy(trade.symbol, Decimal("0.1"), Decimal("60"), reason="patient")
        elif self.seen > 10 and self.seen % 3 == 0:
            self.buy(trade.symbol, Decimal("0.2"), reason="more")
        elif self.seen > 10 and self.seen % 3 == 1:
            self.sell(trade.symbol, Decimal("0.1"), reason="less")
'''
ACCOUNTS = {
    "bold": AccountConfig(exchange="paper", owner="Ben"),  # with the leverage of [paper]
    "calm": AccountConfig(exchange="paper", owner="Cleo", leverage=D(2), balances={"USDT": D(300)}),
    "timid": AccountConfig(exchange="paper", leverage=D(1), balances={"USDT": D(700)}),
}
JUMP = path_of(95, 92, 78, 79, 82, 85, 84, 75, 76)
"""From 92 to 78: beyond the liquidation of a leverage of 5, and of no smaller one."""
FALL = path_of(95, 90, 85, 82, 81, 80, 75, 70, 55, 51, 45, 60)
"""It reaches the stops, too."""


def several(folder: Path, prices: list[str], *names: str, **settings: Any) -> RunConfig:
    """A run in which a strategy trades with each of these accounts. They are the only ones."""
    wanted = run_config(folder, prices, jitter_ns=0)
    (folder / "trader.py").write_text(TRADER)
    return msgspec.structs.replace(
        wanted,
        accounts={name: ACCOUNTS[name] for name in names},
        strategies=tuple(StrategyConfig(spec=f"{folder / 'trader.py'}:Trader", account=name) for name in names),
        **settings,
    )


def by_account(folder: Path, kind: type[DomainEvent]) -> list[str]:
    return [event.account_id for event in of(folder, kind)]  # type: ignore[attr-defined]


def books(run: Run, name: str) -> dict[str, Any]:
    """What an account has at the end, without the names of its orders."""
    one = run.core.account(name)
    account, held = one.portfolio.account, one.risk.protections.book.protections.values()
    trips = [trip for trip in trade_journal(run.folder).closed if trip.account_id == name]
    return {
        "balances": account.balances,
        "positions": {s: (p.quantity, p.cost, p.realized_pnl) for s, p in account.positions.items()},
        "fees": account.fees(),
        "equity": one.portfolio.equity(),
        "orders": one.execution.submitted,
        "stops": [(p.held, p.stop()) for p in held],
        "trips": [(t.entry_ts, t.exit_ts, t.quantity, t.pnl, t.exit_reason) for t in trips],
        "refused": by_account(run.folder, RiskLimitBreachedEvent).count(name),
        "called": by_account(run.folder, MarginCallEvent).count(name),
        "liquidated": by_account(run.folder, PositionLiquidatedEvent).count(name),
        "at the venue": _at_the_venue(run, name),
    }


def _at_the_venue(run: Run, name: str) -> dict[str, Any]:
    account = run.venue.accounts[name]
    return {c: (account.total(c), account.locked(c), account.free(c)) for c in account.currencies}


def _by_liquidation(event: DomainEvent) -> bool:
    return isinstance(event, VenueOrderReported) and event.reason == "the position is liquidated"


@pytest.mark.long
@pytest.mark.parametrize("prices", [JUMP, FALL])
def test_each_account_has_the_books_that_it_would_have_alone(tmp_path: Path, prices: list[str]) -> None:
    together = play(several(tmp_path, prices, *ACCOUNTS), tmp_path / "together")

    prove(together.folder)
    for name in ACCOUNTS:
        alone = play(several(tmp_path, prices, name), tmp_path / name)
        assert books(together, name) == books(alone, name)
    summary, session = together.summary(1.0), run_session(together.manifest, list(open_record(together.folder)))
    assert summary.equity == sum(one.equity for one in summary.accounts) == session.equity
    assert (session.pnl, session.fees) == (summary.pnl, summary.fees)


def test_a_jump_liquidates_one_and_the_others_trade_on(tmp_path: Path) -> None:
    run = play(several(tmp_path, JUMP, *ACCOUNTS), tmp_path / "data")

    [liquidated] = of(run.folder, PositionLiquidatedEvent)
    assert isinstance(liquidated, PositionLiquidatedEvent)
    assert (liquidated.account_id, liquidated.user_id) == ("bold", "Ben")
    after = [event for event in of(run.folder, OrderFilledEvent) if event.seq > liquidated.seq]
    assert {event.account_id for event in after} == {*ACCOUNTS}  # type: ignore[attr-defined]
    ended = [event for event in of(run.folder, VenueOrderReported) if _by_liquidation(event)]
    assert {event.account_id for event in ended} == {"bold"}  # type: ignore[attr-defined]
    held = {name: run.core.account(name).risk.exposure.position("BTCUSDT") for name in ACCOUNTS}
    assert held["calm"] > 4 < held["timid"]


def test_a_liquidation_shrinks_only_the_stops_of_its_account(tmp_path: Path) -> None:
    run = start_run(several(tmp_path, JUMP, *ACCOUNTS), tmp_path / "data")
    held: dict[str, dict[str, Decimal]] = {}  # by the stops of each account, when it begins and when it is over

    def look(event: DomainEvent) -> None:
        stops = {name: run.core.account(name).risk.protections.book.protections.values() for name in ACCOUNTS}
        now = {name: sum((stop.held for stop in of_one), D(0)) for name, of_one in stops.items()}
        if _by_liquidation(event):
            held.setdefault("before", now)
        elif isinstance(event, ProtectionEndedEvent):
            held.setdefault("after", now)

    run.kernel.subscribe(DomainEvent, look, component="test")
    finish(run)

    [liquidated] = of(run.folder, PositionLiquidatedEvent)
    ended = of(run.folder, ProtectionEndedEvent)[0]
    assert isinstance(ended, ProtectionEndedEvent)
    assert (ended.account_id, ended.causation_id) == ("bold", liquidated.event_id)
    assert min(held["before"].values()) > 0
    assert held["after"] == {**held["before"], "bold": 0}


def test_a_smaller_leverage_of_its_own_needs_more_margin(tmp_path: Path) -> None:
    wanted = several(tmp_path, JUMP, "bold", "calm")
    poor = {**wanted.accounts, "calm": AccountConfig(exchange="paper", leverage=D(2), balances={"USDT": D(100)})}
    run = play(msgspec.structs.replace(wanted, accounts=poor), tmp_path / "data")

    breach = of(run.folder, RiskLimitBreachedEvent)[0]
    assert isinstance(breach, RiskLimitBreachedEvent)
    assert (breach.account_id, breach.limit) == ("calm", "margin")
    assert "a margin of 200.00 USDT at a leverage of 2" in breach.detail


def test_an_account_with_leverage_beside_one_that_pays_in_full(tmp_path: Path) -> None:
    wanted = several(tmp_path, JUMP, "calm", "timid")
    accounts = {"calm": ACCOUNTS["calm"], "timid": msgspec.structs.replace(ACCOUNTS["timid"], leverage=None)}
    paper = msgspec.structs.replace(wanted.paper, leverage=None)
    run = play(msgspec.structs.replace(wanted, accounts=accounts, paper=paper), tmp_path / "data")

    prove(run.folder)
    at_venue = {name: (account.total("USDT"), account.free("USDT")) for name, account in run.venue.accounts.items()}
    assert at_venue["timid"][0] > at_venue["timid"][1] > 0  # it locks what an open order may cost
    assert at_venue["calm"][0] < 0 < at_venue["calm"][1]
    says = [line for line in run.venue.assumptions() if line.startswith("Account ")]
    assert [line.split(":")[0] for line in says] == ["Account calm", "Account timid"]
    assert "leverage of 2" in says[0]
    assert "leverage" not in says[1]


@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True])
def test_it_goes_on_the_same_wherever_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    wanted = several(tmp_path, FALL, "bold", "calm")
    whole = play(wanted, tmp_path / "whole")
    seqs = places(whole.folder)
    assert len(by_account(whole.folder, PositionLiquidatedEvent)) >= 1
    for name in ("_CHUNK", "_TURN"):  # a run may be stopped after each input
        monkeypatch.setattr(simulation, name, 1)
    for number, seq in enumerate(sorted({seq + step for seq in seqs for step in (-3, -1, 0)})):
        folder = cut(wanted, tmp_path / str(number), seq)
        with monkeypatch.context() as patch:
            if changed:
                patch.setattr(bootstrap.strategies, "code_digest", lambda number=number: f"other {number}")
            run = resume(folder)
        for kind in (MarginCallEvent, PositionLiquidatedEvent):
            assert by_account(folder, kind) == by_account(whole.folder, kind)
        assert len(of(folder, RunResumed)) == changed
        if not changed:
            assert state(run) == state(whole)
        prove(folder)


@pytest.mark.slow
@pytest.mark.parametrize("state_every", [0, 500], ids=["executed again", "from snapshots"])
def test_it_is_killed_and_ends_as_if_uninterrupted(state_every: int, tmp_path: Path) -> None:
    slowly = [price for price in FALL for _ in range(4)]  # so that it is not over at once
    alone = left_alone(several(tmp_path, slowly, *ACCOUNTS, state_every=state_every), tmp_path)

    check_killed(alone, tmp_path, 0.3, 0.6)


@pytest.mark.parametrize(
    ("account", "paper", "wanted"),
    [
        ({"leverage": "0.5"}, {}, "accounts.bob.leverage is 0.5; give a number from 1 on"),
        ({"leverage": "many"}, {}, "accounts.bob.leverage is 'many'"),
        ({"leverage": 300}, {}, "accounts.bob: with a leverage of 300, a new position would have a margin call"),
        ({"leverage": 2, "balances": {"BTC": 1}}, {}, "a margin account begins with USDT alone, but balances has BTC"),
        ({}, {"leverage": 2, "balances": {"BTC": 1}}, "a margin account begins with USDT alone, but balances has BTC"),
        (
            {"exchange": "binance", "credentials": "env:A", "leverage": 2},
            {},
            "leverage is that of a paper account; omit it",
        ),
    ],
)
def test_wrong_terms_are_refused_with_one_clear_line(
    account: dict[str, Any], paper: dict[str, Any], wanted: str, tmp_path: Path
) -> None:
    data = {
        "account": "alice",
        "accounts": {"alice": {"exchange": "paper"}, "bob": {"exchange": "paper"} | account},
        "paper": paper,
    }
    with pytest.raises(ConfigError, match=wanted) as error:
        start_run(config_from_dict(data), tmp_path)

    assert len(error.value.lines) == 1
    assert not list(tmp_path.iterdir())


def test_a_leverage_that_is_high_for_the_default_maintenance_fits_a_lower_one(tmp_path: Path) -> None:
    bob = {"exchange": "paper", "leverage": 150}
    run = play(config_from_dict({"accounts": {"bob": bob}, "paper": {"maintenance": "0.1%"}, "duration": 1}), tmp_path)

    assert run.venue.account.margin is not None
    assert run.venue.account.margin.terms.leverage == 150
