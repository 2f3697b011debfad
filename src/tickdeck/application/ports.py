"""The doors through which the application touches the world: small Protocols, each with more than one implementation.

``Tape``: SQLite on disk (``infrastructure.tape.sqlite``) and a null tape that keeps nothing. ``TradingVenue``: the
paper venue, and the twin that tests use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
)

__all__ = ["Tape", "TapeQuery", "TapeStatistics", "TradingVenue"]


class TapeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to read; every bound is inclusive, and a field left alone does not restrict.

    ``first_seq``/``last_seq``: positions. ``first_ts``/``last_ts``: ``ts_ingress``, ns UTC. ``types``: dotted types or
    wildcards (``order.*``, ``*``); an event of any of them matches. ``symbol``: of events that have one.
    ``correlation_id``: one story. ``stream``: one aggregate. ``limit``: the first so many.
    """

    first_seq: int = 0
    last_seq: int | None = None
    first_ts: int | None = None
    last_ts: int | None = None
    types: tuple[str, ...] = ()
    symbol: str | None = None
    correlation_id: str | None = None
    stream: str | None = None
    limit: int | None = None


class TapeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``appended`` and ``durable`` are counts of events since opening; ``commits`` of groups; ``waiting`` of events
    not yet durable."""

    appended: int
    durable: int
    commits: int
    waiting: int


class Tape(Protocol):
    """An ordered, durable record of events. One writer; any number of readers in other processes.

    ``append`` takes one cascade: events with increasing ``seq``, all stamped. A cascade is never stored in part, even
    by a crash: either all of its events are read back or none. ``append`` returns before the cascade is durable; after
    ``wait_durable(seq)`` returned, every event up to ``seq`` survives a power cut.
    """

    @property
    def last_seq(self) -> int:
        """``seq`` of the last event appended (or found at opening), 0 when empty."""

    @property
    def durable_seq(self) -> int:
        """Every event up to this ``seq`` is on disk, synced."""

    def append(self, cascade: Sequence[DomainEvent]) -> None:
        """Take a cascade. Raises ``TapeError`` where an earlier write failed, or ``seq`` does not increase."""

    def wait_durable(self, seq: int) -> None:
        """Block until ``durable_seq >= seq``; raises ``TapeError`` where the write failed."""

    async def wait_durable_async(self, seq: int) -> None:
        """The same, without blocking the event loop."""

    def read(self, query: TapeQuery = ...) -> Iterator[DomainEvent]:
        """Durable events in order of ``seq``. Types that this process does not know come as ``RawEvent``."""

    def statistics(self) -> TapeStatistics:
        """Counts since opening."""

    def close(self) -> None:
        """Make everything durable and let go of the files. Closing twice is harmless."""


class TradingVenue(Protocol):
    """Where orders go. Calls return at once and never raise for what the venue decides: outcomes come back as
    ``venue.order_reported`` and ``venue.fill_reported`` inputs, handed to the callable the venue was given.

    An exception means that nobody knows whether the venue has the order: the gateway reports it ``unknown``.
    """

    name: str
    simulated: bool
    """The venue lives and dies with this process, so there is no effect that a crash could orphan, and the gateway
    need not wait for durability before it sends."""

    def submit(self, order: OrderSubmittedEvent) -> None:
        """Send an order under its ``order_id``."""

    def amend(self, request: OrderAmendRequestedEvent) -> None:
        """Ask to change an order. The answer, either way, names the request's ``revision``."""

    def cancel(self, request: OrderCancelRequestedEvent) -> None:
        """Ask to cancel an order."""
