"""Repairing a tape, in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from tapes_in_both_forms import (
    FORMS,
    cascade,
    content,
    open_form,
    place,
    said,
    sql,
    stored,
    write,
)

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTapeReader, SqliteTapeReader
from tickdeck.infrastructure.tape.jsonl import list_segments
from tickdeck.infrastructure.tape.opening import open_reader
from tickdeck.infrastructure.tape.tools import check_tape, compact_tape, repair_tape


@FORMS
def test_repairing_a_sound_tape_does_nothing(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    events = write(path, form)
    before = stored(path), content(path) if form == "jsonl" else {}

    report = repair_tape(path)

    assert (report.ok, report.done, report.problems) == (True, [], [])
    assert (stored(path), content(path) if form == "jsonl" else {}) == before
    with open_reader(path) as reader:
        assert list(reader.read()) == events


def test_a_torn_tail_is_cut_and_what_is_committed_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    events = write(path, "jsonl")
    committed = content(path)
    last = sorted(path.glob("*.jsonl"))[-1]
    with last.open("ab") as file:
        file.write(b'{"crc":"01234567","event_type":"mark')

    report = check_tape(path)
    assert [problem.repairable for problem in report.problems] == [True]
    assert "36 bytes follow that a writer did not commit" in said(report)
    tried = repair_tape(path, dry_run=True)
    assert content(path) != committed
    assert (tried.dry_run, tried.ok, len(tried.done)) == (True, True, 1)
    done = repair_tape(path)

    assert (done.ok, done.done, done.problems) == (True, tried.done, [])
    assert content(path) == committed
    with JsonlTapeReader(path) as reader:
        assert list(reader.read()) == events


def test_indexes_are_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    whole = content(path)
    (path / "000001.index").unlink()
    (path / "000002.index").write_bytes(b"nonsense")

    assert "000001.index: the index is absent" in said(check_tape(path))
    assert "000002.index: the index does not fit" in said(check_tape(path))
    report = repair_tape(path)

    assert (report.ok, len(report.done)) == (True, 2)
    assert content(path) == whole


def test_incomplete_files_left_by_a_crash_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    whole = content(path)
    (path / f"{len(list_segments(path)) + 1:06d}.jsonl").write_bytes(b"{")
    (path / "000001.jsonl.part").write_bytes(b"{")

    assert "a segment whose creation or removal was interrupted" in said(check_tape(path))
    assert repair_tape(path).ok

    assert content(path) == whole


def test_damage_is_not_repaired_and_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    for name, at in (("000002.jsonl", 700), (sorted(path.glob("*.jsonl"))[-1].name, 500)):
        changed = bytearray((path / name).read_bytes())
        changed[at] ^= 1
        (path / name).write_bytes(changed)
    before = content(path)

    report = repair_tape(path)

    assert not report.ok
    assert len(report.problems) == 2
    assert {name: data for name, data in content(path).items() if name.endswith("jsonl")} == {
        name: data for name, data in before.items() if name.endswith("jsonl")
    }


def test_a_broken_sqlite_index_is_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    events = write(path, "sqlite")
    ddl = "CREATE INDEX events_by_time ON events (ts){}"
    change = f"UPDATE sqlite_master SET sql = '{ddl}' WHERE name = 'events_by_time'"
    sql(path, "PRAGMA writable_schema = ON", change.format(" WHERE 0"))
    sql(path, "REINDEX events_by_time")  # it is empty now
    sql(path, "PRAGMA writable_schema = ON", change.format(""))

    report = check_tape(path)
    assert "index events_by_time" in said(report)
    assert [problem for problem in report.problems if not problem.repairable] == []
    assert repair_tape(path).ok

    with SqliteTapeReader(path) as reader:
        assert list(reader.read()) == events


@FORMS
def test_a_tape_that_is_being_written_is_not_repaired(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    with open_form(path, form) as tape:
        tape.append(cascade(1))
        tape.wait_durable(12)

        with pytest.raises(TapeError, match="is writing this tape; stop it first"):
            repair_tape(path)
        with pytest.raises(TapeError, match="is writing this tape; stop it first"):
            compact_tape(path)
