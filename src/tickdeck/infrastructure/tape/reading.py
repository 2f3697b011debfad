"""The ways to read that all tapes and readers share: ``read``, ``last`` and ``follow``, on top of one method."""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import NoReturn

import msgspec

from tickdeck.application.ports import EVERYTHING, TapeQuery
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["Events", "ReadOnly", "Reading"]

_EVENTS_PER_TURN = 256
"""An ``async for`` lets other coroutines run after this many events."""
_FIRST_SIZE = 256
"""``last`` first reads this many seqs at the end of the tape. It doubles the number each time it finds too few."""
_POLL_S = 0.02
"""How often ``follow`` looks for new events, in seconds."""


class Events(Iterator[DomainEvent], AsyncIterator[DomainEvent]):
    """The result of a query, for ``for`` or ``async for``. Each event is read when you ask for it."""

    __slots__ = ("_events", "_read")

    def __init__(self, events: Iterator[DomainEvent]) -> None:
        self._events = events
        self._read = 0

    def __iter__(self) -> Iterator[DomainEvent]:
        return self._events  # the generator itself, so that a plain loop has no extra cost

    def __next__(self) -> DomainEvent:
        return next(self._events)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> DomainEvent:
        self._read += 1
        if self._read % _EVENTS_PER_TURN == 0:
            await asyncio.sleep(0)
        for event in self._events:
            return event
        raise StopAsyncIteration


class Reading(ABC):
    """Base of stores and readers. A subclass implements ``_events`` and ``last_seq``; the other methods build on
    them."""

    @property
    @abstractmethod
    def last_seq(self) -> int:
        """``seq`` of the last event, 0 if there is none."""

    @abstractmethod
    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        """Yield the matching durable events in order of ``seq``."""

    def _prepare(self, query: TapeQuery) -> None:  # noqa: B027 most subclasses have nothing to prepare
        """Called before a query is read."""

    @property
    def _readable_seq(self) -> int:
        """``_events`` can yield everything up to this ``seq``."""
        return self.last_seq

    @property
    def _ended(self) -> bool:
        """True if no more events will be added."""
        return False

    def read(self, query: TapeQuery = EVERYTHING) -> Events:
        """The matching events in order of ``seq``, for ``for`` or ``async for``. See ``EventStore.read``."""
        return Events(self._prepared(_checked("read", query)))

    def _prepared(self, query: TapeQuery) -> Iterator[DomainEvent]:
        self._prepare(query)
        yield from self._events(query)

    def last(self, count: int, query: TapeQuery = EVERYTHING) -> list[DomainEvent]:
        """See ``EventStore.last``. Reads backwards from the end, and at most about twice as much as needed."""
        if type(count) is not int or count < 0:
            raise ConfigError(f"last: count is {count!r}; give a whole number, 0 or more")
        self._prepare(_checked("last", query))
        if query.from_id is not None or query.limit is not None:
            return list(deque(self._events(query), maxlen=min(count, sys.maxsize)))
        end = self.last_seq if query.last_seq is None else min(self.last_seq, query.last_seq)
        count = min(count, max(end, 0))
        size = max(count, _FIRST_SIZE)
        found: deque[DomainEvent] = deque()
        while end >= max(query.first_seq, 1) and len(found) < count:
            first = max(end - size + 1, query.first_seq, 1)
            part = self._events(msgspec.structs.replace(query, first_seq=first, last_seq=end))
            found.extendleft(reversed(deque(part, maxlen=count - len(found))))
            end, size = first - 1, size * 2
        return list(found)

    def follow(self, query: TapeQuery = EVERYTHING) -> AsyncIterator[DomainEvent]:
        """See ``EventStore.follow``."""
        return self._follow(_checked("follow", query))

    async def _follow(self, query: TapeQuery) -> AsyncIterator[DomainEvent]:
        self._prepare(query)
        left = query.limit
        while left is None or left > 0:
            ended, upto = self._ended, self._readable_seq
            events = self._events(msgspec.structs.replace(query, limit=left))
            for turn, event in enumerate(events, start=1):
                yield event
                query = msgspec.structs.replace(query, first_seq=event.seq + 1, from_id=None)
                left = None if left is None else left - 1
                if turn % _EVENTS_PER_TURN == 0:
                    await asyncio.sleep(0)
            if ended or (query.last_seq is not None and upto >= query.last_seq):
                return
            await asyncio.sleep(_POLL_S)


class ReadOnly(Reading):
    """Base of readers."""

    def append(self, *_: object, **__: object) -> NoReturn:
        """Raises ``ConfigError``: open the store for writing instead."""
        raise ConfigError("append: this store is open for reading only; open it with open_store(url)")


def _checked(call: str, query: TapeQuery) -> TapeQuery:
    if not isinstance(query, TapeQuery):
        raise ConfigError(f"{call}: {query!r} is not a query; give TapeQuery(types=...), or nothing for all events")
    return query
