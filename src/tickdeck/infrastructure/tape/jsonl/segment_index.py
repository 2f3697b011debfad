"""What is where in a segment: a sparse index, kept beside it when it is complete, and made anew where that is absent or
does not fit.

A reader trusts an index for places alone: what is read there is verified against its checksums. For the version that a
stream has it is trusted, as far as its own checksum goes; a writer makes that of the last segment anew.
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
    parse_commit,
    seal,
    streams_in,
    unseal,
)
from tickdeck.infrastructure.tape.jsonl.segments import Group, SegmentFile, read_groups
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = [
    "SegmentIndex",
    "Span",
    "current_index",
    "index_path",
    "is_boundary",
    "load_index",
    "scan_segment",
    "store_index",
]

_SPAN = 256 << 10
"""Bytes of a segment that are looked through to find an event in it."""


class Span(msgspec.Struct, array_like=True):
    """Groups one after the other. They begin at byte ``offset``, and ``crc`` is that of the segment before it."""

    offset: int
    crc: int
    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int


class SegmentIndex(msgspec.Struct):
    """``end`` and ``crc``: where the last whole group ends, and the CRC-32 of the segment up to there. ``last_seq``: of
    the last event in it, 0 where there is none. ``streams``: the version that each stream has after its last event."""

    number: int
    through: int
    end: int
    crc: int
    last_seq: int = 0
    events: int = 0
    groups: int = 0
    spans: list[Span] = []
    streams: dict[str, int] = {}

    @classmethod
    def begin(cls, segment: SegmentFile) -> SegmentIndex:
        """Of a segment of which no group is known yet."""
        return cls(segment.head.number, segment.head.through, segment.body, segment.crc)

    def add(self, group: Group, streams: Iterable[tuple[str, int]]) -> None:
        """Take the next group; ``streams``: of its events, in their order. One that Ctrl-C interrupts may be taken
        again, as long as ``last_seq`` is not the group's."""
        commit = group.commit
        self.streams.update(streams)
        spans = self.spans
        if not spans or (group.end - spans[-1].offset > _SPAN and spans[-1].offset != self.end):
            spans.append(Span(self.end, self.crc, commit.first_seq, 0, commit.first_ts, commit.last_ts))
        span = spans[-1]
        span.last_seq = commit.last_seq
        span.first_ts = min(span.first_ts, commit.first_ts)
        span.last_ts = max(span.last_ts, commit.last_ts)
        # No call in these lines, hence no Ctrl-C between them.
        self.events += commit.events
        self.groups += 1
        self.end = group.end
        self.crc = group.crc
        self.last_seq = commit.last_seq

    def place_after(self, seq: int) -> tuple[int, int]:
        """Where to begin reading for events above ``seq``: an offset, and the CRC-32 up to there."""
        for span in self.spans:
            if span.last_seq > seq:
                return span.offset, span.crc
        return self.end, self.crc


_decode = msgspec.json.Decoder(dict[str, SegmentIndex]).decode


def scan_segment(segment: SegmentFile, *, is_last: bool, known: SegmentIndex | None = None) -> SegmentIndex:
    """The index made from the segment itself, all of whose groups are verified by it, or those that ``known`` lacks.

    Raises ``TapeDamaged`` and ``OSError``.
    """
    index = known or SegmentIndex.begin(segment)
    with segment.path.open("rb", buffering=0) as file:
        for group in read_groups(file, segment.path, index.end, index.crc, is_last=is_last):
            index.add(group, streams_in(group.lines).items())
    return index


def current_index(segment: SegmentFile, *, is_last: bool, known: SegmentIndex | None = None) -> SegmentIndex:
    """The index of the segment as it is now: ``known`` or the one beside it, and what was appended since.

    Raises as ``scan_segment``.
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
    """Keep it beside the segment. It is not synced: one that does not fit is made anew. Raises ``OSError``."""
    replace_file(index_path(segment), seal(msgspec.json.encode({"index": index})[:-1]), durable=False)


def load_index(segment: SegmentFile) -> SegmentIndex | None:
    """The index beside the segment, ``None`` where there is none or it does not fit. Raises ``OSError``."""
    with contextlib.suppress(FileNotFoundError):
        line = index_path(segment.path).read_bytes()
        body = unseal(line[:-1])
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
    """The segment is, or begins with, what the index was made of."""
    if (index.number, index.through) != (segment.head.number, segment.head.through):
        return False
    with segment.path.open("rb", buffering=0) as file:
        return is_boundary(file, segment, index.end, index.crc)


def is_boundary(file: FileIO, segment: SegmentFile, offset: int, crc: int) -> bool:
    """In the segment's open file a group, or the head, ends at ``offset``, and ``crc`` is that of all before it."""
    if offset <= segment.body:
        return (offset, crc) == (segment.body, segment.crc)
    start = max(0, offset - COMMIT_LINE)
    line = COMMIT_MARK + os.pread(file.fileno(), offset - start, start).rpartition(COMMIT_MARK)[2]
    commit = parse_commit(line[:-1]) if line.endswith(b"\n") else None
    return commit is not None and crc32(line, commit.so_far) == crc
