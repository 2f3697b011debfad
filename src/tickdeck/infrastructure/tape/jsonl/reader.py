"""Reads a JSON Lines tape as typed events, from any process, even while it is being written.

A query by ``seq`` or time starts where the segments' indexes point. A query by type or stream reads the segments that
have it by their indexes. A query by stream, correlation or symbol searches the bytes for it and decodes only the lines
that contain it.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from tickdeck.application.arguments import check_stream, check_whole
from tickdeck.application.ports import Snapshot, TapeQuery
from tickdeck.domain.events import DomainEvent, decode_payload
from tickdeck.errors import EventSchemaError, TapeError
from tickdeck.infrastructure.tape.digest import BLOCK, Mark, event_head
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl.lines import (
    HEAD_AT,
    event_head_end,
    line_decoder,
    parse_event_head,
    split_event,
)
from tickdeck.infrastructure.tape.jsonl.segment_index import (
    SegmentIndex,
    commit_before,
    current_index,
    is_boundary,
    load_index,
)
from tickdeck.infrastructure.tape.jsonl.segments import (
    Group,
    SegmentFile,
    TapeDamaged,
    file_name,
    highest_number,
    is_jsonl_tape,
    list_segments,
    read_groups,
    read_head,
)
from tickdeck.infrastructure.tape.jsonl.snapshots import load_snapshot, read_snapshots
from tickdeck.infrastructure.tape.jsonl.wanted import Wanted
from tickdeck.infrastructure.tape.moved_streams import MovedStreams, may_move, moved_streams, old_types
from tickdeck.infrastructure.tape.reading import Reading
from tickdeck.infrastructure.tape.records import Decode, Record, decode_head, decoder_of, explain

__all__ = ["JsonlTapeReader", "records_of"]

_MAX = (1 << 63) - 1
_DIGITS = 19  # a number with fewer digits fits in 64 bits
_T = TypeVar("_T")


class JsonlTapeReader(Reading):
    """A tape opened for reading. A writer may write it meanwhile, or may have been killed: a torn tail is ignored.

    ``visible()`` returns the last ``seq`` to read; later groups are ignored. Use a reader from one thread at a time.
    Raises ``TapeError`` if there is no tape or it cannot be read, ``TapeVersionError`` if it has a newer version.
    """

    def __init__(self, path: Path | str, *, visible: Callable[[], int] = lambda: _MAX) -> None:
        self._path = path = Path(path)
        self._visible = visible
        self._indexes: dict[int, SegmentIndex] = {}  # by segment number
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
            return self._index(segments[-1], segments).last_seq or segments[-1].head.after_seq

        return self._with_segments(find)

    def stream_version(self, stream: str) -> int:
        """The number of events in a stream, 0 if it has none."""
        check_stream("stream_version", stream)

        def find(segments: list[SegmentFile]) -> int:
            for segment in reversed(segments):
                version = self._index(segment, segments).streams.get(stream)
                if version is not None:
                    return version
            return 0

        return self._with_segments(find) or self.moved_version(stream)

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
                group = _from_seq(group, after + 1)
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
            offset, _ = self._index(earlier[-1], segments).place_after(seq - 1)
            if offset <= earlier[-1].body:
                earlier.pop()
                offset = earlier[-1].path.stat().st_size if earlier else 0
            commit = commit_before(earlier[-1].path, offset) if earlier else None
            return commit.mark if commit is not None else None

        mark = self._with_segments(find)
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
        segments = self._with_segments(lambda found: found)
        return not segments or segments[0].head.format > 1

    def groups(self, after: int = 0) -> Iterator[tuple[SegmentFile, Group]]:
        """Yield the groups with events after ``after``, each verified, with their segments."""
        try:
            yield from self._groups(after)
        except OSError as error:
            raise tape_error(self._path, "read the tape", error) from error

    def close(self) -> None:
        """Does nothing: no file stays open between queries."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- groups -----------------------------------------------------------------------------------------------------

    def _groups(self, after: int) -> Iterator[tuple[SegmentFile, Group]]:
        number, offset, crc = self._place_after(after)
        fresh = 0  # events before this seq were already yielded
        placed = -1  # the seq of the last search for a place
        while True:
            was_last = highest_number(self._path) <= number
            try:
                segment = read_head(self._path / file_name(number), is_last=was_last)
                if segment is None:
                    return
                if not offset:
                    offset, crc = segment.body, segment.crc
                with segment.path.open("rb", buffering=0) as file:
                    if placed != after and not is_boundary(file, segment, offset, crc):  # rewritten meanwhile
                        placed, fresh = after, after + 1
                        number, offset, crc = self._place_after(after)
                        continue
                    for group in read_groups(file, segment.path, offset, crc, is_last=was_last):
                        if group.commit.last_seq > self._visible():
                            return
                        offset, crc = group.end, group.crc
                        if group.commit.last_seq > after:
                            yield segment, group if group.commit.first_seq >= fresh else _from_seq(group, fresh)
                            after = group.commit.last_seq
                    if was_last and not os.path.samestat(os.fstat(file.fileno()), segment.path.stat()):
                        raise FileNotFoundError(segment.path)  # the file that was read no longer belongs to the tape
            except FileNotFoundError:
                segments = list_segments(self._path)  # raises if a segment is missing
                if not segments or segments[-1].head.through < number:
                    return
                number, offset, crc = self._place_after(after)  # merged into another meanwhile
                fresh = after + 1
                continue
            if not was_last:
                number, offset = segment.head.through + 1, 0
            elif highest_number(self._path) <= segment.head.through:
                return

    def _place_after(self, seq: int) -> tuple[int, int, int]:
        """Where to continue for events after ``seq``: the number of a segment, an offset in it (0: its beginning), and
        the CRC-32 up to there."""
        if not seq:
            return 1, 0, 0

        def find(segments: list[SegmentFile]) -> tuple[int, int, int]:
            for segment in reversed(segments):
                if segment.head.after_seq <= seq:
                    return segment.head.number, *self._index(segment, segments).place_after(seq)
            return 1, 0, 0

        return self._with_segments(find)

    def _with_segments(self, find: Callable[[list[SegmentFile]], _T]) -> _T:
        """Call ``find`` with the segments. Retry once, because they may have been merged meanwhile."""
        try:
            try:
                return find(list_segments(self._path))
            except (FileNotFoundError, TapeDamaged):
                return find(list_segments(self._path))
        except OSError as error:
            raise tape_error(self._path, "read the tape", error) from error

    def _index(self, segment: SegmentFile, segments: list[SegmentFile]) -> SegmentIndex:
        number = segment.head.number
        index = current_index(segment, is_last=segment is segments[-1], known=self._indexes.pop(number, None))
        self._indexes[number] = index
        return index

    def _seqs_between(self, first_ts: int | None, last_ts: int | None) -> tuple[int, int]:
        """The first and last seq that may lie between the times, by the indexes; (1, 0) if there are none."""
        spans = [
            span
            for span in self._with_segments(
                lambda segments: [s for one in segments for s in self._index(one, segments).spans]
            )
            if (first_ts is None or span.last_ts >= first_ts) and (last_ts is None or span.first_ts <= last_ts)
        ]
        if not spans:
            return 1, 0
        return spans[0].first_seq, _MAX if last_ts is None else spans[-1].last_seq

    def seq_of(self, event_id: str) -> int:
        """``seq`` of the event with this id. Reads one segment if a kernel gave the ids, else all. Raises ``TapeError``
        if there is none."""
        after, upto = self._with_segments(lambda segments: self._segment_of(event_id, segments))
        found = self._seq_within(event_id, after, upto)
        if found is None and (after, upto) != (0, _MAX):
            found = self._seq_within(event_id, 0, _MAX)
        if found is None:
            raise TapeError(f"{self._path}: there is no event {event_id!r} on the tape; check the id")
        return found

    def _seq_within(self, event_id: str, after: int, upto: int) -> int | None:
        needle = b'"event_id":' + msgspec.json.encode(event_id)
        for segment, group in self.groups(after):
            if group.commit.first_seq > upto:
                return None
            if needle in group.lines:
                for record in records_of(segment.path, group):
                    if needle in record.payload:
                        head = decode_head(record.payload)
                        if head.event_id == event_id:
                            return head.seq
        return None

    def _segment_of(self, event_id: str, segments: list[SegmentFile]) -> tuple[int, int]:
        """After and up to which ``seq`` an event with an id of a kernel is: those begin with numbers that never
        decrease along the tape."""
        wanted = _input_number(event_id)
        if wanted is None:
            return 0, _MAX
        place = bisect_right(segments, wanted, lo=1, key=_first_number) if segments else 0
        upto = segments[place].head.after_seq if place < len(segments) else _MAX
        return (segments[place - 1].head.after_seq if place else 0), upto

    # -- events -----------------------------------------------------------------------------------------------------

    def _read(self, wanted: Wanted, after: int, last: int) -> Iterator[DomainEvent]:
        for low, high in self._with_segments(lambda segments: self._ranges(segments, wanted, after, last)):
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
        for low, high in self._with_segments(lambda segments: self._ranges(segments, wanted, 0, _MAX)):
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


