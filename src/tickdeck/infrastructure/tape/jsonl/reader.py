"""Reading a tape in JSON Lines back as typed events, from any process, also while it is being written.

A query by place or time begins where the segments' indexes say. One by stream, correlation or symbol looks through the
bytes for it and decodes only the lines that hold it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

import msgspec

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
from tickdeck.infrastructure.tape.jsonl.segment_index import SegmentIndex, current_index, is_boundary
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
from tickdeck.infrastructure.tape.moved_streams import MovedStreams, may_move, moved_streams, old_types
from tickdeck.infrastructure.tape.reading import Reading
from tickdeck.infrastructure.tape.records import Decode, Record, decode_head, decoder_of, explain

__all__ = ["JsonlTapeReader", "records_of"]

_MAX = (1 << 63) - 1
_T = TypeVar("_T")


class JsonlTapeReader(Reading):
    """A tape opened for reading, also while a writer writes it and after one was killed: a torn tail is passed over.

    ``visible()``: no group beyond this ``seq`` is read. Use it from one thread at a time. Raises ``TapeError`` where
    there is no tape or it cannot be read, ``TapeVersionError`` where it is of a newer version.
    """

    def __init__(self, path: Path | str, *, visible: Callable[[], int] = lambda: _MAX) -> None:
        self._path = path = Path(path)
        self._visible = visible
        self._indexes: dict[int, SegmentIndex] = {}  # by the segment's number
        self._kinds: dict[bytes, tuple[str, Decode]] = {}  # type and decoder, by the head of their lines
        self._moved: MovedStreams | None = None
        if not is_jsonl_tape(path):
            raise TapeError(f"{path}: there is no tape here; check the path")
        list_segments(path)

    @property
    def last_seq(self) -> int:
        """``seq`` of the last event that is on the tape now, 0 when it is empty."""

        def find(segments: list[SegmentFile]) -> int:
            if not segments:
                return 0
            return self._index(segments[-1], segments).last_seq or segments[-1].head.after_seq

        return self._look(find)

    def stream_version(self, stream: str) -> int:
        """How many events a stream has, 0 when it has none."""

        def find(segments: list[SegmentFile]) -> int:
            for segment in reversed(segments):
                version = self._index(segment, segments).streams.get(stream)
                if version is not None:
                    return version
            return 0

        return self._look(find) or self.moved_version(stream)

    def moved_version(self, stream: str) -> int:
        """The version that a stream without events of its own has by those that upcasts put into it."""
        return max(self._moved_streams().get(stream, {}).values(), default=0)

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """As ``Tape.load_snapshot``."""
        return load_snapshot(self._path, stream, upto)

    def snapshots(self) -> Iterator[tuple[str, Snapshot]]:
        """All that were saved, by stream."""
        return read_snapshots(self._path)

    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        """The matching events in order of ``seq``, whole cascades as far as the query lets them be whole.

        What is appended meanwhile is read too, up to the moment when the end of the tape is met. Types that this
        process does not know come as ``RawEvent``. Raises ``TapeError`` with its place for what is damaged.
        """
        after = max(query.first_seq, 1) - 1
        last = _MAX if query.last_seq is None else query.last_seq
        if query.from_id is not None:
            after = max(after, self._seq_of(query.from_id))
        if query.first_ts is not None or query.last_ts is not None:
            bounds = self._seqs_between(query.first_ts, query.last_ts)
            after, last = max(after, bounds[0] - 1), min(last, bounds[1])
        limit = 0 if after >= last else query.limit
        moved = () if query.stream is None else tuple(self._moved_streams().get(query.stream, ()))
        events = self._read(_Wanted(query, moved), after, last)
        return events if limit is None else islice(events, max(0, min(limit, sys.maxsize)))

    def records(self, after: int = 0) -> Iterator[Record]:
        """All that is stored of each event above ``after``, in order of ``seq``; with it, places are without lines."""
        number, line = 0, 0
        for segment, group in self.groups(after):
            if segment.head.number != number:
                number, line = segment.head.number, 2
            if group.commit.first_seq <= after:
                group = _from_seq(group, after + 1)
            yield from records_of(segment.path, group, line)
            line += group.commit.events + 1

    def mark(self) -> Mark | None:
        """The tape's digest as its last commit says; ``None`` where the tape has none, or no event."""
        mark = None
        for _, group in self.groups(max(self.last_seq - 1, 0)):
            mark = group.commit.mark
        return mark

    def digests(self) -> tuple[list[tuple[int, int, str]], int]:
        """Number of events, ``seq`` and digest at the end of each full block, then of all events; and the ``seq`` of
        the last event at that time."""
        last_seq = 0
        found: dict[int, tuple[int, int, str]] = {}
        last = None
        for _, group in self.groups():
            mark, last_seq = group.commit.mark, group.commit.last_seq
            if mark is not None:
                full = mark.events // BLOCK * BLOCK
                if full:
                    found.setdefault(full, (full, mark.block_seq, mark.block))
                last = (mark.events, group.commit.last_seq, mark.digest)
        return [*found.values(), *([last] if last else [])], last_seq

    @property
    def has_digest(self) -> bool:
        """Whether the tape was begun in a format that has digests. An empty tape has one too."""
        segments = self._look(lambda found: found)
        return not segments or segments[0].head.format > 1

    def groups(self, after: int = 0) -> Iterator[tuple[SegmentFile, Group]]:
        """The groups that hold events above ``after``, each verified, with their segments."""
        try:
            yield from self._groups(after)
        except OSError as error:
            raise tape_error(self._path, "read the tape", error) from error

    def close(self) -> None:
        """There is nothing to let go of between readings."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- groups -----------------------------------------------------------------------------------------------------

    def _groups(self, after: int) -> Iterator[tuple[SegmentFile, Group]]:
        number, offset, crc = self._place_after(after)
        fresh = 0  # what is below was given before
        placed = -1  # after which event a place was looked for last
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
                        raise FileNotFoundError(segment.path)  # what was read is not the tape's any more
            except FileNotFoundError:
                segments = list_segments(self._path)  # tells it where one is missing
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
        """Where to read on for events above ``seq``: a segment's number, an offset in it (0: its beginning), and the
        CRC-32 up to there."""
        if not seq:
            return 1, 0, 0

        def find(segments: list[SegmentFile]) -> tuple[int, int, int]:
            for segment in reversed(segments):
                if segment.head.after_seq <= seq:
                    return segment.head.number, *self._index(segment, segments).place_after(seq)
            return 1, 0, 0

        return self._look(find)

    def _look(self, find: Callable[[list[SegmentFile]], _T]) -> _T:
        """What is found in the segments; once more where they were merged meanwhile."""
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
        """The first and last seq of where in the tape the times are, as the indexes tell; (1, 0) where they are not."""
        spans = [
            span
            for span in self._look(lambda segments: [s for one in segments for s in self._index(one, segments).spans])
            if (first_ts is None or span.last_ts >= first_ts) and (last_ts is None or span.first_ts <= last_ts)
        ]
        if not spans:
            return 1, 0
        return spans[0].first_seq, _MAX if last_ts is None else spans[-1].last_seq

    def _seq_of(self, event_id: str) -> int:
        needle = b'"event_id":' + msgspec.json.encode(event_id)
        for segment, group in self.groups():
            if needle in group.lines:
                for record in records_of(segment.path, group):
                    if needle in record.payload:
                        head = decode_head(record.payload)
                        if head.event_id == event_id:
                            return head.seq
        raise TapeError(f"{self._path}: there is no event {event_id!r} on the tape; look at the ids that it has")

    # -- events -----------------------------------------------------------------------------------------------------

    def _read(self, wanted: _Wanted, after: int, last: int) -> Iterator[DomainEvent]:
        needles, matches = wanted.needles, wanted.matches
        # Of the type of the last line, and of another one before it: most lines are of one of these.
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
            lines.pop()  # nothing follows the last line's end
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
                except Exception as error:  # noqa: BLE001 (code of the class may raise anything)
                    raise _undecodable(segment, group, line, error) from None
                if restricts and (not after < event.seq <= last or (matches is not None and not matches(event))):
                    continue
                yield event

    def _moved_streams(self) -> MovedStreams:
        """As they were when they were needed first: no writer adds events of old versions."""
        if self._moved is None:
            heads = [event_head(name, version) for name, version in old_types()]
            self._moved = moved_streams(self._records_of(heads)) if heads else {}
        return self._moved

    def _records_of(self, heads: list[bytes]) -> Iterator[Record]:
        """What is stored of each event whose type and version ``may_move`` and that is in a stream."""
        for segment, group in self.groups():
            if any(head in group.lines for head in heads):
                for record in records_of(segment.path, group):
                    if record.stream is not None and may_move(record.type, record.version):
                        yield record

    def _decoder(self, head: bytes, wanted: _Wanted) -> Decode | None:
        """For the lines with this head; ``None`` where their type is not wanted."""
        name, decode = self._kinds.get(head) or self._kind(head)
        return decode if wanted.takes(name) else None

    def _kind(self, head: bytes) -> tuple[str, Decode]:
        name, version = parse_event_head(head)
        kind = self._kinds[head] = name, _line_decoder(name, version, HEAD_AT + len(head))
        return kind


def _line_decoder(name: str, version: int, end: int) -> Decode:
    """Makes events of whole lines; ``end`` is where the head ends that their type gives."""
    decode = decoder_of(name, version)
    if decode is None:
        return lambda line: _raw_event(name, version, line)
    return line_decoder(decode, end)


def _raw_event(name: str, version: int, line: bytes) -> DomainEvent:
    """Of a type that this process does not know: the event keeps the stream in which it is stored."""
    stream, _, _, payload = split_event(line)
    return decode_payload(name, payload, version, stream)


class _Wanted:
    """What a query asks for, besides places. ``needles``: bytes that a line must hold. ``matches``: what an event must
    fulfil besides, ``None`` where that is nothing."""

    def __init__(self, query: TapeQuery, moved: tuple[str, ...] = ()) -> None:
        """``moved``: where the first events of the query's stream are stored."""
        self._query = query
        self._streams = (query.stream, *moved)
        self._types: dict[str, bool] = {}
        self.needles: list[bytes] = []
        if moved:
            self.needles.append(b',"stream":"')
        elif query.stream is not None:
            self.needles.append(b',"stream":%b,"stream_version":' % msgspec.json.encode(query.stream))
        if query.correlation_id is not None:
            self.needles.append(b'"correlation_id":' + msgspec.json.encode(query.correlation_id))
        if query.symbol is not None:
            self.needles.append(msgspec.json.encode(query.symbol))
        self.matches = None if query.first_ts is None and query.last_ts is None and not moved else self._matches

    def may_take(self, line: bytes) -> bool:
        """Whether it holds the needles, and where they must be: a needle may be in any of its fields. What
        counts is what is stored, which an upcast may change."""
        if any(needle not in line for needle in self.needles):
            return False
        query = self._query
        if query.stream is not None and split_event(line)[0] not in self._streams:
            return False
        if query.correlation_id is None and query.symbol is None:
            return True
        head = decode_head(line)
        return (query.correlation_id is None or head.correlation_id == query.correlation_id) and (
            query.symbol is None or head.symbol == query.symbol
        )

    def takes(self, event_type: str) -> bool:
        taken = self._types.get(event_type)
        if taken is None:
            patterns = self._query.patterns
            taken = not patterns or any(fnmatchcase(event_type, pattern) for pattern in patterns)
            self._types[event_type] = taken
        return taken

    def _matches(self, event: DomainEvent) -> bool:
        query, ts = self._query, event.ts_ingress
        if query.stream is not None and event.stream != query.stream and len(self._streams) > 1:
            return False
        return (query.first_ts is None or ts >= query.first_ts) and (query.last_ts is None or ts <= query.last_ts)


def records_of(path: Path, group: Group, line_number: int = 0) -> Iterator[Record]:
    """What is stored of each event of a group whose first line has this number. Raises ``TapeError`` where a sound line
    is no event."""
    for number, line in enumerate(group.lines[:-1].split(b"\n"), start=line_number):
        where = f"{path.name}, line {number}"
        try:
            stream, version, head, payload = split_event(line)
            yield Record(*parse_event_head(head), stream, version, payload, where)
        except (msgspec.MsgspecError, ValueError) as error:
            raise TapeError(f"{path}, line {number}: no event: {error}") from None


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
    except (msgspec.MsgspecError, ValueError) as worse:
        reason = worse
    what = "cannot be read" if isinstance(reason, EventSchemaError) else "does not decode"
    return TapeError(f"{segment.path}, line {number}: the event {what}: {reason}")
