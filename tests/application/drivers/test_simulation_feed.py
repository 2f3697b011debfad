"""The feed events and backtest events that a simulated run publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from application_kit import BTC, MS, START
from simulation_rig import Rig, market

from tickdeck.application.drivers import simulation
from tickdeck.domain.events import (
    BacktestCompleted,
    DomainEvent,
    TradeEvent,
)
from tickdeck.errors import InputError


def figures(inputs: int) -> BacktestCompleted:
    return BacktestCompleted(
        inputs=inputs, equity=Decimal(1), pnl=Decimal(0), fees=Decimal(0), max_drawdown=0.0, trades=0
    )


def test_the_feed_is_connected_before_the_first_market_data_and_disconnected_when_it_ends() -> None:
    rig = Rig(market(0, 5), begin=Rig.report_at)
    rig.kernel.subscribe("run.started", lambda e: rig.report_at(START + 7))
    rig.run()

    types = [e.event_type for e in rig.tape.events]
    assert types == [
        "run.started",
        "feed.connected",
        "venue.order_reported",
        "market.trade",
        "market.trade",
        "feed.disconnected",
        "venue.order_reported",
        "run.stopped",
    ]
    connected, disconnected = rig.tape.events[1], rig.tape.events[5]
    assert connected.payload == {"feed": "test", "symbols": (BTC,)}
    assert disconnected.payload == {"feed": "test", "symbols": (BTC,), "reason": "end of market data"}
    assert (connected.ts_ingress, disconnected.ts_ingress, connected.source) == (START, START + 5, "driver")


def test_a_run_that_is_stopped_from_outside_is_still_connected() -> None:
    rig = Rig(market(*range(0, 20_000 * MS, MS))).run(stop=lambda: True)
    assert rig.tape.events[-1].event_type == "feed.connected"


def test_a_backtest_reports_its_progress_and_its_final_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "_PROGRESS", 32)
    rig = Rig(market(*range(100)), figures=figures).run()

    told = [e for e in rig.tape.events if e.event_type.startswith("backtest.")]
    assert [e.event_type for e in told] == ["backtest.started", *["backtest.progressed"] * 3, "backtest.completed"]
    assert told[0].payload == {"strategies": ("s",), "symbols": (BTC,), "first_ts": START}
    assert [(e.payload["inputs"], e.payload["reached_ts"] - START) for e in told[1:4]] == [(32, 31), (64, 63), (96, 95)]
    assert told[4].payload["inputs"] == 100
    assert rig.log[-2:] == ["backtest.completed", "run.stopped"]


@pytest.mark.parametrize("speed", [1.0, 1e9])
def test_a_backtests_progress_is_the_same_at_any_speed(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "_PROGRESS", 32)

    def events(speed: float | None, **options: Callable[..., object]) -> list[DomainEvent]:
        return Rig(market(*range(0, 100 * MS, MS)), figures=figures, duration=90 * MS).run(speed, **options).tape.events

    assert events(speed) == events(None)
    looks = iter([False, True])
    assert events(speed, pace_from=lambda: next(looks, True)) == events(None)


def test_a_backtest_whose_trading_was_halted_by_an_error_has_failed() -> None:
    rig = Rig(market(0, 1), figures=figures)
    rig.kernel.subscribe(TradeEvent, lambda e: 1 / 0, component="risk")
    rig.run()

    assert rig.log[-2:] == ["backtest.failed", "run.stopped"]
    assert rig.tape.events[-2].payload == {"inputs": 2, "reason": "an error in the core halted trading"}


@pytest.mark.parametrize("speed", [None, 1e9])
@pytest.mark.parametrize("backtest", [True, False])
def test_broken_market_data_is_recorded_before_the_run_ends(speed: float | None, backtest: bool) -> None:
    def broken() -> Iterator[TradeEvent]:
        yield from market(*range(20))
        raise InputError("line 21: not a trade")

    rig = Rig(broken(), figures=figures if backtest else None)
    with pytest.raises(InputError, match="line 21"):
        rig.run(speed)

    failed = ["backtest.failed"] if backtest else []
    assert [e.event_type for e in rig.tape.events[23 + backtest - 1 :]] == [
        "system.error",
        "feed.disconnected",
        *failed,
    ]
    error = next(e for e in rig.tape.events if e.event_type == "system.error")
    assert error.payload == {"component": "driver", "error": "InputError", "message": "line 21: not a trade"}
    if backtest:
        assert rig.tape.events[-1].payload == {"inputs": 20, "reason": "InputError: line 21: not a trade"}
    assert not rig.simulation.completed
