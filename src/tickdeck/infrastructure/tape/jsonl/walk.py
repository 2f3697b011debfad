"""Walks through the groups of a tape, segment by segment, even while segments are appended and merged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl.lines import parse_event_head, split_event
from tickdeck.infrastructure.tape.jsonl.segment_index import SegmentIndex, current_index, is_boundary
from tickdeck.infrastructure.tape.jsonl.segments import (
    Group,
    SegmentFile,
    TapeDamaged,
    file_name,
    highest_number,
    list_segments,
    read_groups,
    read_head,
)
from tickdeck.infrastructure.tape.records import Record, decode_head

__all__ = ["Walk", "from_seq", "records_of"]

_T = TypeVar("_T")


class Walk:
    """``visible()`` returns the last ``seq`` to read; later groups are ignored."""

    def __init__(self, path: Path, visible: Callable[[], int]) -> None:
        self._path = path
        self._visible = visible
        self._indexes: dict[int, SegmentIndex] = {}  # by segment number

    def with_segments(self, find: Callable[[list[SegmentFile]], _T]) -> _T:
        """Call ``find`` with the segments. Retry once, because they may have been merged meanwhile."""
        try:
            try:
                return find(list_segments(self._path))
            except (FileNotFoundError, TapeDamaged):
                return find(list_segments(self._path))
        except OSError as error:
            raise tape_error(self._path, "read the tape", error) from error

    def index(self, segment: SegmentFile, segments: list[SegmentFile]) -> SegmentIndex:
        """The current index of one of the tape's ``segments``."""
        number = segment.head.number
        index = current_index(segment, is_last=segment is segments[-1], known=self._indexes.pop(number, None))
        self._indexes[number] = index
        return index

    def groups(self, after: int = 0) -> Iterator[tuple[SegmentFile, Group]]:
        """Yield the groups with events after ``after``, each verified, with their segments."""
        try:
            yield from self._groups(after)
        except OSError as error:
            raise tape_error(self._path, "read the tape", error) from error

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
                            yield segment, group if group.commit.first_seq >= fresh else from_seq(group, fresh)
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
                    return segment.head.number, *self.index(segment, segments).place_after(seq)
            return 1, 0, 0

        return self.with_segments(find)


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


def from_seq(group: Group, first_seq: int) -> Group:
    """The part of a group from ``first_seq`` on."""
    lines = group.lines[:-1].split(b"\n")
    kept = [line + b"\n" for line in lines if decode_head(split_event(line)[3]).seq >= first_seq]
    return group._replace(lines=b"".join(kept))
