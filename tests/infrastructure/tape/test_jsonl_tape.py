"""The tape in JSON Lines: its lines, its segments and their indexes, what a crash leaves, readers beside the writer."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from tickdeck.application.ports import EVERYTHING, TapeQuery
from tickdeck.domain.events import (
    DomainEvent,
    OrderAcceptedEvent,
    RawEvent,
    TradeEvent,
    encode_payload,
    event_from_json,
)
from tickdeck.domain.values import Side
from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader, sync
from tickdeck.infrastructure.tape.digest import event_head
from tickdeck.infrastructure.tape.jsonl import (
    lines,
    segment_index,
    segments,
)
from tickdeck.infrastructure.tape.jsonl import (
    reader as jsonl_reader,
)
from tickdeck.infrastructure.tape.jsonl import (
    snapshots as jsonl_snapshots,
)
from tickdeck.infrastructure.tape.jsonl import (
    tape as jsonl,
)
from tickdeck.infrastructure.tape.lock import writer_of
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.tools import compacting

NEVER = 1e9
"""A linger in ms that no test lives to see: only those who wait commit."""


def trade(seq: int, **fields: Any) -> DomainEvent:
    fields = {"event_id": str(seq), "correlation_id": str(seq), "ts_ingress": seq, **fields}
    return TradeEvent(symbol="BTCUSDT", price=Decimal(1), quantity=Decimal(1), side=Side.BUY, seq=seq, **fields)


def order(seq: int, order_id: str = "a", **fields: Any) -> DomainEvent:
    fields = {"event_id": str(seq), "correlation_id": str(seq), "ts_ingress": seq, **fields}
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT", seq=seq, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


def write(path: Path, count: int, make: Callable[[int], DomainEvent] = trade, **options: Any) -> None:
    """Append ``count`` events, each in a group of its own."""
    with JsonlTape(path, linger_ms=NEVER, **options) as tape:
        for seq in range(tape.last_seq + 1, tape.last_seq + count + 1):
            tape.append([make(seq)])
            tape.wait_durable(seq)


def seqs(path: Path, **wanted: Any) -> list[int]:
    with JsonlTapeReader(path) as opened:
        return [event.seq for event in opened.read(TapeQuery(**wanted))]


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.iterdir())


# -- lines -----------------------------------------------------------------------------------------------------------


def test_every_line_is_a_json_object_with_its_checksum(path: Path) -> None:
    with JsonlTape(path, linger_ms=NEVER) as tape:
        tape.append([trade(1), order(2, 'a "quoted" é')])

    raw = (path / "000001.jsonl").read_bytes().split(b"\n")[:-1]
    head, first, second, commit = map(json.loads, raw)

    assert head == {"segment": {"format": 2, "number": 1, "through": 1, "after_seq": 0}, "crc": head["crc"]}
    assert list(first)[:4] == ["crc", "event_type", "version", "event_id"]
    assert list(second)[:6] == ["crc", "event_type", "version", "stream", "stream_version", "event_id"]
    assert (second["stream"], second["stream_version"]) == ('order/main/a "quoted" é', 1)
    counts = {"events": 2, "first_seq": 1, "last_seq": 2, "first_ts": 1, "last_ts": 2, "offset": len(raw[0]) + 1}
    digest = {"recorded": 2, "block_seq": 0, "block": "", "digest": commit["commit"]["digest"]}
    assert commit["commit"] == {**counts, "so_far": commit["commit"]["so_far"], **digest}
    for line, checked in ((first, raw[1][18:]), (second, raw[2][18:]), (commit, raw[3][:-18]), (head, raw[0][:-18])):
        assert line["crc"] == f"{zlib.crc32(checked):08x}"
    so_far = zlib.crc32(b"\n".join(raw[:3]) + b"\n")
    assert commit["commit"]["so_far"] == f"{so_far:08x}"


def test_a_line_is_the_event_in_json(path: Path) -> None:
    write(path, 1, order)

    line = (path / "000001.jsonl").read_bytes().split(b"\n")[1]

    assert event_from_json(line) == order(1)


class Picky(DomainEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Takes no field but its own, some of which are called like those of the line."""

    event_type: ClassVar[str] = "jsonl_test.picky"
    crc: str = "mine"
    commit: str = '\t{"commit":'


