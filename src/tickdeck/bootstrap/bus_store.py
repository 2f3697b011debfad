"""The store of a bus, for everything but writing events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NoReturn

from tickdeck.application.ports import EVERYTHING, FoundEvents, Snapshot, TapeQuery, TapeStatistics
from tickdeck.bootstrap.store import AnyStore
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["BusStore"]


class BusStore:
    """The store of a bus: read, follow, take the last n, and keep snapshots, like ``EventStore``. Only the bus writes
    events, because it determines their order; ``append`` raises an error that says so."""

    __slots__ = ("_store",)

    def __init__(self, store: AnyStore) -> None:
        self._store = store

    @property
    def last_seq(self) -> int:
        return self._store.last_seq

    @property
    def durable_seq(self) -> int:
        return self._store.durable_seq

    def read(self, query: TapeQuery = EVERYTHING) -> FoundEvents:
        return self._store.read(query)

    def last(self, count: int, query: TapeQuery = EVERYTHING) -> list[DomainEvent]:
        return self._store.last(count, query)

    def follow(self, query: TapeQuery = EVERYTHING) -> AsyncIterator[DomainEvent]:
        return self._store.follow(query)

    def stream_version(self, stream: str) -> int:
        return self._store.stream_version(stream)

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None:
        self._store.save_snapshot(stream, version, state)

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        return self._store.load_snapshot(stream, upto)

    def statistics(self) -> TapeStatistics:
        return self._store.statistics()

    def append(
        self,
        events: Iterable[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> NoReturn:
        """Raises ``ConfigError``: publish instead."""
        raise ConfigError(
            "bus.store.append: only the bus writes to it; call bus.publish_all(events, expected={stream: version})"
        )
