"""Reads back a run's record (tape and input files as one sequence), and compares a new execution with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from tickdeck.application.kernel import stamp_input
from tickdeck.application.ports import EVERYTHING, Snapshot, Tape, TapeQuery, TapeReader, TapeStatistics
from tickdeck.domain.events import DomainEvent, RunStopped, encode_payload
from tickdeck.errors import RunError, TickdeckError

__all__ = ["Divergence", "RecordCheck", "RecordDiverged", "merge_record"]


_NONE_LEFT = object()


def merge_record(
    recorded: Iterator[DomainEvent], market: Iterator[DomainEvent | None], *, rest: bool = False
) -> Iterator[DomainEvent]:
    """All events of a run in order of ``seq``. A gap in the tape's numbers is the next event of the input files.

    Events of the files get the stamps that the kernel gave them. ``market`` yields ``None`` for an event that is no
    longer there; it is left out. The files are not read beyond the tape's last event, except with ``rest``. Raises
    ``RunError`` if the files end before the tape does.
    """
    seq = number = now = 0
    for event in recorded:
        while seq + 1 < event.seq:
            seq, number = seq + 1, number + 1
            found = next(market, _NONE_LEFT)
            if found is _NONE_LEFT:
                raise _truncated(seq)
            if isinstance(found, DomainEvent):
                taken = stamp_input(found, number, seq, now)
                now = taken.ts_ingress
                yield taken
        seq, now = event.seq, event.ts_ingress
        if event.is_input:
            number += 1
        yield event
    for found in market if rest else ():
        seq, number = seq + 1, number + 1
        if found is not None:
            taken = stamp_input(found, number, seq, now)
            now = taken.ts_ingress
            yield taken


def next_of(market: Iterator[DomainEvent | None], seq: int) -> DomainEvent:
    """The next event of the input files, which has the position ``seq``."""
    event = next(market, None)
    if event is None:
        raise _truncated(seq)
    return event


def _truncated(seq: int) -> RunError:
    return RunError(
        f"there is no event with seq {seq} on the tape or left in the input files; one of them was truncated"
    )


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first difference: what the tape has at ``seq``, and what the execution produced (``None``: nothing)."""

    seq: int
    recorded: DomainEvent | None
    executed: DomainEvent | None


class RecordDiverged(TickdeckError):
    """An execution differs from the record."""

    def __init__(self, divergence: Divergence) -> None:
        self.divergence = divergence
        was = _describe(divergence.recorded)
        now = _describe(divergence.executed)
        super().__init__(f"at seq {divergence.seq} the tape has {was}, but the execution produced {now}")


def _describe(event: DomainEvent | None) -> str:
    return f"{event.event_type} {event.event_id}" if event is not None else "nothing"


class RecordCheck:
    """A ``Tape`` that compares appended events with a record, byte for byte. After the record's end, it appends to
    ``then``.

    With ``then=None`` (a proof), nothing may follow; snapshots are read from ``past``, the tape of the record. Raises
    ``RecordDiverged`` at the first difference. ``after``: the ``seq`` before ``recorded``, which the execution does not
    produce. A record that ends within a cascade is one too, because a tape stores a
    cascade completely or not at all. A record that is continued must be finished before ``run.stopped``, except for
    external inputs (``from_outside``).
    """

    def __init__(
        self,
        recorded: Iterator[DomainEvent],
        then: Tape | None = None,
        *,
        past: TapeReader | None = None,
        after: int = 0,
        from_outside: Callable[[DomainEvent], bool] = lambda event: False,
    ) -> None:
        self._recorded = recorded
        self._next = next(recorded, None)
        self._then = then
        self._past = past
        self._from_outside = from_outside
        self._seq = after
        self._ended = False

    def end(self) -> None:
        """From now on nothing may be appended: the run recorded no more, although it took more market data."""
        self._ended = True

    @property
    def next(self) -> DomainEvent | None:
        """The record's next event that has not been compared; ``None`` at its end."""
        return self._next

    def outside_at(self, seq: int) -> DomainEvent | None:
        """The record's next event, if it is at ``seq`` and is an input that the execution does not produce itself."""
        event = self._next
        if event is None or event.seq != seq or not event.is_input or not self._from_outside(event):
            return None
        return event

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> None:
        encoded = [encode_payload(event) for event in events]  # before anything is compared: an event may be invalid
        for position, event in enumerate(events):
            if self._next is None:
                if position or self._ended:
                    raise RecordDiverged(Divergence(seq=event.seq, recorded=None, executed=event))
                if self._then is not None:
                    versions = {} if expected is None else {"expected": expected}
                    self._then.append(events, expected_version, **versions)
                return
            if self._next.seq < event.seq:
                raise RecordDiverged(Divergence(seq=self._next.seq, recorded=self._next, executed=None))
            if encoded[position] != encode_payload(self._next) or event.event_type != self._next.event_type:
                recorded = self._next if self._next.seq == event.seq else None
                raise RecordDiverged(Divergence(seq=event.seq, recorded=recorded, executed=event))
            self._next = next(self._recorded, None)
        self._seq = events[-1].seq
        if self._then is not None and isinstance(events[0], RunStopped) and self._next is not None:
            if self.outside_at(self._seq + 1) is not None:
                return
            raise RecordDiverged(Divergence(seq=self._next.seq, recorded=self._next, executed=None))

    def expect_nothing_before(self, seq: int) -> None:
        """Raise ``RecordDiverged`` if the record has an event at or before ``seq`` that the execution did not
        produce."""
        if self._next is not None and self._next.seq <= seq:
            raise RecordDiverged(Divergence(seq=self._next.seq, recorded=self._next, executed=None))

    # -- the rest of the port: passed to the next tape ---------------------------------------------------------

    @property
    def last_seq(self) -> int:
        return max(self._seq, self._then.last_seq if self._then is not None else 0)

    @property
    def durable_seq(self) -> int:
        return self._then.durable_seq if self._then is not None else self._seq

    def wait_durable(self, seq: int) -> None:
        if self._then is not None:
            self._then.wait_durable(seq)

    async def wait_durable_async(self, seq: int) -> None:
        if self._then is not None:
            await self._then.wait_durable_async(seq)

    def read(self, query: TapeQuery = EVERYTHING) -> Iterator[DomainEvent]:
        return self._then.read(query) if self._then is not None else iter(())

    def stream_version(self, stream: str) -> int:
        """The version that the execution has reached. The tape may have a higher one."""
        if self._then is not None and self._next is None:
            return self._then.stream_version(stream)
        past = self._then if self._then is not None else self._past
        return 0 if past is None else sum(1 for _ in past.read(TapeQuery(stream=stream, last_seq=self._seq)))

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None:
        """Before the record's end this saves nothing, because the tape may have a later snapshot of the stream."""
        if self._then is not None and self._next is None:
            self._then.save_snapshot(stream, version, state)

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """Before the record's end this returns no version that the execution has not reached."""
        past = self._then if self._then is not None else self._past
        if past is None:
            return None
        if self._then is None or self._next is not None:
            reached = self.stream_version(stream)
            upto = reached if upto is None else min(upto, reached)
        return past.load_snapshot(stream, upto)

    def statistics(self) -> TapeStatistics:
        if self._then is not None:
            return self._then.statistics()
        return TapeStatistics(appended=0, durable=0, commits=0, waiting=0)

    def close(self) -> None:
        if self._then is not None:
            self._then.close()