class Lax(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "jsonl_test.lax"
    crc: int = 1
    stream_version: str = "mine"


def test_fields_that_are_called_like_those_of_the_line_are_kept(path: Path) -> None:
    events = [Picky(seq=1, event_id="1"), Lax(seq=2, event_id="2"), Picky(seq=3, event_id="3", crc='","version":9,')]
    with JsonlTape(path) as tape:
        tape.append(events)

    with JsonlTapeReader(path) as opened:
        assert list(opened.read()) == events


def test_an_unknown_type_with_any_name_is_kept_raw(path: Path) -> None:
    raw = {"stream": "mine", "stream_version": 1, "seq": 1, "event_id": "1", "crc": 5, "text": '","version":2,\n\t'}
    stranger = RawEvent(raw_type='odd","version":3,', raw_version=7, raw=raw, seq=1, event_id="1")
    with JsonlTape(path) as tape:
        tape.append([stranger])

    with JsonlTapeReader(path) as opened:
        assert list(opened.read()) == [stranger]
        assert list(opened.read(TapeQuery(types=("odd*",)))) == [stranger]
        assert list(opened.read(TapeQuery(stream="mine"))) == []


def test_a_sound_line_that_does_not_decode_is_named_by_its_place(path: Path) -> None:
    write(path, 2)
    bad = lines.event_line(event_head("market.trade", 1), b'{"seq":3,"ts_ingress":3,"price":"-1"}')
    with JsonlTape(path, linger_ms=NEVER) as tape:
        tape.append([trade(3)])
        tape._values[0] = bad

    with JsonlTapeReader(path) as opened:
        events = opened.read()
        assert [next(events).seq, next(events).seq] == [1, 2]
        with pytest.raises(TapeError, match=r"000001\.jsonl, line 6: the event does not decode: .*symbol"):
            next(events)


@pytest.mark.parametrize("edited", [b'"correlation_id": "1"', b'"correlation_id":"\\u0031"'])
def test_json_in_which_a_query_would_find_nothing_is_not_stored(path: Path, edited: bytes) -> None:
    payload = encode_payload(trade(1)).replace(b'"correlation_id":"1"', edited)
    assert edited in payload
    with JsonlTape(path) as tape:
        with pytest.raises(TapeError, match="here: its JSON was edited by hand"):
            tape.append_records([Record("market.trade", 1, None, None, payload, "here")])
        tape.append_records([Record("market.trade", 1, None, None, encode_payload(trade(1)), "here")])

    assert seqs(path, correlation_id="1") == [1]


# -- segments --------------------------------------------------------------------------------------------------------


def test_a_long_segment_is_followed_by_another(path: Path) -> None:
    write(path, 20, segment_bytes=1_500)

    found = [name for name in names(path) if name.endswith(".jsonl")]
    assert found == [f"{number:06d}.jsonl" for number in range(1, len(found) + 1)]
    assert len(found) > 3
    assert all((path / name).stat().st_size < 2_500 for name in found)
    assert [name for name in names(path) if name.endswith(".index")] == [n.replace("jsonl", "index") for n in found]
    assert seqs(path) == list(range(1, 21))


def test_a_cascade_is_never_divided_by_a_commit_or_a_segment(path: Path) -> None:
    rng = random.Random(1)
    seq = 0
    cascades = []
    with JsonlTape(path, segment_bytes=3_000, linger_ms=NEVER) as tape:
        for number in range(1, 200):
            size = rng.randint(1, 6)
            ids = [f"{number}" if k == 0 else f"{number}-{k}" for k in range(size)]
            cascades.append(ids)
            tape.append([trade(seq + k + 1, event_id=event_id) for k, event_id in enumerate(ids)])
            seq += size
            if rng.random() < 0.2:
                tape.wait_durable(seq)

    ends = {ids[-1] for ids in cascades}
    with JsonlTapeReader(path) as opened:
        last_ids = [json.loads(group.lines.split(b"\n")[-2])["event_id"] for _, group in opened.groups()]
    assert set(last_ids) <= ends
    assert len(last_ids) > 20


def test_the_next_writer_goes_on_in_the_last_segment(path: Path) -> None:
    for _ in range(5):
        write(path, 2, order, segment_bytes=100_000)

    assert [name for name in names(path) if name.endswith(".jsonl")] == ["000001.jsonl"]
    assert seqs(path) == list(range(1, 11))


def test_a_closed_tape_is_segments_indexes_and_its_lock(path: Path) -> None:
    write(path, 1)

    assert names(path) == ["000001.index", "000001.jsonl", "writer.lock"]


def test_a_missing_segment_is_told(path: Path) -> None:
    write(path, 20, segment_bytes=1_500)
    (path / "000002.jsonl").unlink()

    for opener in (JsonlTape, JsonlTapeReader):
        with pytest.raises(TapeError, match=r"segment 000002\.jsonl is missing, but 000003\.jsonl exists"):
            opener(path)


def test_a_segment_under_another_name_is_told(path: Path) -> None:
    write(path, 20, segment_bytes=1_500)
    (path / "000003.jsonl").rename(path / "000002.jsonl")

    with pytest.raises(TapeError, match=r"000002\.jsonl: its head says segment 3"):
        JsonlTapeReader(path)


def test_a_newer_tape_is_refused(path: Path) -> None:
    write(path, 1)
    (path / "000001.jsonl").write_bytes(lines.segment_line(lines.SegmentHead(1, 1, 0, format=9)))

    for opener in (JsonlTape, JsonlTapeReader):
        with pytest.raises(TapeVersionError, match=r"format 9; this Tickdeck supports up to 2; install a newer one"):
            opener(path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.touch()])
