"""Gate: a live run with a leader and two followers, each with an account of its own at an exchange on localhost, one of
whom cannot pay, is killed again and again, and ends as the exchange says to the last digit."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path

import pytest
from gate_processes import ask, kill_live
from msgspec.structs import replace
from test_live_orders import DAY, LIMITS, STRATEGIES, finish, short_lag, shorten_lag
from test_queries import answers_of, folded

from tickdeck.bootstrap import LiveRun, open_record, start_live_run, verify_run
from tickdeck.domain.events import (
    AccountDifferenceFound,
    DomainEvent,
    OrderSubmittedEvent,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeReservedEvent,
    TradingHalted,
    TwoPhaseTradeEvent,
    VenueFillReported,
)
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.config_copy import CopyConfig

assert short_lag  # a fixture of every test here
assert folded  # a fixture
NAMES = ("ada", "bob", "carol")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(f"{name.upper()}_API_KEY", f"{name}-key")
        monkeypatch.setenv(f"{name.upper()}_API_SECRET", f"{name}-secret")


@pytest.fixture
def venue(venue_process: str) -> str:
    """The URL of an exchange with the three accounts."""
    for name, cash in zip(NAMES, ("100000", "50000", "1"), strict=True):
        account = {"name": name, "key": f"{name}-key", "secret": f"{name}-secret", "deposits": {"USDT": cash}}
        ask(venue_process, "account", account)
    return venue_process


def config(url: str, seconds: int) -> RunConfig:
    return RunConfig(
        strategies=(StrategyConfig(spec=f"{STRATEGIES}:Busy", account="ada"),),
        exchange="binance",
        exchange_url=url,
        live=True,
        accounts={
            name: AccountConfig(exchange="binance", credentials=f"env:{name.upper()}", owner=name.title())
            for name in NAMES
        },
        copy=(
            CopyConfig(leader="strategy:Busy", follower="bob", size={"multiple": "0.5"}),
            CopyConfig(leader="account:ada", follower="carol", size={"fixed": 100}),
        ),
        risk=LIMITS,
        duration=Decimal(seconds),
    )


def killable(url: str) -> RunConfig:
    """For a process that is killed (``kill_live``)."""
    shorten_lag(setattr)
    return config(url, DAY)


def check(run: LiveRun, url: str) -> list[TwoPhaseTradeEvent]:
    """Each account is as the exchange says, and the record is proven. Returns the events of trades."""
    events = list(open_record(run.folder))
    assert not [event for event in events if isinstance(event, AccountDifferenceFound)]
    for name in NAMES:
        engines = run.core.account(name)
        truth = {order["client_id"]: order for order in ask(url, f"orders?account={name}")}
        sent = [e.order_id for e in events if isinstance(e, OrderSubmittedEvent) and e.account_id == name]
        assert len(set(sent)) == len(sent)
        assert set(truth) <= set(sent)
        for order_id, there in truth.items():
            assert engines.execution.orders[order_id].filled == Decimal(there["filled"]), order_id
        fills = {
            (e.symbol, e.venue_trade_id) for e in events if isinstance(e, VenueFillReported) and e.account_id == name
        }
        assert len(fills) == len(ask(url, f"fills?account={name}"))
        for currency, amounts in ask(url, f"balances?account={name}")[name].items():
            total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
            assert engines.portfolio.account.balances.get(currency, Decimal(0)) == total, (name, currency)
    trades = [event for event in events if isinstance(event, TwoPhaseTradeEvent)]
    executed = {event.order_id: event for event in trades if isinstance(event, TradeExecutedEvent)}
    for order_id, there in {o["client_id"]: o for o in ask(url, "orders?account=bob")}.items():
        if Decimal(there["filled"]):
            assert executed[order_id].executed_quantity == Decimal(there["filled"])
        else:
            assert order_id not in executed
    reserved = [event.trade_id for event in trades if isinstance(event, TradeReservedEvent)]
    assert len(set(reserved)) == len(reserved)
    assert {type(event) for event in trades if event.account_id == "carol"} == {TradeFailedEvent}
    verdict, _ = verify_run(run.folder)
    assert verdict.identical, verdict.divergence
    return trades


def test_a_ban_of_one_account_stops_all_of_them_because_they_use_one_address(tmp_path: Path) -> None:
    run = start_live_run(config("http://127.0.0.1:1", 1), tmp_path)
    try:
        ada, bob, carol = run.limiters.values()
        bob.stop(60)
        assert min(limiter.stopped_for() for limiter in (ada, carol)) > 0
        assert all(any(check.problem(1) for check in watched.checks) for watched in run._watched)
    finally:
        run.close()


def test_followers_copy_a_leader_at_the_exchange_and_one_that_cannot_pay_touches_nobody(
    venue: str, tmp_path: Path, folded: list[DomainEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickdeck.bootstrap.core_snapshots._SHARE", 0)  # however long a snapshot takes
    run = start_live_run(replace(config(venue, 6), state_every=200), tmp_path)
    try:
        asyncio.run(run.drive(None))
    finally:
        run.close()

    folded.clear()
    from_snapshot, behind = answers_of(run.folder), len(folded)
    for path in (run.folder / "states").glob("*.json"):
        path.unlink()
    assert answers_of(run.folder) == from_snapshot
    assert behind < len(folded) - behind

    trades = check(run, venue)
    assert len({event.trade_id for event in trades if event.account_id == "bob"}) > 3
    assert {event.user_id for event in trades} == {"Bob", "Carol"}
    assert not any(isinstance(event, TradingHalted) for event in open_record(run.folder))


@pytest.mark.slow
@pytest.mark.parametrize("venue_process", ["", "seed=3 drop_ack=0.05 late_fill=0.2:500ms"], indirect=True)
def test_killed_twenty_times_it_ends_as_the_exchange_says(venue: str, tmp_path: Path) -> None:
    rng = random.Random(7)
    for _ in range(20):
        kill_live(tmp_path, killable, venue, turns=rng.randrange(5, 40))
    (folder,) = tmp_path.iterdir()
    run = finish(folder)
    trades = check(run, venue)
    assert len({event.trade_id for event in trades if event.account_id == "bob"}) > 3
    assert all(copy.status.is_final for engine in run.core.copies for copy in engine.ledger.copies.values())
