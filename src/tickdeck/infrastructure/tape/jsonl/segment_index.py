"""A sparse index of a segment. A complete segment has its index next to it; a missing or outdated one is rebuilt.

A reader uses an index only to find places: what it reads there is verified with checksums. Stream versions are taken
from the index if its own checksum is valid; a writer rebuilds the index of the last segment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from zlib import crc32

import msgspec

from tickdeck.infrastructure.tape.jsonl.lines import (
    COMMIT_LINE,
    COMMIT_MARK,
    Commit,
    add_checksum,
    parse_commit,
    read_checked,
    streams_in,
    types_in,
)
from tickdeck.infrastructure.tape.jsonl.segments import Group, SegmentFile, read_groups
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = [
    "SegmentIndex",
    "Span",
    "commit_before",
    "current_index",
    "index_path",
    "is_boundary",
    "load_index",
    "scan_segment",
    "store_index",
]

_SPAN = 256 << 10
"""Bytes of a segment that are scanned to find an event."""


class Span(msgspec.Struct, array_like=True):
    """Consecutive groups. They begin at byte ``offset``, and ``crc`` is that of the segment before it."""

    offset: int
    crc: int
    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int


class SegmentIndex(msgspec.Struct):
    """``end`` and ``crc``: where the last complete group ends, and the CRC-32 of the segment up to there. ``last_seq``:
    ``seq`` of the last event in it, 0 if it is empty. ``streams``: the version of each stream after its last event.
    ``types``: between which ``seq`` the events of each type are; ``None`` in an index of an older version."""

    number: int
    through: int
    end: int
    crc: int
    last_seq: int = 0
    events: int = 0
    groups: int = 0
    spans: list[Span] = []
    streams: dict[str, int] = {}
    types: dict[str, tuple[int, int]] | None = None

    @classmethod
    def begin(cls, segment: SegmentFile) -> SegmentIndex:
        """The index of a segment without any known group."""
        return cls(segment.head.number, segment.head.through, segment.body, segment.crc, types={})

    def add(self, group: Group, streams: Iterable[tuple[str, int]], types: Iterable[str]) -> None:
        """Add the next group; ``streams`` belong to its events, in order, and so do ``types``. If Ctrl-C interrupts it,
        you may add the group again, as long as ``last_seq`` is not the group's."""
        commit = group.commit
        self.streams.update(streams)
        if self.types is not None:
            for name in types:
                self.types[name] = self.types.get(name, (commit.first_seq, 0))[0], commit.last_seq
        spans = self.spans
        if not spans or (group.end - spans[-1].offset > _SPAN and spans[-1].offset != self.end):
            spans.append(Span(self.end, self.crc, commit.first_seq, 0, commit.first_ts, commit.last_ts))
        span = spans[-1]
        span.last_seq = commit.last_seq
        span.first_ts = min(span.first_ts, commit.first_ts)
        span.last_ts = max(span.last_ts, commit.last_ts)
        # There is no call in these lines, so Ctrl-C cannot come between them.
        self.events += commit.events
        self.groups += 1
        self.end = group.end
        self.crc = group.crc
        self.last_seq = commit.last_seq

    def is_of(self, made: SegmentIndex) -> bool:
        """True if this index, perhaps of an older version, says what was ``made`` from the segment."""
        return self == (made if self.types is not None else msgspec.structs.replace(made, types=None))

    def place_after(self, seq: int) -> tuple[int, int]:
        """Where to start reading for events after ``seq``: an offset, and the CRC-32 up to there."""
        for span in self.spans:
            if span.last_seq > seq:
                return span.offset, span.crc
        return self.end, self.crc


_decode = msgspec.json.Decoder(dict[str, SegmentIndex]).decode


def scan_segment(segment: SegmentFile, *, is_last: bool, known: SegmentIndex | None = None) -> SegmentIndex:
    """Build the index from the segment itself, which verifies all its groups, or those that ``known`` lacks.

    Raises ``TapeDamaged`` and ``OSError``.
    """
    index = known or SegmentIndex.begin(segment)
    with segment.path.open("rb", buffering=0) as file:
        for group in read_groups(file, segment.path, index.end, index.crc, is_last=is_last):
            index.add(group, streams_in(group.lines).items(), types_in(group.lines))
    return index


def current_index(segment: SegmentFile, *, is_last: bool, known: SegmentIndex | None = None) -> SegmentIndex:
    """The current index of the segment: ``known`` or the stored one, plus what was appended since.

    Raises the errors of ``scan_segment``.
    """
    if known is None or not _is_of(segment, known):
        known = load_index(segment)
    if known is not None and known.end == segment.path.stat().st_size:
        return known
    return scan_segment(segment, is_last=is_last, known=known)


# -- beside the segment -------------------------------------------------------------------------------------------


def index_path(segment: Path) -> Path:
    return segment.with_suffix(".index")


def store_index(segment: Path, index: SegmentIndex) -> None:
    """Store the index next to the segment. It is not synced, because an outdated one is rebuilt. Raises ``OSError``."""
    replace_file(index_path(segment), add_checksum(msgspec.json.encode({"index": index})[:-1]), durable=False)


def load_index(segment: SegmentFile) -> SegmentIndex | None:
    """The stored index of the segment, ``None`` if it is missing or outdated. Raises ``OSError``."""
    with contextlib.suppress(FileNotFoundError):
        line = index_path(segment.path).read_bytes()
        body = read_checked(line[:-1])
        if body is None:
            return None
        try:
            index = _decode(body + b"}")["index"]
        except (msgspec.MsgspecError, KeyError):
            return None
        if _is_of(segment, index) and index.end == segment.path.stat().st_size:
            return index
    return None


def _is_of(segment: SegmentFile, index: SegmentIndex) -> bool:
    """True if the segment is, or begins with, what the index was made from."""
    if (index.number, index.through) != (segment.head.number, segment.head.through):
        return False
    with segment.path.open("rb", buffering=0) as file:
        return is_boundary(file, segment, index.end, index.crc)


def is_boundary(file: FileIO, segment: SegmentFile, offset: int, crc: int) -> bool:
    """True if a group or the head ends at ``offset`` of the open segment, and ``crc`` is that of everything before."""
    if offset <= segment.body:
        return (offset, crc) == (segment.body, segment.crc)
    line, commit = _commit_before(file, offset)
    return commit is not None and crc32(line, commit.so_far) == crc


def commit_before(segment: Path, offset: int) -> Commit | None:
    """The commit whose line ends at ``offset`` of the segment; ``None`` if none does. Raises ``OSError``."""
    with segment.open("rb", buffering=0) as file:
        return _commit_before(file, offset)[1]


def _commit_before(file: FileIO, offset: int) -> tuple[bytes, Commit | None]:
    start = max(0, offset - COMMIT_LINE)
    line = COMMIT_MARK + os.pread(file.fileno(), offset - start, start).rpartition(COMMIT_MARK)[2]
    return line, parse_commit(line[:-1]) if line.endswith(b"\n") else None