def _input_number(event_id: str) -> int | None:
    """The number of the input with which an id of a kernel begins; ``None`` for another id."""
    number = event_id.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < _DIGITS else None


def _first_number(segment: SegmentFile) -> int:
    """The number of the input of the first event in a segment; the highest if there is none, or no such number."""
    with segment.path.open("rb") as file:
        file.seek(segment.body)
        line = file.readline()
    try:
        number = _input_number(decode_head(line).event_id)
    except msgspec.MsgspecError:
        return _MAX
    return _MAX if number is None else number


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


def records_of(path: Path, group: Group, line_number: int = 0) -> Iterator[Record]:
    """Yield the stored events of a group. ``line_number``: that of its first line. Raises ``TapeError`` if a line has a
    valid checksum but is not an event."""
    for number, line in enumerate(group.lines[:-1].split(b"\n"), start=line_number):
        where = f"{path.name}, line {number}"
        try:
            stream, version, head, payload = split_event(line)
            yield Record(*parse_event_head(head), stream, version, payload, where)
        except (msgspec.MsgspecError, ValueError) as error:
            raise TapeError(f"{path}, line {number}: not an event: {error}") from None


def _from_seq(group: Group, first_seq: int) -> Group:
    """The part of a group from ``first_seq`` on."""
    lines = group.lines[:-1].split(b"\n")
    kept = [line + b"\n" for line in lines if decode_head(split_event(line)[3]).seq >= first_seq]
    return group._replace(lines=b"".join(kept))


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
