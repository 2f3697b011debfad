"""Gate: a run on live market data continues from a snapshot as if it had executed its whole record."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from same_objects import differences
from test_core_states import IGNORED, newest, objects_of
from test_live_resume import SECOND, drive, stopped
from test_live_run import START, config
from virtual_time import VirtualWall

from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.core_snapshots import CoreSnapshotTaker
from tickdeck.domain.events import RunResumed
from tickdeck.infrastructure.frames import FOLDER, FrameReader, FrameWriter


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot waits until what it reflects is on disk, and none is taken meanwhile. The clock of these runs does not
    wait for the disk: on a slow one, the next snapshot would be the last."""
    look = CoreSnapshotTaker.look

    def wait_and_look(taker: CoreSnapshotTaker) -> None:
        taker._write_when_durable()
        look(taker)

    monkeypatch.setattr(CoreSnapshotTaker, "look", wait_and_look)


def again(folder: Path, later: int = 60) -> LiveRun:
    run = resume_run(folder, clock=VirtualWall(START + later * SECOND))
    assert isinstance(run, LiveRun)
    return run


def test_a_restored_live_run_is_the_run_that_was_stopped(tmp_path: Path) -> None:
    run = start_live_run(config(600), tmp_path, clock=VirtualWall(START))
    drive(run, 20)
    restored = again(run.folder)

    assert "continues from its snapshot" in restored.resumed
    assert restored._state is not None
    assert run._state is not None
    assert restored._state.write() == run._state.write()
    assert differences(objects_of(run), objects_of(restored), IGNORED | {"_wall_now", "_begin"}) == []
    restored.close()


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
@pytest.mark.parametrize("forgotten", [0, 1])
def test_a_live_run_goes_on_from_a_snapshot_as_if_it_had_executed_everything(
    tmp_path: Path, form: str, forgotten: int
) -> None:
    folder = stopped(tmp_path / "one", 30, command_at=12, tape_format=form)
    other = shutil.copytree(folder, tmp_path / "other" / folder.name)
    shutil.rmtree(other / "states")
    for _ in range(forgotten):
        newest(folder).unlink()

    run, executed = again(folder), again(other)
    assert "continues from its snapshot" in run.resumed
    assert ("and the record behind it" in run.resumed) is bool(forgotten)
    assert "the record is executed again" in executed.resumed
    for one in (run, executed):
        drive(one, 10)

    events = list(open_record(folder))
    assert events == list(open_record(other))
    assert sum(isinstance(event, RunResumed) for event in events) == 1
    assert verify_run(folder)[0].identical
    again_and_again = again(folder, 120)
    drive(again_and_again, 5)
    assert verify_run(folder)[0].identical


def test_a_snapshot_that_is_ahead_of_the_frames_is_not_used(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    """After a power cut, the last frames may be gone."""
    folder = stopped(tmp_path, 5.055)
    meant_to_differ.add(folder)
    frames = list(FrameReader(folder / FOLDER))
    shutil.rmtree(folder / FOLDER)
    writer = FrameWriter(folder / FOLDER)
    for frame in frames[:-1]:
        writer.write(frame)
    writer.close()

    run = again(folder)

    assert "of the 505 messages that it reflects are left" in run.resumed
    assert run.restored_from is None or run.restored_from < int(newest(folder).stem)
    run.close()
