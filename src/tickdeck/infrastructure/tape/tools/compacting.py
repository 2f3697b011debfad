"""Makes a tape smaller: SQLite frees its unused pages, and short segments of JSON Lines are merged.

A crash at any time leaves the tape intact. SQLite protects its own file. A merged segment is written to a separate
file, synced, and atomically replaces the first of its parts. From then on the other parts count as merged and are
removed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl import (
    Commit,
    JsonlTape,
    SegmentFile,
    SegmentHead,
    commit_line,
    is_jsonl_tape,
    list_segments,
    load_index,
    read_groups,
    read_head,
    remove_merged,
    scan_segment,
    segment_line,
    store_index,
)
from tickdeck.infrastructure.tape.lock import WriterLock
from tickdeck.infrastructure.tape.opening import form_of
from tickdeck.infrastructure.tape.sqlite import SqliteTapeReader, open_for_writing
from tickdeck.infrastructure.tape.sync import replacing, sync, sync_content, write_at

__all__ = ["CompactReport", "compact_tape"]

_SEGMENT = 64 << 20
"""Segments are merged up to about this length."""
_GROUP = 1 << 20
"""Groups are merged up to about this many bytes, because each has a commit line."""


class CompactReport(msgspec.Struct, frozen=True, kw_only=True):
    """The size and the number of segments (JSON Lines only), before and after."""

    tape: str
    form: str
    bytes_before: int
    bytes_after: int
    segments_before: int
    segments_after: int


def compact_tape(path: Path, *, segment_bytes: int = _SEGMENT) -> CompactReport:
    """Compact the tape. Raises ``TapeError`` if there is no tape, if it has a writer, or if it is damaged."""
    form = form_of(path)
    before = _size(path), _segments(path)
    if form == "jsonl":
        _compact_jsonl(path, segment_bytes)
    else:
        _compact_sqlite(path)
    return CompactReport(
        tape=str(path),
        form=form,
        bytes_before=before[0],
        bytes_after=_size(path),
        segments_before=before[1],
        segments_after=_segments(path),
    )


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())
    return sum(found.stat().st_size for found in (path, path.with_name(path.name + "-wal")) if found.exists())


def _segments(path: Path) -> int:
    return len(list_segments(path)) if path.is_dir() else 0


def _compact_sqlite(path: Path) -> None:
    SqliteTapeReader(path).close()  # raises if this is not a tape
    lock = WriterLock(path)
    try:
        with contextlib.closing(open_for_writing(path)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise tape_error(path, "compact the tape", error) from error
    finally:
        lock.release()


def _compact_jsonl(path: Path, segment_bytes: int) -> None:
    if not is_jsonl_tape(path):
        raise TapeError(f"{path}: there is no tape here; check the path")
    JsonlTape(path).close()  # cuts a torn tail and removes what an earlier attempt left
    lock = WriterLock(path)
    try:
        for parts in _runs(list_segments(path), segment_bytes):
            if len(parts) > 1 or _has_short_groups(parts[0]):
                _merge(path, parts)
    except OSError as error:
        raise tape_error(path, "compact the tape", error) from error
    finally:
        lock.release()


def _runs(segments: list[SegmentFile], segment_bytes: int) -> Iterator[list[SegmentFile]]:
    """Consecutive segments that together make a long one."""
    run: list[SegmentFile] = []
    size = 0
    for segment in segments:
        length = segment.path.stat().st_size
        if run and size + length > segment_bytes:
            yield run
            run, size = [], 0
        run.append(segment)
        size += length
    if run:
        yield run


def _has_short_groups(segment: SegmentFile) -> bool:
    index = load_index(segment) or scan_segment(segment, is_last=False)
    return index.groups > 2 + 2 * index.end // _GROUP


def _merge(folder: Path, parts: list[SegmentFile]) -> None:
    first, last = parts[0].head, parts[-1].head
    head = segment_line(SegmentHead(first.number, last.through, first.after_seq, first.format))
    place = parts[0].path
    with replacing(place) as fd:
        write_at(fd, head, 0)
        end, crc = len(head), crc32(head)
        for lines, commit in _merge_groups(parts):
            crc = crc32(lines, crc)
            line = commit_line(commit._replace(offset=end, so_far=crc), end + len(lines))
            write_at(fd, lines + line, end)
            end, crc = end + len(lines) + len(line), crc32(line, crc)
        sync_content(fd)
    sync(folder)
    merged = read_head(place, is_last=False)
    assert merged is not None
    remove_merged(folder, [merged])
    sync(folder)
    store_index(place, scan_segment(merged, is_last=False))


def _merge_groups(parts: list[SegmentFile]) -> Iterator[tuple[bytes, Commit]]:
    """The groups of all parts, merged. ``offset`` and ``so_far`` are not correct yet."""
    lines: list[bytes] = []
    joined: Commit | None = None
    size = 0
    for part in parts:
        with part.path.open("rb", buffering=0) as file:
            for group in read_groups(file, part.path, part.body, part.crc, is_last=False):
                lines.append(group.lines)
                size += len(group.lines)
                joined = group.commit if joined is None else _join(joined, group.commit)
                if size >= _GROUP:
                    yield b"".join(lines), joined
                    lines, joined, size = [], None, 0
    if joined is not None:
        yield b"".join(lines), joined


def _join(one: Commit, next_one: Commit) -> Commit:
    return Commit(
        one.events + next_one.events,
        one.first_seq,
        next_one.last_seq,
        min(one.first_ts, next_one.first_ts),
        max(one.last_ts, next_one.last_ts),
        0,
        0,
        next_one.mark,
    )
