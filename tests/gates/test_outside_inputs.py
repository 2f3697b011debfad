"""Gate: a run with commands from outside or events published by edges is proven and resumed like any other."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from gate_runs import config, finish, looking_up_often, prove, resume, rows

from tickdeck.bootstrap import Run, resume_run, start_run
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    OrderEvent,
    TimerCancelled,
    TimerFired,
    TimerSet,
)
from tickdeck.errors import ConfigError, TickdeckError

WANTED = config("Busy", "ema-cross", seconds=8)


def commanded(run: Run, *, stop_at: int | None) -> Run:
    """Execute a run that is paused and activated from outside, and stop it."""
    sent: list[int] = []

    def look() -> bool:
        for at, command in ((200, "strategy-pause"), (500, "strategy-activate")):
            if run.kernel.inputs >= at and at not in sent:
                sent.append(at)
                run.kernel.publish(CommandReceived(command=command, arguments={"strategy_id": "ema-cross"}))
        return stop_at is not None and run.kernel.inputs >= stop_at

    with looking_up_often():
        return finish(run, stop=look)


def test_a_run_with_commands_from_outside_resumes_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = commanded(start_run(WANTED, tmp_path / "whole"), stop_at=None)
    stopped = commanded(start_run(WANTED, tmp_path / "stopped"), stop_at=900)

    resume(stopped.folder)

    assert rows(stopped.folder)["events"] == rows(whole.folder)["events"]
    prove(stopped.folder)
    resume(stopped.folder)  # a complete run too
    assert rows(stopped.folder)["events"] == rows(whole.folder)["events"]


def with_edge(run: Run) -> Run:
    @run.kernel.on("order.submitted")
    async def tell(order: OrderEvent) -> None:
        run.kernel.publish(NotificationAlert(text=order.order_id, source="telegram"))

    return run


def test_events_published_by_an_edge_are_fed_again_without_calling_the_edge(tmp_path: Path) -> None:
    run = with_edge(start_run(WANTED, tmp_path))

    async def play() -> None:
        await run.simulation.run(stop=lambda: run.kernel.inputs >= 900)
        await run.kernel.drain()

    with looking_up_often():
        asyncio.run(play())
    run.close()
    told = run.kernel.statistics().published["notification.alert"]
    submitted = run.kernel.statistics().published["order.submitted"]
    assert told == submitted > 0

    again = with_edge(resume_run(run.folder))
    finish(again)

    published = again.kernel.statistics().published
    assert again.simulation.completed
    assert published["notification.alert"] <= published["order.submitted"]
    prove(run.folder)
    resume(run.folder)


def test_events_of_other_threads_are_fed_again(tmp_path: Path) -> None:
    run = start_run(WANTED, tmp_path)
    threads = [
        threading.Thread(
            target=run.kernel.publish_threadsafe, args=(CommandReceived(command="note", reason=str(number)),)
        )
        for number in range(3)
    ]

    def look() -> bool:
        if run.kernel.inputs >= 300 and threads:
            thread = threads.pop()
            thread.start()
            thread.join()
            run.kernel.run_pending()
        return run.kernel.inputs >= 900

    with looking_up_often():
        finish(run, stop=look)

    assert resume(run.folder).simulation.completed
    prove(run.folder)


def test_a_timer_event_that_somebody_else_published_is_an_input_like_any_other(tmp_path: Path) -> None:
    run = start_run(WANTED, tmp_path)
    sent: list[DomainEvent] = []

    def look() -> bool:
        if run.kernel.inputs >= 300 and not sent:
            now = run.kernel.clock.now()
            sent.append(TimerFired(timer_id=7, name="turn", owner="Busy", due=now + 5))
            sent.append(TimerSet(timer_id=1, name="turn", owner="Busy", due=now))
            sent.append(TimerCancelled(timer_id=1))
            for event in sent:
                run.kernel.publish(event)
        return run.kernel.inputs >= 900

    with looking_up_often():
        finish(run, stop=look)

    assert resume(run.folder).simulation.completed
    prove(run.folder)


def test_only_market_data_counts_as_ticks(tmp_path: Path) -> None:
    run = start_run(WANTED, tmp_path)

    def look() -> bool:
        run.kernel.publish(NotificationAlert(text="a look"))
        return False

    with looking_up_often():
        finish(run, stop=look)

    market_data = sum(event.is_input and event.is_market_data for event in run.tape.read())
    assert run.kernel.statistics().published["notification.alert"] > 0
    assert run.kernel.statistics().published["timer.cancelled"] > 0
    assert run.summary(1.0).ticks == market_data > 0


def test_the_receipt_of_an_event_that_still_waits_when_its_run_is_closed_raises(tmp_path: Path) -> None:
    run = start_run(WANTED, tmp_path)
    run.kernel.pause()
    waiting = run.kernel.publish(CommandReceived(command="note"))
    handed_over = run.kernel.publish_threadsafe(CommandReceived(command="note"))
    run.close()

    for receipt in (waiting, handed_over):
        with pytest.raises(TickdeckError, match="not taken, because the run is closed"):
            receipt.wait(60)
    for call in (run.kernel.publish, run.kernel.publish_threadsafe):
        with pytest.raises(TickdeckError, match="the run is closed"):
            call(CommandReceived(command="note"))


@pytest.mark.parametrize("source", ["driver", "timer", "paper"])
def test_an_outside_event_cannot_use_a_reserved_source(tmp_path: Path, source: str) -> None:
    run = start_run(WANTED, tmp_path)
    event = CommandReceived(command="note", source=source)
    for hand_over in (run.kernel.publish, run.kernel.post, run.kernel.publish_threadsafe):
        with pytest.raises(ConfigError, match=f"the source '{source}' is reserved"):
            hand_over(event)
    finish(run)
