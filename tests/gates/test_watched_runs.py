"""Runs with all optional features - snapshots, heartbeats, stale feeds, a backtest's progress, a market maker that
amends - are repeated, continued and proven like any other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from gate_runs import CAPTURES, config, dump, head_of_capture, play, play_until, prove, resume, tape_of

from tickdeck.bootstrap import resume_run, start_run, verify_run
from tickdeck.domain.events import BacktestCompleted, CommandReceived, DomainEvent, OrderFilledEvent
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.tape import SqliteTapeReader

WATCHED = config(
    "market-maker",
    "Busy",
    symbols=("BTCUSDT", "ETHUSDT"),
    seconds=12,
    snapshots="250ms",
    stale_after="2s",
    heartbeat="1s",
    backtest=True,
)


def types(folder: Path) -> Counter[str]:
    with SqliteTapeReader(tape_of(folder)) as tape:
        return Counter(event.event_type for event in tape.read())


def test_a_watched_run_has_the_requested_events_and_is_proven(tmp_path: Path) -> None:
    run = play(WATCHED, tmp_path)

    found = types(run.folder)
    assert found["system.heartbeat"] == 12
    assert found["market.snapshot"] > 40
    assert found["order.amended"]
    assert (found["backtest.started"], found["backtest.completed"]) == (1, 1)
    assert (found["feed.connected"], found["feed.disconnected"]) == (1, 1)
    assert found["strategy.created"] == 2
    assert found["state.updated"] == found["venue.fill_reported"] > 0
    prove(run.folder)


def test_two_watched_runs_are_equal_to_the_byte(tmp_path: Path) -> None:
    assert dump(play(WATCHED, tmp_path / "one").folder) == dump(play(WATCHED, tmp_path / "two").folder)


def test_a_watched_run_that_was_stopped_continues_as_if_uninterrupted(tmp_path: Path) -> None:
    whole = play(WATCHED, tmp_path / "whole")
    folder = play_until(WATCHED, tmp_path / "stopped", inputs=1_000)
    assert types(folder)["backtest.completed"] == 0

    resume(folder)

    assert dump(folder) == dump(whole.folder)


def test_the_ticks_of_a_watched_run_are_its_market_data_alone(tmp_path: Path) -> None:
    run = play(WATCHED, tmp_path)
    found = types(run.folder)
    market = sum(found[name] for name in ("market.trade", "market.tick", "market.book", "market.book_delta"))
    assert run.summary(1.0).ticks == market


def test_disabled_features_leave_nothing_on_the_tape(tmp_path: Path) -> None:
    found = types(play(config("market-maker", seconds=5), tmp_path).folder)
    assert not [name for name in found if name in ("market.snapshot", "system.heartbeat", "feed.stale", "timer.fired")]
    assert not [name for name in found if name.startswith("backtest.")]


def test_a_run_controlled_by_commands_is_proven_from_its_record(tmp_path: Path) -> None:
    """No later execution receives the commands, and none needs them: they are on the tape."""
    run = start_run(WATCHED, tmp_path)
    script = {
        200: CommandReceived(command="strategy-pause", arguments={"strategy_id": "Busy"}),
        300: CommandReceived(command="strategy-update", arguments={"strategy_id": "market-maker", "threshold": "1"}),
        400: CommandReceived(command="halt", reason="lunch"),
        500: CommandReceived(command="resume"),
        600: CommandReceived(command="strategy-activate", arguments={"strategy_id": "Busy"}),
        700: CommandReceived(command="strategy-delete", arguments={"strategy_id": "market-maker"}),
        800: CommandReceived(command="strategy-pause", arguments={"strategy_id": "market-maker"}),
    }
    on_market, numbers = run.simulation._on_market, count(1)

    def steer(event: DomainEvent) -> None:
        on_market(event)
        command = script.pop(next(numbers), None)
        if command is not None:
            run.kernel.feed(command)

    run.simulation._on_market = steer
    try:
        asyncio.run(run.simulation.run())
    finally:
        run.close()

    found = types(run.folder)
    assert not script
    assert (found["strategy.paused"], found["strategy.activated"]) == (1, 3)
    assert (found["strategy.updated"], found["strategy.deleted"], found["system.warning"]) == (1, 1, 1)
    assert (found["trading.halted"], found["trading.resumed"], found["notification.alert"]) == (1, 1, 1)
    prove(run.folder)


def test_the_flag_that_makes_a_backtest_is_in_the_manifest(tmp_path: Path) -> None:
    run = play(WATCHED, tmp_path)
    assert run.manifest.config["backtest"] is True
    again = resume_run(run.folder)
    again.close()
    assert again.config.backtest


# -- on the record of a real exchange -----------------------------------------------------------------------------


def test_a_backtest_event_has_the_figures_of_the_summary(shared: Path, tmp_path: Path) -> None:
    settings = {"snapshots": "1s", "stale_after": "500ms", "backtest": True}
    wanted: RunConfig = config("ema-cross", tapes=(head_of_capture(shared, tmp_path),), seconds=600, **settings)
    run = play(wanted, tmp_path)

    with SqliteTapeReader(tape_of(run.folder)) as tape:
        (completed,) = (e for e in tape.read() if isinstance(e, BacktestCompleted))
    summary = run.summary(1.0)
    assert (completed.inputs, completed.equity, completed.pnl) == (summary.ticks, summary.equity, summary.pnl)
    assert completed.trades == run.observer.performance().trades
    prove(run.folder)


@pytest.mark.parametrize("capture", CAPTURES[:1])
def test_the_market_maker_is_filled_as_a_maker_on_both_sides_of_a_real_market(
    capture: str, shared: Path, tmp_path: Path
) -> None:
    run = play(config("market-maker", tapes=(shared / "market-data" / capture,), seconds=60), tmp_path)

    with SqliteTapeReader(tape_of(run.folder)) as tape:
        filled = Counter((e.side.value, e.liquidity) for e in tape.read() if isinstance(e, OrderFilledEvent))
    assert set(filled) == {("buy", "maker"), ("sell", "maker")}
    assert min(filled.values()) >= 3
    assert types(run.folder)["order.amended"] > 10
    verdict, changes = verify_run(run.folder)
    assert verdict.identical
    assert changes == []