def test_what_is_no_tape_is_not_read(path: Path, make: Callable[[Path], object]) -> None:
    make(path)

    with pytest.raises(TapeError, match="there is no tape here"):
        JsonlTapeReader(path)


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(path: Path) -> None:
    path.touch()

    with pytest.raises(TapeError, match="cannot open the tape for writing: File exists"):
        JsonlTape(path)


def test_a_folder_above_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="cannot open the tape for writing: No such file or directory"):
        JsonlTape(tmp_path / "none" / "tape")


def test_a_folder_with_other_files_is_not_made_a_tape(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").touch()

    with pytest.raises(TapeError, match="the folder contains other files but no tape"):
        JsonlTape(path)

    assert names(path) == ["notes.txt"]


def test_the_writer_takes_away_no_file_that_is_not_the_tapes(path: Path) -> None:
    write(path, 1)
    ours = ["000001.jsonl.part", "000001.index.part"]
    for name in [*ours, "film.part", "000001.jsonl.bak.part"]:
        (path / name).touch()

    write(path, 1)

    assert [name for name in names(path) if name.endswith(".part")] == ["000001.jsonl.bak.part", "film.part"]


def test_the_name_of_a_folder_that_another_process_made_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir()  # by a writer that was killed before it had synced the folder above
    synced: list[Path] = []
    monkeypatch.setattr(jsonl, "sync", synced.append)

    JsonlTape(path).close()

    assert synced[0] == path.parent


def test_the_name_of_the_snapshots_folder_is_synced_though_it_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 1, order)
    (path / "snapshots").mkdir()
    synced: list[Path] = []
    monkeypatch.setattr(jsonl_snapshots, "sync", synced.append)
    with JsonlTape(path) as tape:
        tape.save_snapshot("order/main/a", 1, b"state")

    assert synced == [path, path / "snapshots"]


