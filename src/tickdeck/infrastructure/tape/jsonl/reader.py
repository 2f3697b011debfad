"""Reads a JSON Lines tape as typed events, from any process, even while it is being written.

A query by ``seq`` or time starts where the segments' indexes point. A query by type or stream reads the segments that
have it by their indexes. A query by stream, correlation or symbol searches the bytes for it and decodes only the lines
that contain it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Self

import msgspec

from tickdeck.application.arguments import check_stream, check_whole
from tickdeck.application.ports import Snapshot, TapeQuery
from tickdeck.domain.events import DomainEvent, decode_payload
from tickdeck.errors import EventSchemaError, TapeError
from tickdeck.infrastructure.tape.digest import BLOCK, Mark, event_head
from tickdeck.infrastructure.tape.jsonl.event_ids import find_seq
from tickdeck.infrastructure.tape.jsonl.lines import (
    HEAD_AT,
    event_head_end,
    line_decoder,
    parse_event_head,
    split_event,
)
from tickdeck.infrastructure.tape.jsonl.segment_index import (
    commit_before,
    load_index,
)
from tickdeck.infrastructure.tape.jsonl.segments import (
    Group,
    SegmentFile,
    is_jsonl_tape,
    list_segments,
)
from tickdeck.infrastructure.tape.jsonl.snapshots import load_snapshot, read_snapshots
from tickdeck.infrastructure.tape.jsonl.walk import Walk, from_seq, records_of
from tickdeck.infrastructure.tape.jsonl.wanted import Wanted
from tickdeck.infrastructure.tape.moved_streams import MovedStreams, may_move, moved_streams, old_types
from tickdeck.infrastructure.tape.reading import ReadOnly
from tickdeck.infrastructure.tape.records import Decode, Record, decoder_of, explain

__all__ = ["JsonlTapeReader"]

_MAX = (1 << 63) - 1


class JsonlTapeReader(ReadOnly):
    """A tape opened for reading. A writer may write it meanwhile, or may have been killed: a torn tail is ignored.

    ``visible()`` returns the last ``seq`` to read; later groups are ignored. Use a reader from one thread at a time.
    Raises ``TapeError`` if there is no tape or it cannot be read, ``TapeVersionError`` if it has a newer version.
    """

    def __init__(self, path: Path | str, *, visible: Callable[[], int] = lambda: _MAX) -> None:
        self._path = path = Path(path)
        self._walk = Walk(path, visible)
        self._kinds: dict[bytes, tuple[str, Decode]] = {}  # type and decoder, by the head of the lines
        self._moved: MovedStreams | None = None
        if not is_jsonl_tape(path):
            raise TapeError(f"{path}: there is no tape here; check the path")
        list_segments(path)

    @property
    def last_seq(self) -> int:
        """``seq`` of the last event that is on the tape now, 0 if it is empty."""

        def find(segments: list[SegmentFile]) -> int:
            if not segments:
                return 0
            return self._walk.index(segments[-1], segments).last_seq or segments[-1].head.after_seq

        return self._walk.with_segments(find)

    def stream_version(self, stream: str) -> int:
        """The number of events in a stream, 0 if it has none."""
        check_stream("stream_version", stream)

        def find(segments: list[SegmentFile]) -> int:
            for segment in reversed(segments):
                version = self._walk.index(segment, segments).streams.get(stream)
                if version is not None:
                    return version
            return 0

        return self._walk.with_segments(find) or self.moved_version(stream)

    def moved_version(self, stream: str) -> int:
        """The version of a stream without own events, from the events that upcasts moved to it."""
        return max(self._moved_streams().get(stream, {}).values(), default=0)

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """See ``Tape.load_snapshot``."""
        check_stream("load_snapshot", stream)
        check_whole("load_snapshot", "upto", upto, optional=True)
        return load_snapshot(self._path, stream, upto)

    def snapshots(self) -> Iterator[tuple[str, Snapshot]]:
        """All saved snapshots, by stream."""
        return read_snapshots(self._path)

    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        """Yield the matching events in order of ``seq``. Cascades are complete unless the query excludes a part.

        This includes events that are appended meanwhile, until it reaches the end of the tape. Types that this process
        does not know become ``RawEvent``. Raises ``TapeError`` with the place of the damage if the tape is damaged.
        """
        after = max(query.first_seq, 1) - 1
        last = _MAX if query.last_seq is None else query.last_seq
        if query.from_id is not None:
            after = max(after, self.seq_of(query.from_id))
        if query.first_ts is not None or query.last_ts is not None:
            bounds = self._seqs_between(query.first_ts, query.last_ts)
            after, last = max(after, bounds[0] - 1), min(last, bounds[1])
        limit = 0 if after >= last else query.limit
        moved = () if query.stream is None else tuple(self._moved_streams().get(query.stream, ()))
        events = self._read(Wanted(query, moved), after, last)
        return events if limit is None else islice(events, max(0, min(limit, sys.maxsize)))

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the stored events after ``after``, in order of ``seq``. If ``after`` is not 0, line numbers are
        wrong."""
        number, line = 0, 0
        for segment, group in self.groups(after):
            if segment.head.number != number:
                number, line = segment.head.number, 2
            if group.commit.first_seq <= after:
                group = from_seq(group, after + 1)
            yield from records_of(segment.path, group, line)
            line += group.commit.events + 1

    def mark(self) -> Mark | None:
        """The tape's digest from its last commit; ``None`` if the tape has no digest or no events."""
        mark = None
        for _, group in self.groups(max(self.last_seq - 1, 0)):
            mark = group.commit.mark
        return mark

    def mark_before(self, seq: int) -> Mark | None:
        """The end of the last full block of the digest that is known to lie before ``seq``; ``None`` if there is no
        such block."""

        def find(segments: list[SegmentFile]) -> Mark | None:
            earlier = [segment for segment in segments if segment.head.after_seq < seq]
            if not earlier:
                return None
            offset, _ = self._walk.index(earlier[-1], segments).place_after(seq - 1)
            if offset <= earlier[-1].body:
                earlier.pop()
                offset = earlier[-1].path.stat().st_size if earlier else 0
            commit = commit_before(earlier[-1].path, offset) if earlier else None
            return commit.mark if commit is not None else None

        mark = self._walk.with_segments(find)
        return Mark(mark.events // BLOCK * BLOCK, mark.block_seq, mark.block, "") if mark and mark.block_seq else None

    def digests(self, after: Mark | None = None) -> tuple[list[tuple[int, int, str]], int]:
        """The number of events, ``seq`` and digest at the end of each full block and of all events, from the block
        after ``after`` on; also the ``seq`` of the last event at that time. Only the last of the blocks that end within
        one commit is known."""
        last_seq = 0
        found: dict[int, tuple[int, int, str]] = {}
        last = None
        begin, known = (after.block_seq, after.events) if after is not None else (0, 0)
        for _, group in self.groups(begin):
            mark, last_seq = group.commit.mark, group.commit.last_seq
            if mark is not None:
                full = mark.events // BLOCK * BLOCK
                if full > known:
                    found.setdefault(full, (full, mark.block_seq, mark.block))
                last = (mark.events, group.commit.last_seq, mark.digest)
        return [*found.values(), *([last] if last else [])], last_seq

    @property
    def has_digest(self) -> bool:
        """True if the tape's format has digests. This includes empty tapes."""
        segments = self._walk.with_segments(lambda found: found)
        return not segments or segments[0].head.format > 1

    def groups(self, after: int = 0) -> Iterator[tuple[SegmentFile, Group]]:
        """Yield the groups with events after ``after``, each verified, with their segments."""
        return self._walk.groups(after)

    def seq_of(self, event_id: str) -> int:
        """``seq`` of the event with this id. Reads one segment if a kernel gave the ids, else all. Raises ``TapeError``
        if there is none."""
        found = find_seq(self._walk, event_id)
        if found is None:
            raise TapeError(f"{self._path}: there is no event {event_id!r} on the tape; check the id")
        return found

    def close(self) -> None:
        """Does nothing: no file stays open between queries."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seqs_between(self, first_ts: int | None, last_ts: int | None) -> tuple[int, int]:
        """The first and last seq that may lie between the times, by the indexes; (1, 0) if there are none."""
        spans = [
            span
            for span in self._walk.with_segments(
                lambda segments: [s for one in segments for s in self._walk.index(one, segments).spans]
            )
            if (first_ts is None or span.last_ts >= first_ts) and (last_ts is None or span.first_ts <= last_ts)
        ]
        if not spans:
            return 1, 0
        return spans[0].first_seq, _MAX if last_ts is None else spans[-1].last_seq

    # -- events -----------------------------------------------------------------------------------------------------

    def _read(self, wanted: Wanted, after: int, last: int) -> Iterator[DomainEvent]:
        for low, high in self._walk.with_segments(lambda segments: self._ranges(segments, wanted, after, last)):
            yield from self._read_range(wanted, low, high)

    def _ranges(self, segments: list[SegmentFile], wanted: Wanted, after: int, last: int) -> list[tuple[int, int]]:
        """Where to look for the events after ``after``, up to ``last``: ranges of this form. The indexes of complete
        segments say which have none."""
        if not wanted.is_narrow:
            return [(after, last)]
        ranges: list[tuple[int, int]] = []
        for segment, following in zip(segments, [*segments[1:], None], strict=True):
            low = max(after, segment.head.after_seq)
            high = last if following is None else min(last, following.head.after_seq)
            index = load_index(segment) if low < high else None
            if index is not None:
                known = min(high, index.last_seq)  # more may be appended to the last segment
                first, end = wanted.bounds_in(index, low + 1, known)
                _add_range(ranges, max(low, first - 1), min(known, end))
                low = max(low, known) if following is None else high
            _add_range(ranges, low, high)
        return ranges

    def _read_range(self, wanted: Wanted, after: int, last: int) -> Iterator[DomainEvent]:
        needles, matches = wanted.needles, wanted.matches
        # The heads of the last two types. Most lines have one of these.
        head = other_head = b"\0"
        decode: Decode | None = None
        other_decode: Decode | None = None
        for segment, group in self.groups(after):
            if group.commit.first_seq > last:
                return
            if any(needle not in group.lines for needle in needles):
                continue
            restricts = matches is not None or group.commit.first_seq <= after or group.commit.last_seq > last
            lines = group.lines.split(b"\n")
            lines.pop()  # the rest after the last line end is empty
            for line in lines:
                try:
                    if needles and not wanted.may_take(line):
                        continue
                    if not line.startswith(head, HEAD_AT):
                        head, decode, other_head, other_decode = other_head, other_decode, head, decode
                        if not line.startswith(head, HEAD_AT):
                            head = line[HEAD_AT : event_head_end(line)]
                            decode = self._decoder(head, wanted)
                    if decode is None:
                        continue
                    event = decode(line)
                except Exception as error:  # noqa: BLE001 (the code of the class may raise anything)
                    raise _undecodable(segment, group, line, error) from None
                if restricts and (not after < event.seq <= last or (matches is not None and not matches(event))):
                    continue
                yield event

    def _moved_streams(self) -> MovedStreams:
        """Computed once: no writer adds events of old versions."""
        if self._moved is None:
            old = tuple(old_types())
            self._moved = moved_streams(self._records_of(old)) if old else {}
        return self._moved

    def _records_of(self, old: tuple[tuple[str, int], ...]) -> Iterator[Record]:
        """Yield the stored events that are in a stream and may move: those of ``old`` types and versions."""
        heads = [event_head(name, version) for name, version in old]
        wanted = Wanted(TapeQuery(types=tuple(dict(old))))
        for low, high in self._walk.with_segments(lambda segments: self._ranges(segments, wanted, 0, _MAX)):
            for segment, group in self.groups(low):
                if group.commit.first_seq > high:
                    break
                if any(head in group.lines for head in heads):
                    for record in records_of(segment.path, group):
                        if record.stream is not None and may_move(record.type, record.version):
                            yield record

    def _decoder(self, head: bytes, wanted: Wanted) -> Decode | None:
        """The decoder of the lines with this head; ``None`` if the query excludes their type."""
        name, decode = self._kinds.get(head) or self._kind(head)
        return decode if wanted.takes(name) else None

    def _kind(self, head: bytes) -> tuple[str, Decode]:
        name, version = parse_event_head(head)
        kind = self._kinds[head] = name, _line_decoder(name, version, HEAD_AT + len(head))
        return kind


def _add_range(ranges: list[tuple[int, int]], low: int, high: int) -> None:
    if low < high:
        if ranges and ranges[-1][1] == low:
            low = ranges.pop()[0]
        ranges.append((low, high))


def _line_decoder(name: str, version: int, end: int) -> Decode:
    """Returns a decoder of whole lines. ``end`` is where the head ends that depends on the type."""
    decode = decoder_of(name, version)
    if decode is None:
        return lambda line: _raw_event(name, version, line)
    return line_decoder(decode, end)


def _raw_event(name: str, version: int, line: bytes) -> DomainEvent:
    """An event whose type this process does not know. It keeps the stream in which it is stored."""
    stream, _, _, payload = split_event(line)
    return decode_payload(name, payload, version, stream)


def _undecodable(segment: SegmentFile, group: Group, line: bytes, error: Exception) -> TapeError:
    with segment.path.open("rb") as file:
        number = file.read(group.offset).count(b"\n") + 1
    number += group.lines[:-1].split(b"\n").index(line)
    try:
        _, _, head, payload = split_event(line)
        reason = explain(*parse_event_head(head), payload, error)
    except (msgspec.MsgspecError, ValueError) as other:
        reason = other
    what = "cannot be read" if isinstance(reason, EventSchemaError) else "does not decode"
    return TapeError(f"{segment.path}, line {number}: the event {what}: {reason}")
