"""Converting a tape to the other format."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tapes_in_both_forms import (
    FORMS,
    ORDER,
    event,
    open_form,
    place,
    sql,
    stored,
    write,
)

from tickdeck.application.ports import TapeQuery
from tickdeck.errors import ConfigError, TapeError
from tickdeck.infrastructure.tape.opening import open_reader
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.tools import check_tape, convert_tape


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
        ("none/copy", "jsonl", "there is no folder .*none; create it, or name another place"),
    ],
)
def test_a_copy_that_cannot_be_made_gives_one_clear_line(tmp_path: Path, out: str, to: str, message: str) -> None:
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
def test_manually_edited_json_is_not_converted_to_lines(tmp_path: Path, edited: str) -> None:
    write(tmp_path / "tape.db", "sqlite")
    sql(tmp_path / "tape.db", f"UPDATE events SET payload = {edited} WHERE seq = 11")

    with pytest.raises(TapeError, match="seq 11: its JSON was edited by hand; put it on one line"):
        convert_tape(tmp_path / "tape.db", tmp_path / "copy", "jsonl")
