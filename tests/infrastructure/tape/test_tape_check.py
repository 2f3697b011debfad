"""Checking a tape, in both formats."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tapes_in_both_forms import (
    FORMS,
    ORDER,
    accepted,
    cascade,
    event,
    open_form,
    place,
    said,
    sql,
    write,
    write_raw,
)

from tickdeck.application.ports import Snapshot
from tickdeck.domain.events import TradingHalted
from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader, SqliteTape
from tickdeck.infrastructure.tape.jsonl import lines
from tickdeck.infrastructure.tape.opening import open_reader, open_tape
from tickdeck.infrastructure.tape.tools import check_tape, compact_tape, convert_tape


@FORMS
def test_an_intact_tape_is_ok_and_the_checks_are_listed(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    events = write(path, form)

    report = check_tape(path)

    assert (report.ok, report.problems, report.found) == (True, [], 0)
    assert (report.events, report.last_seq, report.streams, report.snapshots) == (len(events), 402, 2, 1)
    words = " ".join(report.checked)
    for word in ("120", "checksum" if form == "jsonl" else "integrity", "seq", "cascades are complete", "2 streams"):
        assert word in words


@FORMS
def test_an_empty_tape_is_ok(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    open_form(path, form).close()

    report = check_tape(path)

    assert (report.ok, report.events, report.problems) == (True, 0, [])


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_missing_tape_is_not_checked(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "tape"
    make(path)

    with pytest.raises(TapeError, match="there is no tape here"):
        check_tape(path)


def test_a_newer_tape_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "tape").mkdir()
    (tmp_path / "tape" / "000001.jsonl").write_bytes(lines.segment_line(lines.SegmentHead(1, 1, 0, format=9)))

    with pytest.raises(TapeVersionError, match="format 9"):
        check_tape(tmp_path / "tape")


@FORMS
def test_versions_of_a_stream_that_skip_or_repeat_are_reported(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    rows = [(accepted("x", 1), ORDER, 1), (accepted("y", 2), ORDER, 3), (accepted("z", 3, "b"), "order/main/b", 2)]
    write_raw(path, form, [rows])

    report = check_tape(path)

    assert not report.ok
    assert f"has version 3 of stream '{ORDER}', not 2" in said(report)
    assert "has version 2 of stream 'order/main/b', not 1" in said(report)


@FORMS
def test_an_event_in_the_stream_of_another_is_reported(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    write_raw(path, form, [[(accepted("x", 1), "order/main/b", 1), (accepted("y", 2), None, None)]])

    found = said(check_tape(path))

    assert f"is stored in stream 'order/main/b', but belongs to '{ORDER}'" in found
    assert f"is stored in stream None, but belongs to '{ORDER}'" in found


@FORMS
def test_a_cascade_with_a_hole_is_reported(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    rows = [accepted("7-1", 1), accepted("7-3", 2), accepted("7-2-1", 3)]
    write_raw(path, form, [[(fields, ORDER, version) for version, fields in enumerate(rows, start=1)]])

    found = said(check_tape(path))

    assert "7-3 exists, but 7-2 before it does not" in found
    assert "7-2-1 exists, but its cause 7-2 does not" in found


def test_a_commit_within_a_cascade_is_reported(tmp_path: Path) -> None:
    rows = [[(accepted("7-1", 1), ORDER, 1)], [(accepted("7-2", 2), ORDER, 2)]]
    write_raw(tmp_path / "tape", "jsonl", rows)

    assert "7-2 belongs to the cascade of the previous group, so a commit" in said(check_tape(tmp_path / "tape"))


@FORMS
def test_foreign_ids_and_halts_that_replaced_siblings_are_not_problems(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    with open_form(path, form) as tape:
        for seq, event_id in enumerate(("2024-05-07", "a-3", "", "9-9"), start=1):
            tape.append([event(event_id, seq, causation_id="other")])
        tape.append([event("12", 5, None), event("12-1", 6)])
        tape.append([event("13", 7, None), TradingHalted(reason="r", seq=8, event_id="13-4", causation_id="13")])

    assert said(check_tape(path)) == ""


@FORMS
def test_an_event_that_does_not_decode_is_reported(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    write_raw(path, form, [[({"event_id": "x", "seq": 1, "symbol": 5}, None, None), (accepted("y", 2), ORDER, 1)]])

    report = check_tape(path)

    assert "does not decode: order.accepted" in said(report)
    assert (report.events, report.found) == (2, 1)


@FORMS
def test_a_snapshot_ahead_of_its_stream_is_reported(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    with open_form(path, form) as tape:
        tape._write_snapshot("order/main/none", Snapshot(7, b""))

    assert "snapshot of 'order/main/none': has version 7, but the stream has 0 events" in said(check_tape(path))


def test_no_more_than_a_hundred_problems_are_reported_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    write_raw(path, "sqlite", [[(accepted(f"x{seq}", seq), ORDER, seq + 1) for seq in range(1, 151)]])

    report = check_tape(path)

    assert (len(report.problems), report.found) == (100, 150)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE events SET ts = 5 WHERE seq = 11", "seq 11: the columns of its row do not match the event"),
        ("UPDATE events SET symbol = 'X' WHERE seq = 10", "seq 10: the columns"),
        ("UPDATE events SET correlation_id = '9' WHERE seq = 11", "seq 11: the columns"),
        ("UPDATE events SET type_id = 9 WHERE seq = 11", "seq 11: has a type number that the tape does not define"),
        ("UPDATE events SET payload = '{' WHERE seq = 11", "seq 11: does not decode"),
        ("UPDATE events SET seq = 500 WHERE seq = 11", "seq 500: the columns"),
        ("DELETE FROM events WHERE seq = 11", "seq 12: 1-2 exists, but 1-1 before it does not"),
    ],
)
def test_a_row_that_was_changed_is_reported(tmp_path: Path, statement: str, told: str) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    sql(path, statement)

    assert told in said(check_tape(path))


def test_a_damaged_page_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)

    report = check_tape(path)

    assert not report.ok
    assert str(path) in said(report)


def test_a_damaged_snapshot_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    (file,) = (path / "snapshots").rglob("*.json")
    file.write_bytes(file.read_bytes().replace(b'"version":2', b'"version":3'))

    report = check_tape(path)

    assert f"{file}: the snapshot was changed since it was written" in said(report)
    with (
        JsonlTapeReader(path) as reader,
        pytest.raises(TapeError, match="the snapshot was changed since it was written"),
    ):
        reader.load_snapshot(ORDER)


@pytest.mark.parametrize("column", ["stream", "version", "state"])
def test_a_damaged_snapshot_on_sqlite_is_reported_and_may_be_written_again(tmp_path: Path, column: str) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    other = {"stream": "'order/main/z'", "version": "1", "state": "x'00'"}[column]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE snapshots SET {column} = {other}")

    report = check_tape(path)

    assert "was changed since it was written; delete its row, the events are complete" in said(report)
    with SqliteTape(path) as tape:
        if column == "state":
            with pytest.raises(TapeError, match=f"the snapshot of '{ORDER}' at version 2 was changed"):
                tape.load_snapshot(ORDER)
        tape.save_snapshot(ORDER, 2, b"state")
        assert tape.load_snapshot(ORDER) == (2, b"state")


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_compacting_and_copying_keep_every_snapshot(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("tape.db" if form == "sqlite" else "tape")
    write(path, form)
    with open_tape(path, form) as tape:
        tape.save_snapshot(ORDER, 1, b"before")
        tape.save_snapshot(ORDER, 3, b"after")
    kept = [(ORDER, (1, b"before")), (ORDER, (2, b"state")), (ORDER, (3, b"after"))]

    compact_tape(path)
    convert_tape(path, tmp_path / "copy.db", "sqlite")
    convert_tape(path, tmp_path / "copy", "jsonl")

    for tape_path in (path, tmp_path / "copy.db", tmp_path / "copy"):
        with open_reader(tape_path) as reader:
            assert list(reader.snapshots()) == kept


def test_segments_that_do_not_follow_each_other_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "one", "jsonl")
    write(tmp_path / "two", "jsonl", range(101, 141))
    for name in ("000002.jsonl", "000002.index"):
        shutil.copy(tmp_path / "two" / name, tmp_path / "one" / name)

    assert "000002.jsonl: begins after seq" in said(check_tape(tmp_path / "one"))


def test_a_tape_that_is_being_written_is_checked_up_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    with JsonlTape(path) as tape:
        with (path / "000001.jsonl").open("rb") as file:
            piece = file.read(300)[100:]
        last = sorted(path.glob("*.jsonl"))[-1]
        with last.open("ab") as file:
            file.write(piece)
        assert check_tape(path).ok
        with last.open("r+b") as file:
            file.truncate(last.stat().st_size - len(piece))
        tape.append(cascade(50))
