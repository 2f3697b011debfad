"""Finds an event on the tape by its id."""

from __future__ import annotations

from bisect import bisect_right

import msgspec

from tickdeck.infrastructure.tape.jsonl.segments import SegmentFile
from tickdeck.infrastructure.tape.jsonl.walk import Walk, records_of
from tickdeck.infrastructure.tape.records import decode_head

__all__ = ["find_seq"]

_MAX = (1 << 63) - 1
_DIGITS = 19  # a number with fewer digits fits in 64 bits


def find_seq(walk: Walk, event_id: str) -> int | None:
    """``seq`` of the event with this id, ``None`` if there is none. Reads one segment if a kernel gave the ids, else
    all."""
    after, upto = walk.with_segments(lambda segments: _segment_of(event_id, segments))
    found = _seq_within(walk, event_id, after, upto)
    if found is None and (after, upto) != (0, _MAX):
        found = _seq_within(walk, event_id, 0, _MAX)
    return found


def _seq_within(walk: Walk, event_id: str, after: int, upto: int) -> int | None:
    needle = b'"event_id":' + msgspec.json.encode(event_id)
    for segment, group in walk.groups(after):
        if group.commit.first_seq > upto:
            return None
        if needle in group.lines:
            for record in records_of(segment.path, group):
                if needle in record.payload:
                    head = decode_head(record.payload)
                    if head.event_id == event_id:
                        return head.seq
    return None


def _segment_of(event_id: str, segments: list[SegmentFile]) -> tuple[int, int]:
    """After and up to which ``seq`` an event with an id of a kernel is: those begin with numbers that never
    decrease along the tape."""
    wanted = _input_number(event_id)
    if wanted is None:
        return 0, _MAX
    place = bisect_right(segments, wanted, lo=1, key=_first_number) if segments else 0
    upto = segments[place].head.after_seq if place < len(segments) else _MAX
    return (segments[place - 1].head.after_seq if place else 0), upto


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
