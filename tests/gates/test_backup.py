"""The copy of a run that is still working is proven, and can be resumed in its place."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from killing import killed_at_sync
from running import Running, tickdeck
from test_live_resume import SECOND, drive
from test_live_run import START, config
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.bootstrap import LiveRun, open_record, proof, resume_run, start_live_run, verify_run
from tickdeck.errors import TapeError
from tickdeck.infrastructure.frames import FOLDER
from tickdeck.infrastructure.runs import backup_run
from tickdeck.infrastructure.runs.folder import MANIFEST
from tickdeck.infrastructure.tape.opening import open_reader, tape_path


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_the_copy_of_a_working_live_run_is_proven_and_resumed(tmp_path: Path, form: str) -> None:
    run = start_live_run(config(600, tape_format=form), tmp_path / "data", clock=VirtualWall(START))
    out = tmp_path / "copy"

    def back_up() -> None:
        run.tape.wait_durable(run.tape.last_seq)  # virtual time is faster than the thread that commits
        backup_run(run.folder, out)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        driving = asyncio.create_task(run.drive(None))
        loop.call_later(5, back_up)
        loop.call_later(8, run.driver.request_stop)
        await driving

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())
    run.close()
    copied = list(open_record(out))

    assert 400 < len(copied) < len(list(open_record(run.folder)))
    assert copied == list(open_record(run.folder))[: len(copied)]
    assert verify_run(out)[0].identical
    again = resume_run(out, clock=VirtualWall(START + 60 * SECOND))
    assert isinstance(again, LiveRun)
    drive(again, 5)
    assert verify_run(out)[0].identical


def test_what_a_run_writes_while_it_is_proven_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start_live_run(config(600), tmp_path / "data", clock=VirtualWall(START))
    drive(run, 3)
    backup_run(run.folder, tmp_path / "copy")
    with open_reader(tape_path(tmp_path / "copy")) as tape:
        before = proof.examine(tape)
    again = resume_run(run.folder, clock=VirtualWall(START + 60 * SECOND))
    assert isinstance(again, LiveRun)
    drive(again, 5)
    # While its process worked, the proof had read the tape up to there.
    monkeypatch.setattr(proof, "examine", lambda *_: before)
    monkeypatch.setattr(proof, "read_end", lambda _: None)

    verdict, _ = verify_run(run.folder)

    assert verdict.identical
    assert verdict.events == verdict.last_seq == before.last_seq
    assert len(list(open_record(run.folder))) > before.last_seq


def test_a_run_whose_frames_are_damaged_is_not_backed_up(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    run = start_live_run(config(600), tmp_path / "data", clock=VirtualWall(START))
    meant_to_differ.add(run.folder)
    drive(run, 5)
    (segment,) = (run.folder / FOLDER).iterdir()
    segment.write_bytes(segment.read_bytes()[:100] + b"\xff" * 100 + segment.read_bytes()[200:])

    with pytest.raises(TapeError, match="the segment is damaged"):
        backup_run(run.folder, tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_backup_of_a_run_that_is_killed_leaves_no_run(tmp_path: Path, form: str) -> None:
    """Killed at each of its syncs in turn. Only after the last sync but one is there a copy, and it is complete."""
    run = start_live_run(config(600, tape_format=form), tmp_path / "data", clock=VirtualWall(START))
    drive(run, 2)
    steps = 0
    while killed_at_sync(os, "fsync", lambda: backup_run(run.folder, tmp_path / f"copy{steps}"), steps):  # noqa: B023
        if (tmp_path / f"copy{steps}").exists():
            assert verify_run(tmp_path / f"copy{steps}")[0].identical
        steps += 1

    assert steps > 5
    assert [event.seq for event in open_record(tmp_path / f"copy{steps}")] == [
        event.seq for event in open_record(run.folder)
    ]
    assert not (tmp_path / "copy0").exists()


@pytest.mark.long
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_run_in_another_process_is_backed_up_while_it_works(tmp_path: Path, form: str) -> None:
    data, out = tmp_path / "data", tmp_path / "copy"
    run = Running(data, "--strategy", "market-maker", "--tape-format", form)
    try:
        done = tickdeck("tape", "backup", "last", str(out), data=data)
        assert run.is_alive
    finally:
        run.end(signal.SIGKILL)
    proof = tickdeck("verify", str(out), data=data)

    assert (done.returncode, proof.returncode) == (0, 0), done.stderr + proof.stderr
    assert "the copy was read again and is sound; its digest is " in done.stdout
    assert not [name for name in out.rglob("*") if name.name.endswith((".lock", ".sock", "-wal", "-shm"))]
    assert (out / MANIFEST).stat().st_mode & 0o777 == 0o600
    again = tickdeck("tape", "backup", "last", str(out), data=data)
    assert again.returncode == 2
    assert "already exists" in again.stderr
