"""Gate: the proof says whether a record reaches the run's end, and detects a record whose end is missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from gate_runs import config, forge_digest, play, play_until, resume, rows, tamper, verdict_of

from tickdeck.errors import RunError
from tickdeck.infrastructure.runs import overview, read_end
from tickdeck.infrastructure.runs.ending import END

FORMS = pytest.mark.parametrize("form", ["sqlite", "jsonl"])


@FORMS
def test_an_ended_run_is_complete_and_a_stopped_one_only_after_resuming(tmp_path: Path, form: str) -> None:
    wanted = config("Busy", seconds=3, tape_format=form)
    ended = verdict_of(play(wanted, tmp_path / "ended").folder)
    assert (ended.identical, ended.complete) == (True, True)

    folder = play_until(wanted, tmp_path / "stopped", 200)
    stopped = verdict_of(folder)
    assert (stopped.identical, stopped.complete) == (True, False)
    assert stopped.last_seq == stopped.events < ended.last_seq

    resume(folder)
    resumed = verdict_of(folder)
    assert (resumed.identical, resumed.complete, resumed.digest) == (True, True, ended.digest)


def test_a_run_that_went_on_and_was_killed_has_no_figures(tmp_path: Path) -> None:
    folder = play_until(config("Busy", seconds=3), tmp_path / "stopped", 200)
    assert overview(folder).figures is not None
    end = (folder / END).read_bytes()
    resume(folder)
    (folder / END).write_bytes(end)  # as if it had been killed then: this is how it ended before

    assert overview(folder).figures is None


def test_a_killed_run_is_identical_and_complete_only_after_resuming(tmp_path: Path) -> None:
    driven = subprocess.Popen(
        [sys.executable, "-m", "tickdeck", "run", "--for", "60", "--speed", "20", "--json", "--data", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driven.stderr is not None
    driven.stderr.readline()  # it is running
    while not any(tape.stat().st_size for tape in tmp_path.glob("*/tape.db-wal")):
        assert driven.poll() is None
    os.kill(driven.pid, signal.SIGKILL)
    driven.wait()
    driven.stderr.close()
    (folder,) = tmp_path.iterdir()
    if rows(folder)["events"]:
        killed = verdict_of(folder)
        assert (killed.identical, killed.complete) == (True, False)
    assert read_end(folder) is None
    resume(folder)
    assert verdict_of(folder).complete


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(config("Busy", seconds=3), tmp_path_factory.mktemp("data")).folder


@pytest.mark.parametrize("forged", [False, True])
def test_a_run_without_its_second_half_is_not_identical(
    ended: Path, tmp_path: Path, meant_to_differ: set[Path], forged: bool
) -> None:
    folder = Path(shutil.copytree(ended, tmp_path / ended.name))
    meant_to_differ.add(folder)
    seqs = [row[0] for row in rows(folder)["events"] if b"-" not in row[-1].split(b'"', 4)[3]]
    half = seqs[len(seqs) // 2] - 1
    beyond = sum(row[0] > half for row in rows(folder)["events"])
    end = (folder / END).read_bytes()
    tamper(folder, "DELETE FROM events WHERE seq > ?", half, count=beyond)
    if forged:
        forge_digest(folder)
        (folder / END).write_bytes(end)

    verdict = verdict_of(folder)

    assert (verdict.identical, verdict.complete) == (False, False)
    assert any("the rest is missing" in fault for fault in verdict.faults)
    with pytest.raises(Exception, match=r"changed|changed since they were written"):
        resume(folder)


def test_a_changed_end_is_reported(ended: Path, tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = Path(shutil.copytree(ended, tmp_path / ended.name))
    meant_to_differ.add(folder)
    end = read_end(folder)
    assert end is not None
    (folder / END).write_bytes(msgspec.json.encode(msgspec.structs.replace(end, digest="0" * 64)))
    assert not verdict_of(folder).identical
    (folder / END).write_bytes(b"{")
    with pytest.raises(RunError, match=r"end\.json: .*was changed"):
        verdict_of(folder)


@pytest.mark.parametrize(
    ("event_type", "field"),
    [("market.trade", "source"), ("market.tick", "bid_quantity"), ("venue.balance_reported", "locked")],
)
def test_a_changed_field_that_causes_nothing_is_reported(
    ended: Path, tmp_path: Path, meant_to_differ: set[Path], event_type: str, field: str
) -> None:
    folder = Path(shutil.copytree(ended, tmp_path / ended.name))
    meant_to_differ.add(folder)
    tamper(
        folder,
        "UPDATE events SET payload = json_set(payload, ?, '777') WHERE seq = "
        "(SELECT max(seq) FROM events_readable WHERE event_type = ?)",
        f"$.{field}",
        event_type,
    )

    verdict = verdict_of(folder)

    assert not verdict.identical
    assert "changed since it was written" in verdict.faults[0]
