"""The indexes of a tape in JSON Lines: what they save, and what happens without them."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonl_tapes import names, seqs, write
from tape_events import NEVER, order, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import RunResumed
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader
from tickdeck.infrastructure.tape.jsonl import (
    lines,
    segment_index,
    segments,
)
from tickdeck.infrastructure.tape.jsonl import (
    tape as jsonl,
)
from tickdeck.infrastructure.tape.jsonl import (
    walk as jsonl_walk,
)
from tickdeck.infrastructure.tape.tools import check_tape


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


def many(path: Path) -> None:
    """Two and a half segments with many spans each."""
    with JsonlTape(path, linger_ms=NEVER, segment_bytes=200_000) as tape:
        for seq in range(1, 2_001):
            make = trade if seq % 10 else lambda seq, **fields: order(seq, f"o{seq % 50}", **fields)
            tape.append([make(seq, ts_ingress=seq * 10)])
            if seq % 20 == 0:
                tape.wait_durable(seq)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "tape"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_index, "_SPAN", 20_000)
        many(path)
    return path


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each group that a reader reads."""
    read: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Iterator[segments.Group]:
        for group in segments.read_groups(*arguments, **options):
            read.append(group.end - group.offset)
            yield group

    monkeypatch.setattr(jsonl_walk, "read_groups", counting)
    return read


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"first_seq": 1_500, "limit": 3}, [1_500, 1_501, 1_502]),
        ({"first_seq": 1_999}, [1_999, 2_000]),
        ({"first_ts": 15_001, "last_ts": 15_030}, [1_501, 1_502, 1_503]),
        ({"first_ts": 99_999}, []),
        ({"from_id": "5", "last_seq": 7}, [6, 7]),
    ],
    ids=str,
)
def test_a_part_is_read_without_reading_the_whole_tape(
    large: Path, read_bytes: list[int], wanted: dict[str, Any], expected: list[int]
) -> None:
    assert seqs(large, **wanted) == expected

    assert sum(read_bytes) < 100_000


@pytest.fixture
def rare(path: Path) -> Path:
    """Many segments. One event in the middle has a type of its own, and one near the beginning a stream of its own."""
    with JsonlTape(path, linger_ms=NEVER, segment_bytes=20_000) as tape:
        for seq in range(1, 1_001):
            if seq == 500:
                tape.append([RunResumed(seq=seq, event_id=str(seq))])
            else:
                tape.append([order(seq, "once") if seq == 90 else trade(seq)])
            if seq % 20 == 0:
                tape.wait_durable(seq)
    assert len(names(path)) > 20
    return path


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"types": ("run.resumed",)}, [500]),
        ({"types": ("run.*",), "first_seq": 400, "last_seq": 600}, [500]),
        ({"types": ("run.stopped",)}, []),
        ({"types": ("market.trade",), "limit": 2}, [1, 2]),
        ({"stream": "order/main/once"}, [90]),
        ({"stream": "order/main/twice"}, []),
        ({"stream": "order/main/once", "types": ("order.accepted",)}, [90]),
        ({"stream": "order/main/once", "types": ("order.filled",)}, []),
    ],
    ids=str,
)
def test_segments_without_a_type_or_stream_are_not_read(
    rare: Path, read_bytes: list[int], wanted: dict[str, Any], expected: list[int]
) -> None:
    assert seqs(rare, **wanted) == expected
    assert sum(read_bytes) < 60_000

    for index in rare.glob("*.index"):
        index.unlink()
    assert seqs(rare, **wanted) == expected


