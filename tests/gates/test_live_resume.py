"""A live run that was stopped or killed continues: its past is executed again, and the whole run is proven."""

from __future__ import annotations

import asyncio
import random
import shutil
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from gate_processes import kill_live
from many_examples import SEEDS
from test_live_run import START, config, play
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.domain.events import CommandReceived, OrderSubmittedEvent, RunResumed, TimerFired, TradeEvent
from tickdeck.errors import RunError
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.frame_segments import segments
from tickdeck.infrastructure.frames import FOLDER, FrameReader, FrameWriter
from tickdeck.infrastructure.runs import read_end
from tickdeck.infrastructure.runs.ending import END
from tickdeck.infrastructure.runs.snapshot_files import _digest
from tickdeck.infrastructure.tape.opening import tape_path

SECOND = 1_000_000_000


def drive(run: LiveRun, stop_after: float | None = None, command_at: float | None = None) -> None:
    """Drive ``run``, and stop it after this many seconds, as Ctrl-C does."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        driving = asyncio.create_task(run.drive(None))
        if command_at is not None:
            loop.call_later(command_at, lambda: run.kernel.publish(CommandReceived(command="note")))
        if stop_after is not None:
            loop.call_later(stop_after, run.driver.request_stop)
        await driving

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(work())
        finally:
            run.close()


def stopped(data: Path, seconds: float = 5, *, command_at: float | None = None, **settings: object) -> Path:
    run = start_live_run(config(600, **settings), data, clock=VirtualWall(START))
    drive(run, seconds, command_at)
    return run.folder


def resumed(folder: Path, later: int, seconds: float = 5) -> LiveRun:
    """Resume a run ``later`` seconds after its first start, and stop it again."""
    run = resume_run(folder, clock=VirtualWall(START + later * SECOND))
    assert isinstance(run, LiveRun)
    drive(run, seconds)
    return run


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_the_stretches_of_a_resumed_live_run_are_proven_as_one(tmp_path: Path, form: str) -> None:
    folder = stopped(tmp_path, command_at=2, tape_format=form)
    before = list(open_record(folder))
    for later in (60, 120):
        resumed(folder, later)
    events = list(open_record(folder))
    verdict, _ = verify_run(folder)

    assert events[: len(before)] == before
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert verdict.identical
    again = [event for event in events if isinstance(event, RunResumed)]
    assert [(event.ts - START) // SECOND for event in again] == [60, 120]
    assert all(event.since < event.ts for event in again)
    orders = [event.order_id for event in events if isinstance(event, OrderSubmittedEvent)]
    assert len(set(orders)) == len(orders)
    for one, other in zip([START, *(event.ts for event in again)], [event.ts for event in again], strict=False):
        assert any(one < event.ts_ingress < other for event in events if isinstance(event, OrderSubmittedEvent))


def test_timers_that_were_due_meanwhile_fire_after_the_run_was_resumed(tmp_path: Path) -> None:
    folder = stopped(tmp_path)
    resumed(folder, 60)
    events = list(open_record(folder))
    at = next(position for position, event in enumerate(events) if isinstance(event, RunResumed))

    late = [event for event in events[at:] if isinstance(event, TimerFired) and event.due < events[at].ts]
    assert late
    assert all(event.ts_ingress >= events[at].ts_ingress for event in late)


def test_the_portfolio_of_a_resumed_run_is_that_of_its_whole_record(tmp_path: Path) -> None:
    folder = stopped(tmp_path)
    one = resumed(folder, 60)
    other = resume_run(folder, clock=VirtualWall(START + 61 * SECOND))
    assert isinstance(other, LiveRun)
    drive(other, 0.0)

    assert other.core.portfolio.equity() == one.core.portfolio.equity()
    assert (
        other.kernel.statistics().published["order.submitted"] == one.kernel.statistics().published["order.submitted"]
    )


def test_a_resumed_run_ends_when_its_whole_duration_is_over(tmp_path: Path) -> None:
    run = start_live_run(config(20), tmp_path, clock=VirtualWall(START))
    drive(run, 5)
    again = resumed(run.folder, 10, seconds=60)
    events = list(open_record(run.folder))

    assert again.driver.completed
    assert events[-1].event_type == "run.stopped"
    assert events[-1].ts_ingress <= START + 21 * SECOND
    assert verify_run(run.folder)[0].complete


def test_a_run_whose_market_data_is_lost_is_not_resumed_and_leaves_nothing_behind(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    folder = stopped(tmp_path)
    meant_to_differ.add(folder)
    shutil.rmtree(folder / FOLDER)
    for _ in range(2):
        with pytest.raises(RunError, match=r"the folder frames with its market data is missing; restore .*frames "):
            resume_run(folder, clock=VirtualWall(START + 60 * SECOND))
    assert not (folder / FOLDER).exists()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_run_whose_tape_is_lost_is_not_resumed_and_gets_no_empty_one(
    tmp_path: Path, meant_to_differ: set[Path], form: str, killed: bool
) -> None:
    folder = stopped(tmp_path, tape_format=form)
    meant_to_differ.add(folder)
    if killed:
        (folder / "end.json").unlink()
    lost = tape_path(folder)
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    before = sorted(folder.rglob("*"))
    with pytest.raises(RunError, match=r"cannot be resumed: its tape is missing; restore .* from a copy"):
        resume_run(folder, clock=VirtualWall(START + 60 * SECOND))
    assert sorted(folder.rglob("*")) == before


def test_a_symbol_that_was_added_to_the_manifest_is_refused(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = stopped(tmp_path)
    meant_to_differ.add(folder)
    manifest = folder / "manifest.json"
    content = msgspec.json.decode(manifest.read_bytes())
    began = ", ".join(content["symbols"])
    manifest.write_bytes(msgspec.json.encode(content | {"symbols": [*content["symbols"], "XRPUSDT"]}))
    says = rf"manifest.json has the symbols {began}, XRPUSDT, but the run began with {began}; restore the file"
    with pytest.raises(RunError, match=says):
        resume_run(folder, clock=VirtualWall(START + 60 * SECOND))


def test_a_snapshot_that_cannot_be_used_leaves_no_empty_segment(tmp_path: Path) -> None:
    folder = stopped(tmp_path)
    newest = max((folder / "states").glob("*.json"), key=lambda path: int(path.stem))
    content = msgspec.json.decode(newest.read_bytes().partition(b"\n")[2])
    content["state"]["contents"]["risk.nothing"] = ["list", []]
    content = msgspec.json.encode(content)
    newest.write_bytes(_digest(content) + b"\n" + content)
    before = len(segments(folder / FOLDER))

    run = resumed(folder, 60)

    assert run.resumed is not None
    assert "is not used: " in run.resumed
    assert len(segments(folder / FOLDER)) == before + 1


def test_a_complete_live_run_is_not_resumed(tmp_path: Path) -> None:
    run = play(config(1), tmp_path)

    with pytest.raises(RunError, match="is complete: its duration was reached; start a new run"):
        resume_run(run.folder)


def test_a_run_without_its_frames_is_refused_in_one_line(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = stopped(tmp_path)
    meant_to_differ.add(folder)
    for path in (folder / FOLDER).iterdir():
        path.unlink()

    with pytest.raises(RunError, match=r"none of the [0-9,]+ messages of its market data is in frames; restore"):
        resume_run(folder, clock=VirtualWall(START + 60 * SECOND))


def test_the_frames_of_all_stretches_have_one_digest(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = stopped(tmp_path)
    first = read_end(folder)
    resumed(folder, 60)
    second = read_end(folder)

    assert first is not None
    assert second is not None
    assert first.frames != second.frames
    assert verify_run(folder)[0].identical


def test_a_run_that_went_on_after_its_end_was_noted_is_proven(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = stopped(tmp_path)
    noted = (folder / END).read_bytes()
    resumed(folder, 60)
    (folder / END).write_bytes(noted)  # as if it was killed then

    assert verify_run(folder)[0].identical
    meant_to_differ.add(folder)
    frames = list(FrameReader(folder / FOLDER))
    for path in (folder / FOLDER).iterdir():
        path.unlink()
    writer = FrameWriter(folder / FOLDER)
    for number, frame in enumerate(frames):
        writer.write(frame if number != 100 else frame._replace(received=frame.received + 1))
    writer.close()
    assert "the frames are not those with which the run ended" in verify_run(folder)[0].faults


def endless(*words: str) -> RunConfig:
    """For a process that is killed (``kill_live``)."""
    return config(86_400, keep_trades="trades" in words)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_a_live_run_killed_repeatedly_is_resumed_and_proven(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        kill_live(tmp_path, endless, turns=rng.randrange(1, 40), when=lambda told: told.taken > 60)
    (folder,) = tmp_path.iterdir()
    events = list(open_record(folder))
    verdict, _ = verify_run(folder)

    assert verdict.identical
    assert sum(isinstance(event, RunResumed) for event in events) >= 1
    trades = [event.ts for event in events if isinstance(event, TradeEvent)]
    assert trades == sorted(trades)
    assert Decimal(0) not in {event.quantity for event in events if isinstance(event, OrderSubmittedEvent)}
