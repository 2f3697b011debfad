"""Gate: what a resumed run reads of its tape does not depend on how long the run is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forging import forge_lines
from gate_runs import config, prove, put_payload, raw_payload

from tickdeck.bootstrap import core_snapshots, resume, resume_run, start_run, verify_run
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.tape import JsonlTape
from tickdeck.infrastructure.tape.digest import BLOCK
from tickdeck.infrastructure.tape.jsonl import walk as jsonl_walk
from tickdeck.infrastructure.tape.opening import open_reader, tape_path
from tickdeck.infrastructure.tape.sqlite import SqliteTapeReader

EVERY = 2_000


def stopped(data: Path, form: str, inputs: int) -> Path:
    """A run that was stopped after some inputs. As if it had been killed, it has no snapshot of its end, if it had one
    before."""
    run = start_run(config("ema-cross", seconds=100_000, state_every=EVERY, tape_format=form), data)

    def stop(_: int) -> None:
        run.tape.wait_durable(run.tape.last_seq)  # or a slow disk would make groups of all sizes, which are read whole
        if run.kernel.inputs >= inputs:
            run.driver.request_stop()

    try:
        asyncio.run(run.drive(None, progress=stop))
    finally:
        run.close()
    states = sorted((run.folder / "states").glob("*.json"), key=lambda path: int(path.stem))
    for newest in states[1:]:
        newest.unlink()
    return run.folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events are read each time."""
    counts: list[int] = []
    chunk, rows, groups = SqliteTapeReader._chunk, SqliteTapeReader.rows, jsonl_walk.read_groups

    def counted(result: list[Any]) -> list[Any]:
        counts.append(len(result))
        return result

    def counted_groups(*arguments: Any, **options: Any) -> Iterator[Any]:
        for group in groups(*arguments, **options):
            counts.append(group.commit.events)
            yield group

    monkeypatch.setattr(SqliteTapeReader, "_chunk", lambda *a: counted(chunk(*a)))
    monkeypatch.setattr(SqliteTapeReader, "rows", lambda *a: counted(rows(*a)))
    monkeypatch.setattr(jsonl_walk, "read_groups", counted_groups)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_fraction_of_a_long_tape_is_read(
    tmp_path: Path, form: str, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(JsonlTape.__init__.__kwdefaults__, "segment_bytes", 1 << 20)
    monkeypatch.setattr(core_snapshots, "_SHARE", 0)  # a snapshot whenever it is time
    folder = stopped(tmp_path, form, 60_000)
    read.clear()
    run = resume_run(folder)
    total = sum(read)
    assert "continues from its snapshot" in run.resumed
    last_seq, snapshot = run.tape.last_seq, run.kernel.seq
    run.close()

    assert total < 6 * BLOCK + 4 * (last_seq - snapshot)
    assert total < 0.6 * last_seq
    prove(folder)


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_only_the_record_behind_the_snapshot_is_checked(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path, form, 3_000)
    checked: list[int] = []
    examine = resume.examine

    def noting(*arguments: Any, first_seq: int = 1) -> Any:
        checked.append(first_seq)
        return examine(*arguments, first_seq=first_seq)

    monkeypatch.setattr(resume, "examine", noting)
    resume_run(folder).close()

    with open_reader(tape_path(folder)) as tape:
        last_seq = tape.last_seq
    assert checked[0] == last_seq
    assert len(checked) == 2
    assert EVERY <= checked[1] <= last_seq


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_change_behind_the_snapshot_is_refused(tmp_path: Path, meant_to_differ: set[Path], form: str) -> None:
    folder = stopped(tmp_path, form, 3_000)
    meant_to_differ.add(folder)
    (folder / "end.json").unlink()
    with open_reader(tape_path(folder)) as tape:
        seq = tape.last_seq - 20
    if form == "sqlite":
        put_payload(folder, seq, raw_payload(folder, seq).replace('"metadata":{}', '"metadata":{"note":"forged"}'))
    else:
        number = b'"seq":%d,' % seq

        def change(line: bytes) -> bytes:
            return line.replace(b'"metadata":{}', b'"metadata":{"note":"forged"}') if number in line else line

        assert forge_lines(tape_path(folder), change) == 1

    with pytest.raises((RunError, TapeError), match="changed"):
        resume_run(folder)
    assert verify_run(folder)[0].faults
