"""Gate: leveraged runs are liquidated once, at the stated price, provably, and also across a kill and changed code."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from gate_runs import finish, play, resume

from tickdeck import bootstrap
from tickdeck.application.drivers import simulation
from tickdeck.bootstrap import open_record, start_run, trade_journal, verify_run
from tickdeck.domain.events import (
    DomainEvent,
    MarginCallEvent,
    OrderFilledEvent,
    PositionClosedEvent,
    PositionLiquidatedEvent,
    RiskLimitBreachedEvent,
    RunResumed,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig

D = Decimal
BOLD = '''
from decimal import Decimal
from tickdeck import Strategy
class Bold(Strategy):
    """Takes a position with nearly all of its margin, once, and then asks for more than it has."""
    side = "buy"
    asked = 0
    def on_trade(self, trade):
        self.asked += 1
        if self.asked == 3:
            getattr(self, self.side)(trade.symbol, Decimal("4.5"), reason="bold")
        elif self.asked == 9:
            getattr(self, self.side)(trade.symbol, Decimal("40"), reason="bolder")
'''


def run_config(folder: Path, prices: list[str], side: str = "buy", **paper: object) -> RunConfig:
    folder.mkdir(exist_ok=True)
    (folder / "bold.py").write_text(BOLD.replace('"buy"', f'"{side}"'))
    rows = ["local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms"]
    for n, price in enumerate(prices):
        ms = 1_723_161_254_000 + n * 400
        rows.append(f"{ms}000000,binance-spot,BTCUSDT,{2 * n + 1},{price},50,false,{ms},{ms}")
        rows.append(f"{ms + 1}000000,binance-spot,BTCUSDT,{2 * n + 2},{price},50,true,{ms + 1},{ms + 1}")
    (folder / "trades.csv").write_text("\n".join(rows) + "\n")
    terms: dict[str, object] = {"leverage": D(5), "maintenance": D("0.01"), "margin_call": D(2)}
    return RunConfig(
        strategies=(StrategyConfig(spec=f"{folder / 'bold.py'}:Bold"),),
        tapes=(TapeConfig(path=str(folder / "trades.csv")),),
        paper=PaperConfig(balances={"USDT": D(100)}, **(terms | paper)),  # type: ignore[arg-type]
        risk=RiskLimits(),
    )


def path_of(*steps: int) -> list[str]:
    """Flat at 100, then these prices, three times each."""
    return ["100"] * 8 + [f"{price}.00" for price in steps for _ in range(3)]


DOWN = path_of(95, 90, 85, 82, 81, 80, 79, 78, 90, 70)
UP = path_of(105, 110, 115, 117, 118, 119, 120, 130, 100, 140)


def of(folder: Path, kind: type[DomainEvent]) -> list[DomainEvent]:
    return [event for event in open_record(folder) if isinstance(event, kind)]


@pytest.mark.parametrize(("side", "prices"), [("buy", DOWN), ("sell", UP)])
def test_a_position_is_liquidated_exactly_once_at_the_stated_price(
    tmp_path: Path, side: str, prices: list[str]
) -> None:
    run = play(run_config(tmp_path, prices, side), tmp_path / "data")

    [filled] = of(run.folder, OrderFilledEvent)
    assert isinstance(filled, OrderFilledEvent)
    [call] = of(run.folder, MarginCallEvent)
    [liquidated] = of(run.folder, PositionLiquidatedEvent)
    assert isinstance(call, MarginCallEvent)
    assert isinstance(liquidated, PositionLiquidatedEvent)
    entry, sign = Fraction(filled.price), 1 if side == "buy" else -1
    exact = entry * (1 - sign * Fraction(1, 5)) / (1 - sign * Fraction(1, 100))
    assert 0 <= (exact - Fraction(call.liquidation_price)) * sign < Fraction(1, 100)
    reached = next(Fraction(p) for p in prices if (Fraction(p) - exact) * sign <= 0)
    jumped_to = min(exact, reached) if sign > 0 else max(exact, reached)
    assert abs(Fraction(liquidated.price) - jumped_to) < Fraction(1, 100)
    assert (liquidated.quantity, liquidated.side) == (filled.quantity, "sell" if side == "buy" else "buy")
    assert call.seq < liquidated.seq

    account = run.core.portfolio.account
    assert account.position("BTCUSDT").is_flat
    assert account.balances["BTC"] == 0
    assert account.balances["USDT"] == run.core.portfolio.equity()
    assert 100 - account.balances["USDT"] <= filled.price * filled.quantity / 5 + 1  # its margin, and the fees
    assert run.core.risk.exposure.position("BTCUSDT") == 0
    assert len(of(run.folder, PositionClosedEvent)) == 1
    [trip] = trade_journal(run.folder).closed
    assert (trip.exit_reason, trip.exit_price, trip.pnl) == (
        "liquidated",
        liquidated.price,
        account.balances["USDT"] - 100,
    )
    assert verify_run(run.folder)[0].identical


def test_risk_refuses_what_the_margin_does_not_reach(tmp_path: Path) -> None:
    run = play(run_config(tmp_path, path_of(101)), tmp_path / "data")

    [breach] = of(run.folder, RiskLimitBreachedEvent)
    assert isinstance(breach, RiskLimitBreachedEvent)
    assert breach.limit == "margin"
    assert "margin of 800.00 USDT at a leverage of 5" in breach.detail


def test_without_leverage_nothing_is_liquidated(tmp_path: Path) -> None:
    run = play(run_config(tmp_path, UP, "sell", leverage=None, short_selling=True), tmp_path / "data")
    assert of(run.folder, PositionLiquidatedEvent) == []


def cut(wanted: RunConfig, data: Path, seq: int) -> Path:
    """The folder of a run that was stopped after the input that led to event ``seq``."""
    run = start_run(wanted, data)
    return finish(run, stop=lambda: run.kernel.seq >= seq).folder


def places(folder: Path) -> list[int]:
    """The ``seq`` of everything that the venue reports of the margin."""
    return [e.seq for e in open_record(folder) if e.event_type.startswith(("venue.margin", "venue.liquidation"))]


@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("prices", [DOWN, path_of(95, 60)])
def test_it_is_liquidated_once_wherever_the_run_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool, prices: list[str]
) -> None:
    whole = play(run_config(tmp_path, prices), tmp_path / "whole")
    [wanted] = of(whole.folder, PositionLiquidatedEvent)
    assert isinstance(wanted, PositionLiquidatedEvent)
    calls = len(of(whole.folder, MarginCallEvent))
    seqs = places(whole.folder)
    for name in ("_CHUNK", "_TURN"):  # a run may be stopped after each input
        monkeypatch.setattr(simulation, name, 1)
    for number, seq in enumerate(sorted({seq + step for seq in seqs for step in (-3, -2, -1, 0)})):
        folder = cut(run_config(tmp_path, prices), tmp_path / str(number), seq)
        with monkeypatch.context() as patch:
            if changed:
                patch.setattr(bootstrap.strategies, "code_digest", lambda number=number: f"other {number}")
            run = resume(folder)
            [liquidated] = of(folder, PositionLiquidatedEvent)
            assert isinstance(liquidated, PositionLiquidatedEvent)
            assert (liquidated.price, liquidated.quantity) == (wanted.price, wanted.quantity)
            assert len(of(folder, MarginCallEvent)) == calls
            assert run.core.portfolio.account.position("BTCUSDT").is_flat
            assert run.core.portfolio.equity() == whole.core.portfolio.equity()
            assert len(of(folder, RunResumed)) == changed
            assert verify_run(folder)[0].identical


def test_rules_wait_after_a_liquidation(tmp_path: Path) -> None:
    wanted = run_config(tmp_path, DOWN)
    rules = {"enter": "price > 1", "quantity": "4.5", "cooldown": "1d"}
    wanted = msgspec.structs.replace(
        wanted,
        strategies=(StrategyConfig(spec="rules", parameters=rules),),
        paper=msgspec.structs.replace(wanted.paper, balances={"USDT": D(300)}),
    )
    run = play(wanted, tmp_path / "data")

    assert len(of(run.folder, PositionLiquidatedEvent)) == 1
    assert len(of(run.folder, OrderFilledEvent)) == 1
    assert verify_run(run.folder)[0].identical
