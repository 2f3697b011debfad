"""A tape that stores nothing: for benchmarks of the kernel alone, and for ``verify``, which compares while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from tickdeck.application.ports import EVERYTHING, Snapshot, TapeQuery, TapeStatistics, check_versions
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConcurrencyError, TapeError

__all__ = ["NullTape"]


class NullTape:
    """Counts the events and forgets them. Everything is durable immediately, and every stream is new. For one
    thread."""

    keeps_events: ClassVar[bool] = False
    """``read`` returns nothing, and nothing outlives the process."""

    def __init__(self) -> None:
        self._last_seq = 0
        self._appended = 0
        self._cascades = 0
        self._closed = False

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def durable_seq(self) -> int:
        return self._last_seq

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> None:
        if self._closed:
            raise TapeError("null tape: closed, it accepts no more events")
        if expected_version:
            raise ConcurrencyError(f"null tape: every stream has version 0, not the expected {expected_version}")
        if expected is not None:
            check_versions(self.stream_version, expected)
        last = self._last_seq
        for event in events:
            if event.seq <= last:
                raise TapeError(f"null tape: seq {event.seq} after seq {last}; seq must increase")
            last = event.seq
        if events:
            self._last_seq = last
            self._appended += len(events)
            self._cascades += 1

    def wait_durable(self, seq: int) -> None:
        pass

    async def wait_durable_async(self, seq: int) -> None:
        pass

    def read(self, query: TapeQuery = EVERYTHING) -> Iterator[DomainEvent]:
        return iter(())

    def stream_version(self, stream: str) -> int:
        return 0

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None:
        pass

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        return None

    def statistics(self) -> TapeStatistics:
        return TapeStatistics(appended=self._appended, durable=self._appended, commits=self._cascades, waiting=0)

    def close(self) -> None:
        self._closed = True
