"""Is what a reader returns what the writer wrote? The events of a tape against its digest, and rows against events."""

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
"""Problems that are told."""


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    """``digest``: of all events on the tape, in hex; ``None`` where the tape has none, as an older version began it.
    ``digest_then``: the same of the events up to the ``seq`` that was asked for. ``problems``: place and words."""

    events: int
    last_seq: int
    digest: str | None
    digest_then: str | None = None
    problems: tuple[tuple[str, str], ...] = ()


def read_integrity(tape: Path | AnyReader, *, then: int | None = None) -> Integrity:
    """Read the whole tape and compare. ``then``: a ``seq`` at which the digest is wanted too.

    Raises ``TapeError`` where the tape cannot be read or a checksum already tells of a change.
    """
    if isinstance(tape, Path):
        with open_reader(tape) as reader:
            return read_integrity(reader, then=then)
    has = tape.has_digest
    stored, upto = tape.digests()  # before the events: a writer may add more meanwhile
    digest, digest_then, last_seq = TapeDigest(), None, 0
    ends: list[tuple[int, int, str]] = []
    for records in _chunks(takewhile(lambda record: _seq(record) <= upto, tape.records()), then):
        digest = digest.after(RecordLines(records))
        ends += digest.filled
        last_seq = RecordLines(records).seq(len(records) - 1)
        if last_seq == then:
            digest_then = digest.mark().digest
    computed = digest.mark()
    problems = list(_compare(stored, [*ends, (computed.events, last_seq, computed.digest)])) if has else []
    if isinstance(tape, SqliteTapeReader):
        problems += ((f"seq {seq}", "the columns of its row are not those of the event") for seq in tape.misfits())
    return Integrity(
        events=computed.events,
        last_seq=last_seq,
        digest=computed.digest if has else None,
        digest_then=digest_then if has else None,
        problems=tuple(problems[:_MOST]),
    )


def _compare(stored: list[tuple[int, int, str]], computed: list[tuple[int, int, str]]) -> Iterator[tuple[str, str]]:
    """The first block whose digest is not the stored one. Each has the number of events, ``seq`` and digest at the end
    of each full block, and of everything."""
    if not stored and computed[-1][0]:
        yield f"seq 1 to {computed[-1][1]}", "the tape's digest is gone"
        return
    before = 0
    for number, (events, seq, digest) in enumerate(computed):
        if number >= len(stored) or stored[number] != (events, seq, digest):
            if events or stored:
                yield f"seq {before + 1} to {seq}", "an event is not as it was written: the tape's digest says so"
            return
        before = seq
    if len(stored) > len(computed):
        yield f"seq {before}", f"the tape ends here, and its digest says that {stored[-1][0]:,} events were written"


def _chunks(records: Iterator[Record], then: int | None) -> Iterator[list[Record]]:
    """The records in pieces, one of which ends at ``seq`` ``then``."""
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