def test_a_snapshot_that_an_older_version_of_tickdeck_wrote_is_read_and_kept(path: Path) -> None:
    with JsonlTape(path) as tape:
        tape.append([order(1, "a"), order(2, "a")])
        tape.save_snapshot("order/main/a", 1, b"old")
        (place,) = (path / "snapshots").iterdir()
        (place / "1.json").rename(place.with_suffix(".json"))  # as it was: the last snapshot alone
        place.rmdir()
        assert tape.load_snapshot("order/main/a") == (1, b"old")
        assert tape.load_snapshot("order/main/a", upto=0) is None

        tape.save_snapshot("order/main/a", 2, b"new")

        assert tape.load_snapshot("order/main/a") == (2, b"new")
        assert tape.load_snapshot("order/main/a", upto=1) == (1, b"old")
    with JsonlTapeReader(path) as opened:
        assert list(opened.snapshots()) == [("order/main/a", (1, b"old")), ("order/main/a", (2, b"new"))]


def test_a_snapshot_in_the_place_of_another_is_told(path: Path) -> None:
    with JsonlTape(path) as tape:
        tape.append([order(1, "a"), order(2, "b")])
        tape.save_snapshot("order/main/a", 1, b"state of a")
        (place,) = (path / "snapshots").rglob("*.json")
        content = place.read_bytes()
        tape.save_snapshot("order/main/b", 1, b"state of b")
        for found in (path / "snapshots").rglob("*.json"):
            found.write_bytes(content)

        with pytest.raises(TapeError, match="its content is the snapshot of 'order/main/a'"):
            tape.load_snapshot("order/main/b")
    with JsonlTapeReader(path) as opened, pytest.raises(TapeError, match="its content is the snapshot of"):
        list(opened.snapshots())


@pytest.mark.parametrize("look", ["is_dir", "iterdir"])
def test_a_folder_that_may_not_be_looked_into_is_one_clear_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    write(path, 1)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, look, refuse)
    with pytest.raises(TapeError, match="cannot read the tape: Permission denied"):
        JsonlTapeReader(path)


def test_a_file_that_could_not_be_put_in_place_leaves_nothing_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sync, "write_at", full)
    with pytest.raises(OSError, match="No space left"):
        sync.replace_file(tmp_path / "file", b"content", durable=True)

    assert names(tmp_path) == []


def test_a_compaction_that_found_no_room_leaves_the_tape_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 20, segment_bytes=1_500)
    before = names(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compacting, "write_at", full)
    with pytest.raises(TapeError, match="cannot compact the tape: No space left"):
        compacting.compact_tape(path)

    assert names(path) == before


def test_a_second_writer_is_told_who_the_first_is(path: Path) -> None:
    with JsonlTape(path) as first:
        with pytest.raises(TapeError, match=rf"process {os.getpid()} is writing this tape; stop it first"):
            JsonlTape(path)
        assert writer_of(path) == os.getpid()
        first.append([trade(1)])
    assert writer_of(path) is None

    with JsonlTape(path) as next_one:
        assert next_one.last_seq == 1


def test_a_tape_in_a_folder_that_may_not_be_written_is_read_but_not_written(path: Path) -> None:
    write(path, 3, segment_bytes=500)
    path.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            for folder in path.parents:  # as another user, who may look into them
                if folder.stat().st_uid == 0 and str(folder) != "/":
                    folder.chmod(folder.stat().st_mode | 0o055)
            os.chown(path / "writer.lock", 65_534, -1)
            (path / "writer.lock").chmod(0o444)
            os.seteuid(65_534)
        assert seqs(path) == [1, 2, 3]
        with pytest.raises(TapeError, match="cannot open the tape for writing: Permission denied"):
            JsonlTape(path)
    finally:
        os.seteuid(user)
        path.chmod(0o755)


# -- indexes ---------------------------------------------------------------------------------------------------------


