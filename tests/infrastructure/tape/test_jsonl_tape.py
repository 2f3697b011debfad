"""The tape in JSON Lines: its lines and its segments."""

from __future__ import annotations

import errno
import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from jsonl_tapes import names, seqs, write
from tape_events import NEVER, order, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import (
    DomainEvent,
    RawEvent,
    encode_payload,
    event_from_json,
)
from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader, sync
from tickdeck.infrastructure.tape.digest import event_head
from tickdeck.infrastructure.tape.jsonl import (
    lines,
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


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
    """Has only its own field; some other fields have the names of line fields."""

    event_type: ClassVar[str] = "jsonl_test.picky"
    crc: str = "mine"
    commit: str = '\t{"commit":'


class Lax(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "jsonl_test.lax"
    crc: int = 1
    stream_version: str = "mine"


def test_fields_with_the_names_of_line_fields_are_kept(path: Path) -> None:
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


def test_an_intact_line_that_does_not_decode_is_reported_with_its_place(path: Path) -> None:
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
def test_json_that_queries_could_not_search_is_not_stored(path: Path, edited: bytes) -> None:
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


def test_the_next_writer_continues_the_last_segment(path: Path) -> None:
    for _ in range(5):
        write(path, 2, order, segment_bytes=100_000)

    assert [name for name in names(path) if name.endswith(".jsonl")] == ["000001.jsonl"]
    assert seqs(path) == list(range(1, 11))


def test_a_closed_tape_is_segments_indexes_and_its_lock(path: Path) -> None:
    write(path, 1)

    assert names(path) == ["000001.index", "000001.jsonl", "writer.lock"]


def test_a_missing_segment_is_reported(path: Path) -> None:
    write(path, 20, segment_bytes=1_500)
    (path / "000002.jsonl").unlink()

    for opener in (JsonlTape, JsonlTapeReader):
        with pytest.raises(TapeError, match=r"segment 000002\.jsonl is missing, but 000003\.jsonl exists"):
            opener(path)


def test_a_segment_under_another_name_is_reported(path: Path) -> None:
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
def test_a_path_without_a_tape_is_not_read(path: Path, make: Callable[[Path], object]) -> None:
    make(path)

    with pytest.raises(TapeError, match="there is no tape here"):
        JsonlTapeReader(path)


def test_a_file_instead_of_the_folder_gives_one_clear_line(path: Path) -> None:
    path.touch()

    with pytest.raises(TapeError, match="cannot open the tape for writing: File exists"):
        JsonlTape(path)


def test_a_missing_parent_folder_gives_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="cannot open the tape for writing: No such file or directory"):
        JsonlTape(tmp_path / "none" / "tape")


def test_a_folder_with_other_files_is_not_made_a_tape(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").touch()

    with pytest.raises(TapeError, match="the folder contains other files but no tape"):
        JsonlTape(path)

    assert names(path) == ["notes.txt"]


def test_the_writer_removes_no_foreign_file(path: Path) -> None:
    write(path, 1)
    ours = ["000001.jsonl.part", "000001.index.part"]
    for name in [*ours, "film.part", "000001.jsonl.bak.part"]:
        (path / name).touch()

    write(path, 1)

    assert [name for name in names(path) if name.endswith(".part")] == ["000001.jsonl.bak.part", "film.part"]


def test_the_name_of_a_folder_created_by_another_process_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir()  # by a writer that was killed before it had synced the folder above
    synced: list[Path] = []
    monkeypatch.setattr(jsonl, "sync", synced.append)

    JsonlTape(path).close()

    assert synced[0] == path.parent


def test_the_name_of_an_existing_snapshots_folder_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        (place / "1.json").rename(place.with_suffix(".json"))  # as before: only the last snapshot
        place.rmdir()
        assert tape.load_snapshot("order/main/a") == (1, b"old")
        assert tape.load_snapshot("order/main/a", upto=0) is None

        tape.save_snapshot("order/main/a", 2, b"new")

        assert tape.load_snapshot("order/main/a") == (2, b"new")
        assert tape.load_snapshot("order/main/a", upto=1) == (1, b"old")
    with JsonlTapeReader(path) as opened:
        assert list(opened.snapshots()) == [("order/main/a", (1, b"old")), ("order/main/a", (2, b"new"))]


def test_a_snapshot_in_the_wrong_place_is_reported(path: Path) -> None:
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
def test_an_unreadable_folder_gives_one_clear_line(path: Path, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
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


def test_a_second_writer_gets_an_error_that_names_the_first(path: Path) -> None:
    with JsonlTape(path) as first:
        with pytest.raises(TapeError, match=rf"process {os.getpid()} is writing this tape; stop it first"):
            JsonlTape(path)
        assert writer_of(path) == os.getpid()
        first.append([trade(1)])
    assert writer_of(path) is None

    with JsonlTape(path) as next_one:
        assert next_one.last_seq == 1


def test_a_tape_in_a_read_only_folder_can_be_read_but_not_written(path: Path) -> None:
    write(path, 3, segment_bytes=500)
    path.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            for folder in path.parents:  # as another user, who may read them
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
