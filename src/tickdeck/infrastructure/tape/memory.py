"""A store in memory. It does everything that a tape on disk does, but its events are lost when the process ends."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, Self

from tickdeck.application.arguments import check_stream, check_whole
from tickdeck.application.bus import type_name
from tickdeck.application.ports import Snapshot, TapeQuery, TapeStatistics, check_snapshot, check_versions, is_saved
from tickdeck.domain.events import DomainEvent, RawEvent
from tickdeck.errors import ConcurrencyError, TapeError
from tickdeck.infrastructure.tape.encoding import expected_versions, order_fault
from tickdeck.infrastructure.tape.reading import Reading
from tickdeck.infrastructure.tape.stamping import check_events, stamped

__all__ = ["InMemoryEventStore"]


class InMemoryEventStore(Reading):
    """An ``EventStore`` that keeps its events in memory. Every event counts as durable immediately.

    ``now()`` (ns UTC) returns the time for events that no kernel stamped. Any thread may call the methods.
    """

    keeps_events: ClassVar[bool] = True

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._kept: list[DomainEvent] = []
        self._seqs: list[int] = []
        self._versions: dict[str, int] = {}
        self._snapshots: dict[str, dict[int, Snapshot]] = {}
        self._appends = 0
        self._closed = False
        self._lock = threading.RLock()
        self.cursors = _Cursors()
        """The positions of the async handlers of the store's bus."""

    # -- writing ------------------------------------------------------------------------------------------------------

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> Sequence[DomainEvent]:
        """See ``EventStore.append``."""
        check_events(events)
        with self._lock:
            if self._closed:
                raise TapeError("memory store: it is closed; append to an open store")
            if events and not events[-1].seq:
                events = stamped(events, self._kept[-1] if self._kept else None, self._now())
            if expected_version is not None or expected is not None:
                check_versions(self.stream_version, expected_versions(events, expected_version, expected))
            last = self.last_seq
            for event in events:
                if not event.event_type and not isinstance(event, RawEvent):
                    raise TapeError(f"tape: {type(event).__name__} has no event_type; only concrete events are stored")
                fault = order_fault(event.seq, last, event.ts_ingress)
                if fault is not None:
                    raise fault
                last = event.seq
            for event in events:
                stream = event.stream
                if stream is not None:
                    self._versions[stream] = self._versions.get(stream, 0) + 1
            self._kept += events
            self._seqs += [event.seq for event in events]
            self._appends += bool(events)
            return events

    def wait_durable(self, seq: int) -> None:
        """Nothing to wait for."""
        check_whole("wait_durable", "seq", seq)

    async def wait_durable_async(self, seq: int) -> None:
        """Nothing to wait for."""

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None:
        """Keep the state after the first ``version`` events. Raises ``ConcurrencyError`` for another state of it."""
        check_snapshot(stream, version, state)
        with self._lock:
            if self._closed:
                raise TapeError("memory store: it is closed; save snapshots in an open store")
            known = self._versions.get(stream, 0)
            if not 0 <= version <= known:
                raise ConcurrencyError(
                    f"memory store: a snapshot of stream {stream!r} at version {version}, but the stream has {known} "
                    "events"
                )
            kept, snapshot = self._snapshots.setdefault(stream, {}), Snapshot(version, state)
            if not is_saved(stream, snapshot, kept.get(version)):
                kept[version] = snapshot

    def close(self) -> None:
        """Accept no more events. You can still read the store, and may close it twice."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        return self._seqs[-1] if self._seqs else 0

    @property
    def durable_seq(self) -> int:
        """The last ``seq``: nothing is on disk, so there is nothing to wait for."""
        return self.last_seq

    @property
    def _ended(self) -> bool:
        return self._closed

    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        place = bisect_left(self._seqs, query.first_seq)
        if query.from_id is not None:
            place = max(place, self._place_of(query.from_id) + 1)
        left = query.limit
        while place < len(self._seqs) and (left is None or left > 0):
            event = self._kept[place]
            place += 1
            if query.last_seq is not None and event.seq > query.last_seq:
                return
            if _matches(event, query):
                left = None if left is None else left - 1
                yield event

    def _place_of(self, event_id: str) -> int:
        for place, event in enumerate(self._kept):
            if event.event_id == event_id:
                return place
        raise TapeError(f"memory store: there is no event {event_id!r}; check the id")

    def stream_version(self, stream: str) -> int:
        """The number of events in the stream; 0 if there are none."""
        check_stream("stream_version", stream)
        return self._versions.get(stream, 0)

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """The snapshot of the highest version, or of the highest up to ``upto``; ``None`` if there is none."""
        check_stream("load_snapshot", stream)
        check_whole("load_snapshot", "upto", upto, optional=True)
        with self._lock:
            kept = self._snapshots.get(stream, {})
            version = max((number for number in kept if upto is None or number <= upto), default=None)
            return None if version is None else kept[version]

    def statistics(self) -> TapeStatistics:
        """Counts since it was made."""
        count = len(self._seqs)
        return TapeStatistics(appended=count, durable=count, commits=self._appends, waiting=0)


class _Cursors:
    """The positions of async handlers, kept until the process ends."""

    def __init__(self) -> None:
        self._cursors: dict[str, int] = {}

    def start(self, name: str, now: int) -> int:
        return self._cursors.setdefault(name, now)

    def advance(self, name: str, seq: int, after: int) -> None:
        self._cursors[name] = max(seq, self._cursors.get(name, 0))


def _matches(event: DomainEvent, query: TapeQuery) -> bool:
    if query.first_ts is not None and event.ts_ingress < query.first_ts:
        return False
    if query.last_ts is not None and event.ts_ingress > query.last_ts:
        return False
    if query.patterns and not any(fnmatchcase(type_name(event), pattern) for pattern in query.patterns):
        return False
    if query.symbol is not None:
        symbol = event.raw.get("symbol") if isinstance(event, RawEvent) else getattr(event, "symbol", None)
        if symbol != query.symbol:
            return False
    if query.correlation_id is not None and event.correlation_id != query.correlation_id:
        return False
    return query.stream is None or event.stream == query.stream