def many(path: Path) -> None:
    """Two segments and a half, of many spans each."""
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

    monkeypatch.setattr(jsonl_reader, "read_groups", counting)
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
def test_a_part_is_read_without_looking_at_the_whole(
    large: Path, read_bytes: list[int], wanted: dict[str, Any], expected: list[int]
) -> None:
    assert seqs(large, **wanted) == expected

    assert sum(read_bytes) < 100_000


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
def test_an_index_that_does_not_fit_changes_no_answer_and_is_made_anew(large: Path, tmp_path: Path, how: str) -> None:
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


def test_an_index_that_cannot_be_kept_stops_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jsonl, "store_index", full)
    write(path, 20, segment_bytes=1_500)

    assert [name for name in names(path) if name.endswith(".index")] == []
    assert seqs(path, first_seq=19) == [19, 20]


# -- what a crash leaves ---------------------------------------------------------------------------------------------


def test_a_torn_tail_is_passed_over_by_readers_cut_by_the_writer_and_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, 3)
    file = path / "000001.jsonl"
    whole = file.read_bytes()
    write(path, 1)
    torn = file.read_bytes()[:-9]
    file.write_bytes(torn)

    assert seqs(path) == [1, 2, 3]
    with caplog.at_level(logging.WARNING), JsonlTape(path) as tape:
        assert (tape.last_seq, tape.durable_seq) == (3, 3)
        assert tape.statistics().repaired == len(torn) - len(whole)
        assert file.read_bytes() == whole
        tape.append([trade(4)])

    assert f"000001.jsonl: cut off {len(torn) - len(whole)} bytes after byte {len(whole)}" in caplog.text
    assert seqs(path) == [1, 2, 3, 4]
    with JsonlTape(path) as again:
        assert again.statistics().repaired == 0


@pytest.mark.parametrize("left", [b"", b'{"segment":{"for', bytes(100)], ids=["empty", "cut", "zeros"])
def test_a_segment_whose_making_was_cut_off_is_made_again(path: Path, left: bytes) -> None:
    write(path, 20, segment_bytes=1_500)
    following = f"{len(list(path.glob('*.jsonl'))) + 1:06d}.jsonl"
    (path / following).write_bytes(left)

    assert seqs(path) == list(range(1, 21))
    with JsonlTape(path, segment_bytes=1_500) as tape:
        assert tape.statistics().repaired == len(left)
        assert not (path / following).exists()
    write(path, 10, segment_bytes=1_500)

    assert seqs(path) == list(range(1, 31))


def test_a_tape_whose_making_was_cut_off_is_made_again(path: Path) -> None:
    path.mkdir()
    (path / "000001.jsonl").write_bytes(b'{"seg')

    assert seqs(path) == []
    write(path, 1)

    assert seqs(path) == [1]


@pytest.mark.parametrize("how", ["write", "short write", "sync", "ctrl-c"])
def test_a_group_that_could_not_be_written_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    tape = JsonlTape(path, linger_ms=NEVER)
    tape.append([trade(1)])
    tape.wait_durable(1)
    before = (path / "000001.jsonl").read_bytes()
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: object) -> None:
        raise KeyboardInterrupt if how == "ctrl-c" else full

    pwrite = os.pwrite

    def short(fd: int, data: bytes, offset: int) -> int:
        if len(data) > 100:
            return pwrite(fd, data[:100], offset)
        raise full

    if how == "write":
        monkeypatch.setattr(jsonl, "write_at", refuse)
    elif how == "short write":
        monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: short(fd, data[:101], offset))
    else:
        monkeypatch.setattr(jsonl, "sync_content", refuse)
    tape.append([trade(2)])

    if how == "ctrl-c":
        with pytest.raises(KeyboardInterrupt):
            tape.wait_durable(2)
    else:
        with pytest.raises(TapeError, match=r"cannot write the tape after seq 1: No space left .*free some space"):
            tape.wait_durable(2)

    assert tape.durable_seq == 1
    if how != "short write":
        assert (path / "000001.jsonl").read_bytes() == before
    assert [event.seq for event in tape.read(TapeQuery(last_seq=1))] == [1]
    monkeypatch.undo()
    if how == "ctrl-c":
        tape.close()
        assert seqs(path) == [1, 2]
        return
    with pytest.raises(TapeError, match="No space left"):
        tape.close()
    write(path, 1)
    assert seqs(path) == [1, 2]


