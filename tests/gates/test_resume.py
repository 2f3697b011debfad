"""Gate: a resumed run is executed again, is compared with its tape, and only then appends.

It is executed again from its newest snapshot, or from its start if it has none. If anything has changed there, it is
refused in one line, and the tape is unchanged. What is before the snapshot is left to ``verify``.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import shutil
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from gate_processes import Driven, LeftAlone, check_end
from gate_runs import (
    CAPTURES,
    SIMULATED,
    STRATEGIES,
    config,
    finish,
    first_seq,
    forge_digest,
    looking_up_often,
    play,
    play_until,
    prove,
    put_payload,
    raw_payload,
    resume,
    rows,
    state,
    tamper,
    tape_of,
    verdict_of,
    with_other_digit,
)

from tickdeck.application.proof import RecordDiverged
from tickdeck.bootstrap import resume_run
from tickdeck.bootstrap.core_snapshots import forget_states
from tickdeck.errors import RunError, TapeError, TickdeckError
from tickdeck.infrastructure.runs.folder import MANIFEST


def tape_bytes(folder: Path) -> str:
    return hashlib.sha256(tape_of(folder).read_bytes()).hexdigest()


def refused(folder: Path, error: type[TickdeckError], reason: str) -> None:
    """Resuming is refused in one line, and the tape is unchanged: every row, every byte of the file."""
    before, file_before = rows(folder), tape_bytes(folder)
    with pytest.raises(error, match=reason) as refusal:
        resume(folder)
    assert "\n" not in str(refusal.value)
    assert rows(folder) == before
    assert tape_bytes(folder) == file_before


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = play_until(SIMULATED, tmp_path_factory.mktemp("data"), 1_200)
    prove(folder)
    return folder


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """A copy of a run that was stopped and may be resumed."""
    return Path(shutil.copytree(stopped_once, tmp_path / stopped_once.name))


@pytest.fixture
def without_snapshots(stopped: Path) -> Path:
    """The same without snapshots, so that it is executed again from its start."""
    forget_states(stopped)
    return stopped


@pytest.fixture
def spoilt(without_snapshots: Path, meant_to_differ: set[Path]) -> Path:
    """The same, to be damaged by the test."""
    meant_to_differ.add(without_snapshots)
    return without_snapshots


@pytest.mark.parametrize("way", ["stopped", "without_snapshots"])
def test_a_run_that_was_stopped_and_resumed_ends_as_if_uninterrupted(
    request: pytest.FixtureRequest, way: str, alone: LeftAlone
) -> None:
    folder: Path = request.getfixturevalue(way)
    assert len(rows(folder)["events"]) < len(alone.rows["events"])
    assert state(resume(folder)) == alone.state
    assert rows(folder) == alone.rows


def test_resuming_a_completed_run_changes_no_byte(tmp_path: Path) -> None:
    run = play(config("Busy", seconds=5), tmp_path)
    before = tape_bytes(run.folder)
    for _ in range(2):
        again = resume(run.folder)
        assert again.caught_up()
        assert state(again) == state(run)
        assert tape_bytes(run.folder) == before


def test_a_run_that_is_being_resumed_cannot_be_resumed_by_another_process(stopped: Path, alone: LeftAlone) -> None:
    with Driven("resume", stopped, hold=True) as holder:
        holder.read(1)
        assert holder.folder == stopped
        with pytest.raises(TapeError, match=r"process \d+ is writing this tape; stop it first") as refusal:
            resume_run(stopped)
        assert "\n" not in str(refusal.value)
        with Driven("resume", stopped) as other:
            assert other.end() == 1
            assert other.errors.startswith("TapeError: ")
            assert other.errors.count("\n") == 1
        check_end(holder, alone)


def test_the_lock_of_a_killed_process_is_gone_with_it(stopped: Path) -> None:
    with Driven("resume", stopped, hold=True) as holder:
        holder.read(1)
        assert holder.kill()
    assert resume(stopped).simulation.completed


def own_strategy(tmp_path: Path) -> Path:
    source = tmp_path / "own.py"
    source.write_text(STRATEGIES.read_text())
    return source


def test_resuming_without_the_strategy_is_refused(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    source = own_strategy(tmp_path)
    folder = play_until(config(f"{source}:Busy"), tmp_path, 500)
    meant_to_differ.add(folder)
    source.unlink()
    refused(folder, TickdeckError, "there is no file .*own.py")


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_resuming_with_another_input_is_refused(
    shared: Path, tmp_path: Path, meant_to_differ: set[Path], harm: str
) -> None:
    file = tmp_path / "BTCUSDT.raw"
    with gzip.open(shared / "market-data" / CAPTURES[0], "rb") as whole, file.open("wb") as part:
        part.writelines(islice(whole, 6_000))
    folder = play_until(config("Busy", tapes=(file,)), tmp_path, 500)
    meant_to_differ.add(folder)
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"\n")
    refused(folder, RunError, f"input {file} {'is gone' if harm == 'gone' else 'has changed'}; restore")


def test_a_manifest_that_is_torn_is_refused(spoilt: Path) -> None:
    manifest = spoilt / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-40])
    refused(spoilt, RunError, "the manifest was changed, or it is another file")


def test_events_still_in_the_log_of_an_input_tape_make_no_difference(tmp_path: Path, alone: LeftAlone) -> None:
    with Driven("run", tmp_path / "data", config=alone.settings, die="checkpoint:2") as driven:  # not of the empty tape
        driven.end()
        killed = driven.folder
    reads_it = play(config("ema-cross", tapes=(killed,), seconds=10), tmp_path)
    file_before = tape_bytes(killed)

    resume(killed)  # only the log must be moved to the file

    assert tape_bytes(killed) != file_before
    prove(reads_it.folder)
    assert first_seq(reads_it.folder, "order.submitted")


def test_a_run_can_be_resumed_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_strategy(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = play_until(config("own.py:Busy", seconds=4), tmp_path / "data", 300)
    monkeypatch.chdir(folder)
    assert resume(folder).simulation.completed


# -- it compares as far as the tape goes, and only then appends ----------------------------------------------------


def spoil(folder: Path, event_type: str, field: str, after: int = 0) -> int:
    seq = first_seq(folder, event_type, after)
    put_payload(folder, seq, with_other_digit(raw_payload(folder, seq), field))
    forge_digest(folder)
    return seq


CHANGES = [("order.submitted", "quantity"), ("market.trade", "quantity"), ("venue.fill_reported", "fee")]


@pytest.mark.parametrize(("event_type", "field"), CHANGES)
def test_resuming_a_tape_with_a_changed_event_is_refused(spoilt: Path, event_type: str, field: str) -> None:
    """Inputs too, because the simulated market and venue are executed again."""
    seq = spoil(spoilt, event_type, field)
    refused(spoilt, RecordDiverged, f"at seq {seq} the tape has {event_type}")


@pytest.mark.parametrize(("event_type", "field"), CHANGES)
def test_resuming_a_tape_with_an_event_that_changed_behind_the_snapshot_is_refused(
    stopped: Path, tmp_path: Path, meant_to_differ: set[Path], event_type: str, field: str
) -> None:
    meant_to_differ.add(stopped)
    kept = tmp_path / "kept"
    shutil.copytree(stopped / "states", kept)
    run = resume_run(stopped)
    snapshot = run.kernel.seq
    with looking_up_often():
        finish(run, stop=lambda: run.kernel.inputs >= 1_800)
    shutil.rmtree(stopped / "states")
    shutil.copytree(kept, stopped / "states")
    seq = spoil(stopped, event_type, field, after=snapshot)
    refused(stopped, RecordDiverged, f"at seq {seq} the tape has {event_type}")


@pytest.mark.parametrize(("event_type", "field"), CHANGES)
def test_an_event_that_changed_before_the_snapshot_is_found_by_the_proof(
    stopped: Path, meant_to_differ: set[Path], event_type: str, field: str
) -> None:
    """Resuming executes nothing of what is before. Of an input, only the proof of what follows from it differs."""
    meant_to_differ.add(stopped)
    seq = spoil(stopped, event_type, field)
    before = rows(stopped)["events"]
    run = resume_run(stopped)
    asyncio.run(run.simulation.run(None))
    run.close()
    assert rows(stopped)["events"][: len(before)] == before
    divergence = verdict_of(stopped).divergence
    assert divergence is not None
    assert divergence.seq >= seq


@pytest.mark.parametrize("event_type", ["order.submitted", "market.trade"])
def test_resuming_a_tape_without_one_of_its_events_is_refused(spoilt: Path, event_type: str) -> None:
    seq = first_seq(spoilt, event_type)
    tamper(spoilt, "DELETE FROM events WHERE seq = ?", seq)
    forge_digest(spoilt)
    refused(spoilt, RecordDiverged, f"at seq {seq} the tape has nothing, but the execution produced {event_type}")


def test_resuming_a_tape_that_ends_within_a_cascade_is_refused(spoilt: Path) -> None:
    cascade = next(
        seq for seq, following in zip(derived(spoilt), derived(spoilt)[1:], strict=False) if following == seq + 1
    )
    cut(spoilt, cascade)
    refused(spoilt, RecordDiverged, f"at seq {cascade + 1} the tape has nothing")


def test_a_tape_that_ends_between_cascades_is_resumed(stopped: Path, alone: LeftAlone) -> None:
    """Its snapshots, which are ahead of it, are not used."""
    cut(stopped, first_seq(stopped, "timer.fired", after=500) - 1)
    resume(stopped)
    assert rows(stopped) == alone.rows


def derived(folder: Path) -> list[int]:
    return [row[0] for row in rows(folder)["events"] if b"-" in row[-1].split(b'"', 4)[3]]


def cut(folder: Path, last_seq: int) -> None:
    events = rows(folder)["events"]
    beyond = sum(row[0] > last_seq for row in events)
    tamper(folder, "DELETE FROM events WHERE seq > ?", last_seq, count=beyond)
    forge_digest(folder)


def test_resuming_a_tape_that_continues_after_the_end_of_the_run_is_refused(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    run = play(config("Busy", seconds=3), tmp_path)
    meant_to_differ.add(run.folder)
    tamper(
        run.folder,
        "INSERT INTO events SELECT seq + 1, type_id, ts, symbol, stream, stream_version, correlation_id,"
        " replace(payload, ?, ?) FROM events WHERE seq = ?",
        f'"seq":{run.kernel.seq},',
        f'"seq":{run.kernel.seq + 1},',
        run.kernel.seq,
    )
    forge_digest(run.folder)
    refused(run.folder, RecordDiverged, f"at seq {run.kernel.seq + 1} the tape has run.stopped")


@pytest.mark.parametrize("event_type", ["market.trade", "risk.approved"])
def test_resuming_a_tape_with_an_event_that_its_digest_does_not_know_is_refused(spoilt: Path, event_type: str) -> None:
    seq = first_seq(spoilt, event_type)
    put_payload(spoilt, seq, with_other_digit(raw_payload(spoilt, seq), "ts"))
    refused(spoilt, TickdeckError, "changed since (it was|they were) written")


def test_resuming_a_damaged_tape_is_refused_and_releases_it(spoilt: Path) -> None:
    seq = first_seq(spoilt, "run.started")
    tamper(spoilt, "UPDATE events SET payload = '{' WHERE seq = ?", seq)
    forge_digest(spoilt)
    for _ in range(2):
        refused(spoilt, TapeError, f"event seq {seq} is damaged")


def test_resuming_a_run_whose_strategy_reads_random_numbers_is_refused(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    folder = play_until(config("ReadsRandom"), tmp_path, 1_000)
    meant_to_differ.add(folder)
    forget_states(folder)
    seq = first_seq(folder, "strategy.decision")
    refused(folder, RecordDiverged, f"at seq {seq} the tape has strategy.decision (.*), but the execution produced")


def test_a_resumed_run_stopped_before_it_has_caught_up_is_unchanged(without_snapshots: Path, alone: LeftAlone) -> None:
    before = tape_bytes(without_snapshots)
    run = resume_run(without_snapshots)
    with looking_up_often():
        finish(run, stop=lambda: run.kernel.inputs >= 500)
    assert not run.caught_up()
    assert tape_bytes(without_snapshots) == before
    resume(without_snapshots)
    assert rows(without_snapshots) == alone.rows


def test_the_simulated_market_never_ends_so_that_a_run_without_a_duration_can_be_resumed(tmp_path: Path) -> None:
    wanted = msgspec.structs.replace(config("ema-cross"), duration=None)
    folder = play_until(wanted, tmp_path, 1_000)
    again = resume_run(folder)
    finish(again, stop=lambda: again.kernel.inputs >= 5_000)
    assert rows(folder)["events"][-1][0] == again.kernel.seq