@pytest.mark.parametrize("wanted", [("run.resumed",), ("market.*",), ("order.*", "run.*")], ids=str)
def test_an_index_of_an_older_version_without_types_is_valid(rare: Path, wanted: tuple[str, ...]) -> None:
    expected = seqs(rare, types=wanted)
    for path in rare.glob("*.index"):
        index = msgspec.json.decode(path.read_bytes())["index"]
        del index["types"]
        path.write_bytes(lines.add_checksum(msgspec.json.encode({"index": index})[:-1]))

    assert seqs(rare, types=wanted) == expected
    report = check_tape(rare)
    assert (report.ok, report.problems) == (True, [])
    with JsonlTape(rare, segment_bytes=20_000) as tape:
        tape.append([trade(1_001)])
        assert tape.stream_version("order/main/once") == 1
    assert check_tape(rare).ok


def test_a_type_that_an_index_hides_is_reported(rare: Path) -> None:
    for path in rare.glob("*.index"):
        index = msgspec.json.decode(path.read_bytes())["index"]
        index["types"].pop("run.resumed", None)
        path.write_bytes(lines.add_checksum(msgspec.json.encode({"index": index})[:-1]))

    (problem,) = check_tape(rare).problems
    assert problem.what == "the index does not fit"


def test_a_query_sees_what_is_appended_to_new_segments_while_it_is_read(rare: Path) -> None:
    with JsonlTape(rare, linger_ms=NEVER, segment_bytes=20_000) as tape, JsonlTapeReader(rare) as reader:
        found = iter(reader.read(TapeQuery(types=("run.resumed",))))
        assert next(found).seq == 500
        for seq in range(1_001, 1_401):
            tape.append([RunResumed(seq=seq, event_id=str(seq)) if seq == 1_350 else trade(seq)])
            if seq % 20 == 0:
                tape.wait_durable(seq)
        assert [event.seq for event in found] == [1_350]


def test_a_stream_is_found_by_its_bytes(large: Path) -> None:
    assert seqs(large, stream="order/main/o10") == list(range(10, 2_001, 50))
    assert seqs(large, stream="order/main/o1") == []
    with JsonlTapeReader(large) as opened:
        assert opened.stream_version("order/main/o10") == 40
        assert opened.stream_version("order/main/o1") == 0


def corrupted(index: Path, how: str) -> None:
    content = index.read_bytes()
    if how == "absent":
        index.unlink()
    elif how == "garbage":
        index.write_bytes(b"\xff\x00garbage")
    elif how == "cut":
        index.write_bytes(content[: len(content) // 2])
    elif how == "of another segment":
        shutil.copy(index.with_name("000001.index"), index)
    elif how == "flipped":
        index.write_bytes(content.replace(b'"last_seq":', b'"last_seq":1', 1))
    elif how == "sound but no index":
        index.write_bytes(lines.add_checksum(b'{"index":{"number":2}'))
    else:
        assert how == "older"
        old = msgspec.json.decode(content)
        old["index"]["end"] -= 1
        del old["crc"]
        index.write_bytes(lines.add_checksum(msgspec.json.encode(old)[:-1]))


@pytest.mark.parametrize(
    "how", ["absent", "garbage", "cut", "of another segment", "flipped", "sound but no index", "older"]
)
def test_an_invalid_index_changes_no_answer_and_is_rebuilt(large: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "tape"
    shutil.copytree(large, path)
    index = path / "000002.index"
    right = index.read_bytes()
    corrupted(index, how)

    assert seqs(path, first_ts=15_001, last_ts=15_030) == [1_501, 1_502, 1_503]
    assert seqs(path, stream="order/main/o10", first_seq=1_000) == list(range(1_010, 2_001, 50))
    with JsonlTape(path) as tape:
        assert tape.stream_version("order/main/o10") == 40

    made = msgspec.json.decode(index.read_bytes())["index"]
    wanted = msgspec.json.decode(right)["index"]
    assert (made["streams"], made["end"], made["events"]) == (wanted["streams"], wanted["end"], wanted["events"])


def test_an_index_that_cannot_be_stored_is_no_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jsonl, "store_index", full)
    write(path, 20, segment_bytes=1_500)

    assert [name for name in names(path) if name.endswith(".index")] == []
    assert seqs(path, first_seq=19) == [19, 20]
