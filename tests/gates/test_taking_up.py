"""Gate: stops, commands, halts and async handlers while other code restores a run from its record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gate_runs import config, play_until, resume, rows
from test_live_resume import SECOND, drive, stopped
from test_live_run import START
from virtual_time import VirtualWall

from tickdeck import bootstrap
from tickdeck.bootstrap import LiveRun, Run, open_record, resume_run, start_run, verify_run
from tickdeck.domain.events import CommandReceived, DomainEvent, OrderFilledEvent, RunResumed, TradingHalted


def change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the code of Tickdeck."""
    monkeypatch.setattr(bootstrap.strategies, "code_digest", lambda: "other")


def test_a_run_that_is_stopped_while_it_takes_up_its_record_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = play_until(config("Busy", seconds=6), tmp_path, 500)
    before, end = rows(folder), (folder / "end.json").read_bytes()
    change(monkeypatch)
    monkeypatch.setattr("tickdeck.application.drivers.simulation._TURN", 32)
    run = resume_run(folder)

    asyncio.run(run.drive(None, progress=lambda ts: run.driver.request_stop()))
    assert not run.caught_up()
    run.close()

    assert (rows(folder), (folder / "end.json").read_bytes()) == (before, end)
    assert resume(folder).simulation.completed


def test_a_command_that_comes_meanwhile_waits_until_the_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = play_until(config("Busy", seconds=6), tmp_path, 500)
    change(monkeypatch)
    monkeypatch.setattr("tickdeck.application.drivers.simulation._TURN", 32)
    run = resume_run(folder)
    sent = []

    def send(_: int) -> None:
        if not sent:
            assert not run.caught_up()
            sent.append(run.kernel.publish(CommandReceived(command="halt", reason="now")))

    asyncio.run(run.drive(None, progress=send))
    run.close()

    events = list(open_record(folder))
    (resumed,) = (event for event in events if isinstance(event, RunResumed))
    (command,) = (event for event in events if isinstance(event, CommandReceived))
    assert command.seq > resumed.seq
    assert verify_run(folder)[0].identical


@pytest.mark.parametrize("live", [False, True])
def test_a_halt_that_was_ordered_while_nothing_ran_is_in_force_from_the_new_stretch_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    folder = stopped(tmp_path) if live else play_until(config("Busy", seconds=6), tmp_path, 500)
    (folder / "HALT").write_text("the operator sleeps")
    change(monkeypatch)

    if live:
        run = resume_run(folder, clock=VirtualWall(START + 60 * SECOND))
        assert isinstance(run, LiveRun)
        drive(run, 5)
    else:
        resume(folder)

    events = list(open_record(folder))
    (resumed,) = (event for event in events if isinstance(event, RunResumed))
    (halted,) = (event for event in events if isinstance(event, TradingHalted))
    assert resumed.seq < halted.seq
    after = [event.event_type for event in events if event.seq > halted.seq]
    assert "strategy.decision" in after
    assert "order.submitted" not in after
    assert verify_run(folder)[0].identical


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_an_async_handler_with_a_name_gets_each_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    def subscribe(run: Run) -> list[str]:
        heard: list[str] = []

        async def hear(event: DomainEvent) -> None:
            heard.append(event.event_id)

        run.kernel.subscribe(OrderFilledEvent, hear, name="ledger")
        return heard

    def work(run: Run, inputs: int) -> list[str]:
        heard = subscribe(run)

        def stop(_: int) -> None:
            if run.kernel.inputs >= inputs:
                run.driver.request_stop()

        async def go() -> None:
            await run.drive(None, progress=stop)
            await run.kernel.drain()

        asyncio.run(go())
        run.close()
        return heard

    monkeypatch.setattr("tickdeck.application.drivers.simulation._TURN", 32)
    run = start_run(config("Busy", seconds=6, tape_format=form), tmp_path)
    first = work(run, 500)
    change(monkeypatch)
    again = resume_run(run.folder)
    assert isinstance(again, Run)
    second = work(again, 1_000_000)

    filled = [event.event_id for event in open_record(run.folder) if isinstance(event, OrderFilledEvent)]
    assert first
    assert first + second == filled
