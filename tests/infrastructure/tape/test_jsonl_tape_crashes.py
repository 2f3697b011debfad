"""What a crash leaves on a tape in JSON Lines, and how the next writer and readers handle it."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from jsonl_tapes import seqs, write
from tape_events import NEVER, order, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader
from tickdeck.infrastructure.tape.jsonl import (
    lines,
    segment_index,
    segments,
)
from tickdeck.infrastructure.tape.jsonl import (
    tape as jsonl,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


def test_a_torn_tail_is_ignored_by_readers_and_cut_off_by_the_writer_with_a_warning(
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
def test_a_segment_whose_creation_was_interrupted_is_created_again(path: Path, left: bytes) -> None:
    write(path, 20, segment_bytes=1_500)
    following = f"{len(list(path.glob('*.jsonl'))) + 1:06d}.jsonl"
    (path / following).write_bytes(left)

    assert seqs(path) == list(range(1, 21))
    with JsonlTape(path, segment_bytes=1_500) as tape:
        assert tape.statistics().repaired == len(left)
        assert not (path / following).exists()
    write(path, 10, segment_bytes=1_500)

    assert seqs(path) == list(range(1, 31))


def test_a_tape_whose_creation_was_interrupted_is_created_again(path: Path) -> None:
    path.mkdir()
    (path / "000001.jsonl").write_bytes(b'{"seg')

    assert seqs(path) == []
    write(path, 1)

    assert seqs(path) == [1]


@pytest.mark.parametrize("how", ["write", "short write", "sync", "ctrl-c"])
def test_a_group_that_could_not_be_written_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
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


def test_a_write_that_the_system_splits_is_complete(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
