"""The digest of a tape: BLAKE2b over the stored events, chained over blocks of 4,096 events.

An event contributes one line: its type, version, stream and stream version, then its payload. Blocks count events, not
commits. So two tapes with the same events have the same digest, whatever the timing of their commits, in both formats,
and after a compaction. Each commit stores a ``Mark``. A writer that opens the tape continues from it and reads the
events of the last block again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.records import Record, decode_head

__all__ = [
    "BLOCK",
    "DigestWorker",
    "Lines",
    "Mark",
    "RecordLines",
    "TapeDigest",
    "continued_digest",
    "event_head",
    "stream_head",
]

BLOCK = 4_096
"""Events per block."""
_PERSON = b"tickdeck tape 1"
_ALONE = 256
"""A group of at least this many lines is hashed in a separate thread."""


class Mark(NamedTuple):
    """The digest after ``events`` events of a tape. ``block`` is the digest of the full blocks, the last of which ends
    with the event at ``block_seq`` (0 and empty if no block is full). ``digest`` covers everything. Both are hex."""

    events: int
    block_seq: int
    block: str
    digest: str


class Lines(Protocol):
    """The digest's lines of some events, each with a line end."""

    def __len__(self) -> int: ...

    def joined(self, start: int, stop: int) -> bytes:
        """The lines of the events at these indexes, as one value."""

    def seq(self, place: int) -> int:
        """``seq`` of one event."""


class TapeDigest:
    """The digest of the events so far. ``mark`` is where to continue: pass the events after ``mark.block_seq``
    again."""

    __slots__ = ("_block", "_block_seq", "_hasher", "events", "filled")

    def __init__(self, mark: Mark | None = None) -> None:
        self._block = bytes.fromhex(mark.block) if mark is not None else b""
        self._block_seq = mark.block_seq if mark is not None else 0
        self._hasher = blake2b(self._block, digest_size=32, person=_PERSON)
        self.events = mark.events // BLOCK * BLOCK if mark is not None else 0
        self.filled: list[tuple[int, int, str]] = []
        """The blocks that the last ``after`` filled: number of events, ``seq`` and digest at the end of each."""

    def after(self, lines: Lines) -> TapeDigest:
        """The digest including these events; this object does not change."""
        new = TapeDigest.__new__(TapeDigest)
        new.filled = []
        new._block, new._block_seq, new.events = self._block, self._block_seq, self.events
        new._hasher = self._hasher.copy()
        at, count = 0, len(lines)
        while at < count:
            upto = min(at + BLOCK - new.events % BLOCK, count)
            # In one piece: other threads run meanwhile, and each thread switch is slow.
            new._hasher.update(lines.joined(at, upto))
            new.events += upto - at
            at = upto
            if not new.events % BLOCK:
                new._block_seq, new._block = lines.seq(at - 1), new._hasher.digest()
                new.filled.append((new.events, new._block_seq, new._block.hex()))
                new._hasher = blake2b(new._block, digest_size=32, person=_PERSON)
        return new

    def mark(self) -> Mark:
        """What a commit stores."""
        return Mark(self.events, self._block_seq, self._block.hex(), self.hexdigest())

    def hexdigest(self) -> str:
        """The digest of all events."""
        return self._hasher.hexdigest()


class DigestWorker:
    """Computes the digest of a group in its own thread while the group is being written."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def after(self, digest: TapeDigest, lines: Lines) -> Callable[[], TapeDigest]:
        """Start; the returned callable waits for the result. A short group is hashed immediately."""
        if len(lines) < _ALONE:
            done = digest.after(lines)
            return lambda: done
        try:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "tape digest")
            return self._pool.submit(digest.after, lines).result
        except RuntimeError:  # the interpreter is shutting down and starts no more threads
            done = digest.after(lines)
            return lambda: done

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


class RecordLines:
    """The lines of events as they are stored."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def joined(self, start: int, stop: int) -> bytes:
        return b"".join(map(_line, self._records[start:stop]))

    def seq(self, place: int) -> int:
        try:
            return decode_head(self._records[place].payload).seq
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return 0  # damaged, so not what the writer hashed


def continued_digest(path: Path, mark: Mark | None, records_after: Callable[[int], Iterable[Record]]) -> TapeDigest:
    """The digest of a tape to which a writer appends. ``records_after(seq)`` returns the events after ``seq``.

    Raises ``TapeError`` if they do not match ``mark``: a new commit would make the change look valid.
    """
    seq = mark.block_seq if mark is not None else 0
    digest = TapeDigest(mark).after(RecordLines(list(records_after(seq))))
    if digest.mark() != (mark or TapeDigest().mark()):
        raise TapeError(
            f"{path}: the events after seq {seq} were changed since they were written (the digest shows it); "
            "restore the tape from a copy"
        )
    return digest


def _line(record: Record) -> bytes:
    head = event_head(record.type, record.version)
    if record.stream is not None or record.stream_version is not None:
        head += stream_head(record.stream, record.stream_version)
    payload = record.payload
    return b"%b%b\n" % (head, payload[1:] if payload.startswith(b"{") else payload)


def event_head(event_type: str, version: int) -> bytes:
    """What all lines of a type start with."""
    return b'"event_type":%b,"version":%d,' % (msgspec.json.encode(event_type), version)


def stream_head(stream: str | None, version: int | None) -> bytes:
    """What follows in the lines of events with a stream."""
    return b'"stream":%b,"stream_version":%b,' % (msgspec.json.encode(stream), str(version).encode())
