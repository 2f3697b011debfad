"""Checking, repairing, converting and compacting a tape, in both forms."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tickdeck.application.ports import Snapshot, TapeQuery
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, TradeEvent, TradingHalted
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError, TapeError, TapeVersionError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader, SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.jsonl import lines, list_segments, load_index, store_index
from tickdeck.infrastructure.tape.opening import AnyTape, open_reader, open_tape
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.tools import check_tape, compact_tape, compacting, convert_tape, repair_tape
from tickdeck.infrastructure.tape.tools.checking import CheckReport

ORDER = "order/main/a"
FORMS = pytest.mark.parametrize("form", ["sqlite", "jsonl"])


def event(event_id: str, seq: int, order_id: str | None = "a", **fields: Any) -> DomainEvent:
    parent = event_id.rpartition("-")[0]
    number = event_id.partition("-")[0]
    envelope = {
        "event_id": event_id,
        "causation_id": parent,
        "correlation_id": number,
        "seq": seq,
        "ts_ingress": seq,
        **fields,
    }
    if order_id is None:
        return TradeEvent(symbol="BTCUSDT", price=Decimal(1), quantity=Decimal(1), side=Side.BUY, **envelope)
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT", **envelope)


def cascade(number: int, size: int = 3) -> list[DomainEvent]:
    """A market event and what it caused; each number takes ten places."""
    first = number * 10
    events = [event(str(number), first, None)]
    return events + [event(f"{number}-{k}", first + k, "ab"[k % 2]) for k in range(1, size)]


def open_form(path: Path, form: str, **options: Any) -> AnyTape:
    return JsonlTape(path, **{"segment_bytes": 4_000, **options}) if form == "jsonl" else SqliteTape(path)


def place(folder: Path, form: str) -> Path:
    return folder / ("tape" if form == "jsonl" else "tape.db")


def write(path: Path, form: str, numbers: range = range(1, 41)) -> list[DomainEvent]:
    """Cascades, each in a group of its own, and a snapshot."""
    events: list[DomainEvent] = []
    with open_form(path, form) as tape:
        for number in numbers:
            tape.append(cascade(number))
            tape.wait_durable(tape.last_seq)
            events += cascade(number)
        tape.save_snapshot(ORDER, 2, b"state")
    return events


NOW = OrderAcceptedEvent.version


def write_raw(path: Path, form: str, records: list[list[tuple[dict[str, Any], str | None, int | None]]]) -> None:
    """Groups of payloads with streams and versions, as no writer of ours would store them."""
    with open_form(path, form) as tape:
        for group in records:
            tape.append_records(
                [
                    Record("order.accepted", NOW, stream, version, msgspec.json.encode(fields), "made up")
                    for fields, stream, version in group
                ]
            )
            tape.wait_durable(tape.last_seq)


def accepted(event_id: str, seq: int, order_id: str = "a", causation_id: str | None = None) -> dict[str, Any]:
    cause = event_id.rpartition("-")[0] if causation_id is None else causation_id
    return {"event_id": event_id, "causation_id": cause, "seq": seq, "order_id": order_id, "symbol": "S"}


def said(report: CheckReport) -> str:
    return "\n".join(f"{problem.where}: {problem.what}" for problem in report.problems)


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


# -- check -----------------------------------------------------------------------------------------------------------


@FORMS
def test_a_sound_tape_is_ok_and_it_is_said_what_was_checked(tmp_path: Path, form: str) -> None:
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
def test_where_there_is_no_tape_nothing_is_checked(tmp_path: Path, make: Callable[[Path], object]) -> None:
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
def test_versions_of_a_stream_that_skip_or_repeat_are_told(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    rows = [(accepted("x", 1), ORDER, 1), (accepted("y", 2), ORDER, 3), (accepted("z", 3, "b"), "order/main/b", 2)]
    write_raw(path, form, [rows])

    report = check_tape(path)

    assert not report.ok
    assert f"has version 3 of stream '{ORDER}', not 2" in said(report)
    assert "has version 2 of stream 'order/main/b', not 1" in said(report)


@FORMS
def test_an_event_in_the_stream_of_another_is_told(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    write_raw(path, form, [[(accepted("x", 1), "order/main/b", 1), (accepted("y", 2), None, None)]])

    found = said(check_tape(path))

    assert f"is stored in stream 'order/main/b', but belongs to '{ORDER}'" in found
    assert f"is stored in stream None, but belongs to '{ORDER}'" in found


@FORMS
def test_a_cascade_with_a_hole_is_told(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    rows = [accepted("7-1", 1), accepted("7-3", 2), accepted("7-2-1", 3)]
    write_raw(path, form, [[(fields, ORDER, version) for version, fields in enumerate(rows, start=1)]])

    found = said(check_tape(path))

    assert "7-3 exists, but 7-2 before it does not" in found
    assert "7-2-1 exists, but its cause 7-2 does not" in found


def test_a_commit_within_a_cascade_is_told(tmp_path: Path) -> None:
    rows = [[(accepted("7-1", 1), ORDER, 1)], [(accepted("7-2", 2), ORDER, 2)]]
    write_raw(tmp_path / "tape", "jsonl", rows)

    assert "7-2 belongs to the cascade of the previous group, so a commit" in said(check_tape(tmp_path / "tape"))


@FORMS
def test_ids_that_no_kernel_gave_and_a_halt_that_took_the_place_of_others_say_nothing(
    tmp_path: Path, form: str
) -> None:
    path = place(tmp_path, form)
    with open_form(path, form) as tape:
        for seq, event_id in enumerate(("2024-05-07", "a-3", "", "9-9"), start=1):
            tape.append([event(event_id, seq, causation_id="other")])
        tape.append([event("12", 5, None), event("12-1", 6)])
        tape.append([event("13", 7, None), TradingHalted(reason="r", seq=8, event_id="13-4", causation_id="13")])

    assert said(check_tape(path)) == ""


@FORMS
def test_an_event_that_does_not_decode_is_told(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    write_raw(path, form, [[({"event_id": "x", "seq": 1, "symbol": 5}, None, None), (accepted("y", 2), ORDER, 1)]])

    report = check_tape(path)

    assert "does not decode: order.accepted" in said(report)
    assert (report.events, report.found) == (2, 1)


@FORMS
def test_a_snapshot_ahead_of_its_stream_is_told(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    with open_form(path, form) as tape:
        tape._write_snapshot("order/main/none", Snapshot(7, b""))

    assert "snapshot of 'order/main/none': has version 7, but the stream has 0 events" in said(check_tape(path))


def test_no_more_than_a_hundred_problems_are_told_and_all_are_counted(tmp_path: Path) -> None:
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
def test_a_row_that_was_changed_is_told(tmp_path: Path, statement: str, told: str) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    sql(path, statement)

    assert told in said(check_tape(path))


def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)

    report = check_tape(path)

    assert not report.ok
    assert str(path) in said(report)


def test_a_damaged_snapshot_is_told(tmp_path: Path) -> None:
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
def test_a_damaged_snapshot_on_sqlite_is_told_and_may_be_written_again(tmp_path: Path, column: str) -> None:
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


def test_segments_that_do_not_follow_each_other_are_told(tmp_path: Path) -> None:
    write(tmp_path / "one", "jsonl")
    write(tmp_path / "two", "jsonl", range(101, 141))
    for name in ("000002.jsonl", "000002.index"):
        shutil.copy(tmp_path / "two" / name, tmp_path / "one" / name)

    assert "000002.jsonl: begins after seq" in said(check_tape(tmp_path / "one"))


def test_a_tape_that_is_being_written_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
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


# -- repair ----------------------------------------------------------------------------------------------------------


def content(path: Path) -> dict[str, bytes]:
    return {str(found.relative_to(path)): found.read_bytes() for found in path.rglob("*") if found.is_file()}


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


def test_indexes_are_made_anew(tmp_path: Path) -> None:
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


def test_files_that_a_crash_left_half_made_are_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    whole = content(path)
    (path / f"{len(list_segments(path)) + 1:06d}.jsonl").write_bytes(b"{")
    (path / "000001.jsonl.part").write_bytes(b"{")

    assert "a segment whose creation or removal was interrupted" in said(check_tape(path))
    assert repair_tape(path).ok

    assert content(path) == whole


def test_damage_is_beyond_repair_and_left_as_it_is(tmp_path: Path) -> None:
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


def test_a_broken_index_of_sqlite_is_made_anew(tmp_path: Path) -> None:
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


# -- convert ---------------------------------------------------------------------------------------------------------


def stored(path: Path) -> list[tuple[Any, ...]]:
    with open_reader(path) as reader:
        return [record[:-1] for record in reader.records()] + list(reader.snapshots())


@FORMS
@pytest.mark.parametrize("to", ["sqlite", "jsonl"])
def test_a_copy_in_the_other_form_has_the_same_events_streams_and_snapshots(tmp_path: Path, form: str, to: str) -> None:
    path, out = place(tmp_path, form), tmp_path / ("copy.db" if to == "sqlite" else "copy")
    events = write(path, form)
    with open_form(path, form) as tape:  # a type that this process does not know, with a stream
        fields = {"event_id": "900", "seq": 9_000, "headline": "é", "symbol": "S"}
        tape.append_records([Record("tape_tools_test.unknown", 3, "news/x", 1, msgspec.json.encode(fields), "")])

    done = convert_tape(path, out, to)

    assert (done.events, done.last_seq, done.snapshots, done.out_form) == (len(events) + 1, 9_000, 1, to)
    assert stored(out) == stored(path)
    assert check_tape(out).ok
    with open_reader(out) as reader, open_reader(path) as original:
        assert list(reader.read()) == list(original.read())
        for query in (TapeQuery(stream="news/x"), TapeQuery(symbol="S"), TapeQuery(correlation_id="7")):
            assert list(reader.read(query)) == list(original.read(query)) != []
    with open_form(out, to) as tape:
        assert tape.stream_version(ORDER) == 40
        tape.append([event("901", 9_001)], expected_version=40)


def test_a_copy_does_not_divide_a_cascade(tmp_path: Path) -> None:
    write(tmp_path / "tape.db", "sqlite")

    convert_tape(tmp_path / "tape.db", tmp_path / "copy", "jsonl")

    assert check_tape(tmp_path / "copy").ok


@pytest.mark.parametrize(
    ("out", "to", "message"),
    [
        ("there.db", "sqlite", "already exists and is not overwritten"),
        ("copy", "sqlite", r"the name of a tape on SQLite ends in \.db; name it copy\.db"),
        ("none/copy", "jsonl", "cannot be created: No such file or directory"),
    ],
)
def test_a_copy_that_cannot_be_made_is_one_clear_line(tmp_path: Path, out: str, to: str, message: str) -> None:
    write(tmp_path / "tape.db", "sqlite")
    (tmp_path / "there.db").touch()

    with pytest.raises(ConfigError, match=message):
        convert_tape(tmp_path / "tape.db", tmp_path / out, to)


def test_a_damaged_tape_leaves_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    changed = bytearray((path / "000002.jsonl").read_bytes())
    changed[900] ^= 1
    (path / "000002.jsonl").write_bytes(changed)

    with pytest.raises(TapeError, match=r"000002\.jsonl, line \d+, bytes"):
        convert_tape(path, tmp_path / "copy.db", "sqlite")

    assert [found.name for found in tmp_path.iterdir()] == ["tape"]


@pytest.mark.parametrize(
    "edited",
    ["replace(payload, ',', ',' || char(10))", 'replace(payload, \'{"event_id\', \'{"stream":"x","event_id\')'],
)
def test_json_that_was_edited_by_hand_is_not_put_in_lines(tmp_path: Path, edited: str) -> None:
    write(tmp_path / "tape.db", "sqlite")
    sql(tmp_path / "tape.db", f"UPDATE events SET payload = {edited} WHERE seq = 11")

    with pytest.raises(TapeError, match="seq 11: its JSON was edited by hand; put it on one line"):
        convert_tape(tmp_path / "tape.db", tmp_path / "copy", "jsonl")


# -- compact ---------------------------------------------------------------------------------------------------------


def test_segments_and_groups_are_merged_and_the_events_stay(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    before = stored(path)

    done = compact_tape(path)

    assert done.segments_before > 3
    assert done.segments_after == 1
    assert done.bytes_after < done.bytes_before
    assert stored(path) == before
    report = check_tape(path)
    assert (report.ok, report.groups) == (True, 1)
    assert sorted(name for name in content(path) if not name.startswith("snapshots")) == [
        "000001.index",
        "000001.jsonl",
        "writer.lock",
    ]


def test_a_compacted_tape_is_written_on_and_compacted_again(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    events = write(path, "jsonl")
    compact_tape(path, segment_bytes=10_000)
    events += write(path, "jsonl", range(41, 61))
    compact_tape(path, segment_bytes=20_000)
    events += write(path, "jsonl", range(61, 71))

    assert check_tape(path).ok
    heads = [segment.head for segment in list_segments(path)]
    assert any(head.through > head.number for head in heads)
    with JsonlTapeReader(path) as reader:
        assert list(reader.read()) == events
        assert [found.seq for found in reader.read(TapeQuery(first_seq=555))][:3] == [560, 561, 562]
        assert reader.stream_version(ORDER) == 70
    assert compact_tape(path).segments_after == 1
    again = compact_tape(path)
    assert again.bytes_after == again.bytes_before


@pytest.mark.parametrize("when", ["before the exchange", "before the old ones are gone", "in the middle of that"])
def test_a_crash_in_a_compaction_leaves_the_tape_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    path = tmp_path / "tape"
    events = write(path, "jsonl")

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        if when == "in the middle of that":
            (path / "000003.jsonl").unlink()
        raise Crash

    if when == "before the exchange":
        monkeypatch.setattr(compacting, "sync_content", crash)
    else:
        monkeypatch.setattr(compacting, "remove_merged", crash)
    with pytest.raises(Crash):
        compact_tape(path)
    monkeypatch.undo()

    with JsonlTapeReader(path) as reader:
        assert list(reader.read()) == events
        assert reader.last_seq == 402
    assert {problem.repairable for problem in check_tape(path).problems} <= {True}
    events += write(path, "jsonl", range(41, 45))
    assert check_tape(path).ok
    with JsonlTapeReader(path) as reader:
        assert list(reader.read()) == events


def test_a_reader_in_the_middle_of_a_tape_that_is_compacted_misses_and_repeats_nothing(tmp_path: Path) -> None:
    for taken in (1, 25, 60, 118):
        path = tmp_path / str(taken)
        events = write(path, "jsonl")
        with JsonlTapeReader(path) as reader:
            going = reader.read()
            found = [next(going) for _ in range(taken)]
            if taken == 25:  # merged by one that ends within what was read, and by one that goes on
                compact_tape(path, segment_bytes=9_000)
            compact_tape(path)
            found += going
        assert found == events


def test_compacting_sqlite_gives_back_free_pages(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    events = write(path, "sqlite")
    sql(path, "CREATE TABLE ballast (x)", "INSERT INTO ballast VALUES (zeroblob(1000000))", "DROP TABLE ballast")

    done = compact_tape(path)

    assert done.bytes_after < done.bytes_before - 900_000
    with SqliteTapeReader(path) as reader:
        assert list(reader.read()) == events
    assert check_tape(path).ok


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_where_there_is_no_tape_nothing_is_compacted(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "tape"
    make(path)

    with pytest.raises(TapeError, match="there is no tape here"):
        compact_tape(path)
    with pytest.raises(TapeError, match="there is no tape here"):
        repair_tape(path)
    assert not path.exists() or list(path.iterdir()) == []


# -- damage of any kind ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_spoilt_sqlite_tape_never_gives_more_than_one_clear_line(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "tape.db"
    with SqliteTape(path) as tape:
        for number in range(1, 400):
            tape.append(cascade(number))
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    at = rng.randrange(4_096, len(data) - 64)
    data[at : at + 64] = (rng.randbytes(64), bytes(64), b"\xff" * 64)[seed % 3]
    path.write_bytes(data)

    for use in (
        lambda: list(open_reader(path).read()),
        lambda: check_tape(path),
        lambda: repair_tape(path),
        lambda: convert_tape(path, tmp_path / "copy", "jsonl"),
    ):
        with contextlib.suppress(TapeError):
            use()


def test_a_damaged_head_is_told_as_the_damage_and_repair_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with open_form(path, "jsonl") as tape:
        for number in range(1, 60):
            tape.append(cascade(number))
            tape.wait_durable(tape.last_seq)
        tape.save_snapshot(ORDER, 3, b"state")
    segment = path / "000002.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"after_seq":', b'"after_seQ":', 1))

    report, repaired = check_tape(path), repair_tape(path)

    assert [problem.where.startswith(str(segment)) for problem in report.problems] == [True]
    assert (report.ok, repaired.ok, len(repaired.problems)) == (False, False, 1)


def test_absent_indexes_do_not_hide_damage(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with open_form(path, "jsonl", segment_bytes=1) as tape:
        for number in range(1, 140):
            tape.append(cascade(number))
            tape.wait_durable(tape.last_seq)
    for index in path.glob("*.index"):
        index.unlink()
    last = path / "000138.jsonl"
    last.write_bytes(last.read_bytes().replace(b'"order_id":"a"', b'"order_id":"c"', 1))

    tried = repair_tape(path, dry_run=True)

    assert not tried.ok
    assert [problem.where.startswith(str(last)) for problem in tried.problems] == [True]


def test_an_index_with_another_version_of_a_stream_is_told_and_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    segment = list_segments(path)[0]
    index = load_index(segment)
    assert index is not None
    index.streams[ORDER] += 1
    store_index(segment.path, index)

    assert "the index does not fit" in said(check_tape(path))
    assert repair_tape(path).ok
    assert check_tape(path).ok


@pytest.mark.parametrize("column", ["symbol", "correlation_id"])
def test_a_row_without_what_queries_look_for_is_told(tmp_path: Path, column: str) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    sql(path, f"UPDATE events SET {column} = NULL WHERE seq = 12")

    assert said(check_tape(path)) == "seq 12: the columns of its row do not match the event"


def test_a_new_type_gets_no_number_that_another_has(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    SqliteTape(path).close()
    sql(path, "INSERT INTO types VALUES (2, 'x.y', 1), (3, 'x.z', 1)")

    with SqliteTape(path) as tape:
        tape.append([event("1", 1, None)])

    with SqliteTapeReader(path) as reader:
        assert [record.type for record in reader.records()] == ["market.trade"]
