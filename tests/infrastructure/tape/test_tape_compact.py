"""Compacting a tape, in both formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tapes_in_both_forms import (
    ORDER,
    content,
    sql,
    stored,
    write,
)

from tickdeck.application.ports import TapeQuery
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTapeReader, SqliteTapeReader
from tickdeck.infrastructure.tape.jsonl import list_segments
from tickdeck.infrastructure.tape.tools import check_tape, compact_tape, compacting, repair_tape


def test_segments_and_groups_are_merged_and_the_events_remain(tmp_path: Path) -> None:
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


def test_a_compacted_tape_can_be_continued_and_compacted_again(tmp_path: Path) -> None:
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


def test_a_reader_misses_and_repeats_nothing_during_a_compaction(tmp_path: Path) -> None:
    for taken in (1, 25, 60, 118):
        path = tmp_path / str(taken)
        events = write(path, "jsonl")
        with JsonlTapeReader(path) as reader:
            going = reader.read()
            found = [next(going) for _ in range(taken)]
            if taken == 25:  # one merge ends within what was read, and one goes beyond it
                compact_tape(path, segment_bytes=9_000)
            compact_tape(path)
            found += going
        assert found == events


def test_compacting_sqlite_frees_unused_pages(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    events = write(path, "sqlite")
    sql(path, "CREATE TABLE ballast (x)", "INSERT INTO ballast VALUES (zeroblob(1000000))", "DROP TABLE ballast")

    done = compact_tape(path)

    assert done.bytes_after < done.bytes_before - 900_000
    with SqliteTapeReader(path) as reader:
        assert list(reader.read()) == events
    assert check_tape(path).ok


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_missing_tape_is_not_compacted(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "tape"
    make(path)

    with pytest.raises(TapeError, match="there is no tape here"):
        compact_tape(path)
    with pytest.raises(TapeError, match="there is no tape here"):
        repair_tape(path)
    assert not path.exists() or list(path.iterdir()) == []
