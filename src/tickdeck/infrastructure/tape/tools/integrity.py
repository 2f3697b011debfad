"""Checks whether a reader returns what the writer wrote: compares the events of a tape with its digest, and rows with
their events.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path

import msgspec

from tickdeck.infrastructure.tape.digest import BLOCK, RecordLines, TapeDigest
from tickdeck.infrastructure.tape.opening import AnyReader, open_reader
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.sqlite import SqliteTapeReader

__all__ = ["Integrity", "read_integrity"]

_MOST = 100
"""How many problems to report."""


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    """``digest``: of all events on the tape, in hex; ``None`` if the tape has none, because an older version started
    it. ``digest_then``: the same for the events up to the requested ``seq``. ``problems``: place and description."""

    events: int
    last_seq: int
    digest: str | None
    digest_then: str | None = None
    problems: tuple[tuple[str, str], ...] = ()


def read_integrity(tape: Path | AnyReader, *, then: int | None = None, first_seq: int = 1) -> Integrity:
    """Read the tape and compare. ``then``: a ``seq`` for which you also want the digest.

    By default, this reads the whole tape. ``first_seq``: it reads from the last full block before this ``seq``, and
    takes the digest of what is before from the tape. A change there is not found.

    Raises ``TapeError`` if the tape cannot be read or a checksum already shows a change.
    """
    if isinstance(tape, Path):
        with open_reader(tape) as reader:
            return read_integrity(reader, then=then, first_seq=first_seq)
    has = tape.has_digest
    start = tape.mark_before(min(first_seq, tape.last_seq)) if first_seq > 1 else None
    begin = start.block_seq if start is not None else first_seq - 1 if not has else 0
    stored, upto = tape.digests(start)  # before the events, because a writer may add more meanwhile
    digest, digest_then, last_seq = TapeDigest(start), None, begin
    ends: list[tuple[int, int, str]] = []
    for records in _chunks(takewhile(lambda record: _seq(record) <= upto, tape.records(begin)), then):
        digest = digest.after(RecordLines(records))
        ends += digest.filled
        last_seq = RecordLines(records).seq(len(records) - 1)
        if last_seq == then:
            digest_then = digest.mark().digest
    computed = digest.mark()
    if not isinstance(tape, SqliteTapeReader):  # a line has the digest of a commit, within which more blocks may end
        known = {events for events, _, _ in stored}
        ends = [end for end in ends if end[0] in known]
    problems = list(_compare(stored, [*ends, (computed.events, last_seq, computed.digest)], begin)) if has else []
    if isinstance(tape, SqliteTapeReader):
        problems += ((f"seq {seq}", "the columns of its row do not match the event") for seq in tape.misfits(begin))
    return Integrity(
        events=computed.events,
        last_seq=last_seq,
        digest=computed.digest if has else None,
        digest_then=digest_then if has else None,
        problems=tuple(problems[:_MOST]),
    )


def _compare(
    stored: list[tuple[int, int, str]], computed: list[tuple[int, int, str]], before: int
) -> Iterator[tuple[str, str]]:
    """The first block after ``seq`` ``before`` whose digest differs from the stored one. Each entry has the number of
    events, ``seq`` and digest at the end of a full block or of everything."""
    if not stored and computed[-1][0]:
        yield f"seq {before + 1} to {computed[-1][1]}", "the tape's digest is gone"
        return
    for number, (events, seq, digest) in enumerate(computed):
        if number >= len(stored) or stored[number] != (events, seq, digest):
            if events or stored:
                yield (
                    f"seq {before + 1} to {seq}",
                    "an event was changed since it was written: the tape's digest does not match",
                )
            return
        before = seq
    if len(stored) > len(computed):
        yield f"seq {before}", f"the tape ends here, but by its digest {stored[-1][0]:,} events were written"


def _chunks(records: Iterator[Record], then: int | None) -> Iterator[list[Record]]:
    """The records in chunks, one of which ends at ``seq`` ``then``."""
    while chunk := list(islice(records, BLOCK)):
        if then is not None:
            at = next((n for n, record in enumerate(chunk, 1) if _seq(record) == then), None)
            if at is not None:
                yield chunk[:at]
                chunk = chunk[at:]
        if chunk:
            yield chunk


def _seq(record: Record) -> int:
    return RecordLines((record,)).seq(0)