def test_a_write_that_the_system_takes_in_parts_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset))
    write(path, 3)
    monkeypatch.undo()

    assert seqs(path) == [1, 2, 3]


def test_no_group_ends_a_byte_from_the_edge_of_a_sector(path: Path) -> None:
    with JsonlTape(path, linger_ms=NEVER) as tape:
        for seq in range(1, 513):
            tape.append([trade(seq, source="x" * (seq % 7))])
            tape.wait_durable(seq)

    with JsonlTapeReader(path) as opened:
        places = {group.end % lines.SECTOR for _, group in opened.groups()}
    assert len(places) > 200
    assert places.isdisjoint({1, lines.SECTOR - 1})
    assert b"\t {" in (path / "000001.jsonl").read_bytes()


def test_a_commit_that_ctrl_c_interrupts_after_its_sync_is_not_written_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JsonlTape(path, linger_ms=NEVER) as tape:
        tape.append([order(1)])
        add = segment_index.SegmentIndex.add

        def interrupted(self: segment_index.SegmentIndex, *arguments: Any) -> None:
            self.streams.update({"order/main/a": 1})
            self.spans.append(segment_index.Span(self.end, self.crc, 1, 0, 1, 1))
            raise KeyboardInterrupt

        monkeypatch.setattr(segment_index.SegmentIndex, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tape.wait_durable(1)
        monkeypatch.setattr(segment_index.SegmentIndex, "add", add)
        tape.append([order(2)])
        tape.wait_durable(2)

    assert seqs(path) == [1, 2]
    with JsonlTapeReader(path) as opened:
        (segment,) = segments.list_segments(path)
        assert segment_index.load_index(segment) == segment_index.scan_segment(segment, is_last=True)
        assert opened.stream_version("order/main/a") == 2


# -- readers beside the writer ---------------------------------------------------------------------------------------


def test_a_reader_sees_what_is_committed_while_the_writer_goes_on(path: Path) -> None:
    with JsonlTape(path, linger_ms=NEVER, segment_bytes=700) as tape, JsonlTapeReader(path) as opened:
        tape.append([trade(1), trade(2)])
        assert list(opened.read()) == []
        assert opened.last_seq == 0

        tape.wait_durable(1)
        assert [event.seq for event in opened.read()] == [1, 2]

        for seq in range(5, 12):
            tape.append([trade(seq)])
            tape.wait_durable(seq)
            assert [event.seq for event in opened.read(TapeQuery(first_seq=seq - 1))][-1] == seq
            assert opened.last_seq == seq


def test_a_reader_in_the_middle_sees_what_is_appended_meanwhile_in_new_segments_too(path: Path) -> None:
    with JsonlTape(path, linger_ms=NEVER, segment_bytes=700) as tape:
        tape.append([trade(1)])
        tape.wait_durable(1)
        events = tape.read()
        assert next(events).seq == 1

        for seq in range(2, 12):
            tape.append([trade(seq)])
            tape.wait_durable(seq)

        assert [event.seq for event in events] == list(range(2, 12))


def test_events_that_are_written_and_not_synced_are_not_read_by_their_own_process(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JsonlTape(path, linger_ms=NEVER) as tape:
        tape.append([trade(1)])
        tape.wait_durable(1)
        seen: list[int] = []
        sync_content = jsonl.sync_content

        def look_then_sync(fd: int) -> None:
            # ``read`` would first wait for this very commit.
            seen.extend(event.seq for event in tape._events(EVERYTHING))
            sync_content(fd)

        monkeypatch.setattr(jsonl, "sync_content", look_then_sync)
        tape.append([trade(2)])
        tape.wait_durable(2)

        assert seen == [1]


def test_a_paused_reader_goes_on_with_what_a_new_writer_put_in_the_place_of_a_torn_tail(path: Path) -> None:
    write(path, 2)
    file = path / "000001.jsonl"
    whole = file.read_bytes()
    write(path, 1)
    file.write_bytes(whole + file.read_bytes()[len(whole) : -30])
    with JsonlTapeReader(path) as opened:
        events = opened.read()
        assert next(events).seq == 1

        write(path, 3, order)

        assert [event.seq for event in events] == [2, 3, 4, 5]


def test_a_reader_that_pauses_in_the_last_segment_reads_on_after_rotation_and_compaction(path: Path) -> None:
    write(path, 3)
    with JsonlTapeReader(path) as opened:
        events = opened.read()
        assert next(events).seq == 1

        write(path, 8, segment_bytes=500)
        compacting.compact_tape(path)

        assert [event.seq for event in events] == list(range(2, 12))


def test_a_place_is_looked_for_again_where_its_segment_was_rewritten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_index, "_SPAN", 500)
    write(path, 20)
    read_head = segments.read_head

    def rewritten_before(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(jsonl_reader, "read_head", read_head)
        compacting.compact_tape(path)  # merges groups, the segment's head stays as it was
        return read_head(*arguments, **options)

    monkeypatch.setattr(jsonl_reader, "read_head", rewritten_before)

    assert seqs(path, first_seq=15) == [15, 16, 17, 18, 19, 20]


def test_a_reader_that_lists_segments_while_they_are_merged_looks_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 20, order, segment_bytes=1_500)
    read_head, current_index = segments.read_head, segment_index.current_index

    def merged_before_read_head(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(segments, "read_head", read_head)
        found = read_head(*arguments, **options)
        compacting.compact_tape(path)
        return found

    def merged_before_index(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(jsonl_reader, "current_index", current_index)
        compacting.compact_tape(path)
        return current_index(*arguments, **options)

    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    for ask in (
        lambda opened: opened.last_seq,
        lambda opened: opened.stream_version("order/main/a"),
        lambda opened: [event.seq for event in opened.read(TapeQuery(first_ts=20))][-1],
        lambda opened: [event.seq for event in opened.read(TapeQuery(first_seq=20))][-1],
    ):
        for module, name, merged in (
            (segments, "read_head", merged_before_read_head),
            (jsonl_reader, "current_index", merged_before_index),
        ):
            shutil.rmtree(path)
            shutil.copytree(copy, path)
            with JsonlTapeReader(path) as opened:
                monkeypatch.setattr(module, name, merged)
                assert ask(opened) == 20
            assert len(list(path.glob("*.jsonl"))) == 1


def test_a_reader_beside_a_busy_writer_sees_whole_groups_in_order(path: Path) -> None:
    done = threading.Event()
    failures: list[BaseException] = []
    seen: list[int] = []

    def follow() -> None:
        try:
            with JsonlTapeReader(path) as opened:
                last = 0
                while True:
                    ended = done.is_set()
                    for event in opened.read(TapeQuery(first_seq=last + 1)):
                        seen.append(event.seq)
                        last = event.seq
                    if ended:
                        return
        except BaseException as error:  # noqa: BLE001 told by the test
            failures.append(error)

    with JsonlTape(path, linger_ms=0.1, segment_bytes=50_000) as tape:
        follower = threading.Thread(target=follow)
        follower.start()
        for seq in range(1, 5_001):
            tape.append([trade(seq)])
            if seq % 100 == 0:
                tape.wait_durable(seq)
    done.set()
    follower.join(60)

    assert failures == []
    assert seen == list(range(1, 5_001))
