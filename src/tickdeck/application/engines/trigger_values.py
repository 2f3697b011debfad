"""The values that triggers read, and the triggers that a change of one may concern."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from decimal import Decimal

import msgspec

from tickdeck.application.strategies import INPUTS, source_of, timeframes_in
from tickdeck.domain.conditions import Evaluator, Reference, Source, parse_condition, thresholds
from tickdeck.domain.events import DomainEvent
from tickdeck.domain.trading import TriggerSettings

__all__ = ["Audience", "WatchedTrigger", "WatchedValue"]


class WatchedTrigger:
    """The condition of an active trigger, ready to be evaluated. ``symbol`` counts for names without one. ``order``
    is later for a trigger that is watched later."""

    def __init__(self, trigger_id: str, settings: TriggerSettings, symbol: str) -> None:
        self.trigger_id = trigger_id
        self.condition = parse_condition(settings.when)
        self.evaluator = Evaluator(self.condition)
        self.symbol = symbol
        self.account = settings.account
        self.references = self.condition.references
        self.times = self.condition.times
        self.timeframes = timeframes_in((self.condition,))
        sources = [source_of(reference) for reference in self.references]
        self.uses_quotes = Source.QUOTES in sources or Source.BOOK in sources
        self.order = 0
        self.values: dict[WatchedValue, tuple[Decimal, ...] | None] = {}
        """What it reads, with the constants that it compares with; ``None`` if each change matters."""
        self.audiences: list[Audience] = []

    def inputs(self, symbols: tuple[str, ...]) -> Iterator[tuple[type[DomainEvent], str]]:
        """The topics and symbols of the events that may change it."""
        for reference in self.references:
            source = source_of(reference)
            whose = ("", *symbols) if source is Source.ACCOUNT else (reference.symbol or self.symbol,)
            yield from ((topic, symbol) for topic in INPUTS[source] for symbol in whose)

    def limits(self) -> dict[Reference, tuple[Decimal, ...] | None]:
        """The ``thresholds`` of its condition, by the values that are meant: each names its symbol."""
        found: dict[Reference, tuple[Decimal, ...] | None] = {}
        for reference, limits in thresholds(self.condition).items():
            meant = msgspec.structs.replace(reference, symbol=reference.symbol or self.symbol)
            before = found.get(meant, ())
            found[meant] = None if before is None or limits is None else (*before, *limits)
        return found

    def look_again(self) -> None:
        """Have it evaluated at the next event that it hears."""
        for audience in self.audiences:
            audience.due[self.order] = self

    def is_looked_at(self) -> None:
        """Do not have it evaluated again before that may change something."""
        for audience in self.audiences:
            audience.due.pop(self.order, None)


class WatchedValue:
    """One value, as it was read last, and the triggers that use it.

    A trigger that only compares it with constants need not be looked at until the value touches or passes one of them,
    so those are sorted. All others are looked at whenever it changes.
    """

    def __init__(self, reference: Reference, account: str) -> None:
        self.reference = reference
        self.account = account
        self.readers: dict[int, WatchedTrigger] = {}  # by their order
        self._last: Decimal | None = None
        self._sensitive: dict[int, WatchedTrigger] = {}  # to each change
        self._limits: list[Decimal] = []
        self._behind: list[WatchedTrigger] = []  # the trigger of each limit

    def add(self, reader: WatchedTrigger) -> None:
        self.readers[reader.order] = reader
        limits = reader.values[self]
        if limits is None:
            self._sensitive[reader.order] = reader
            return
        for limit in limits:
            place = bisect_right(self._limits, limit)
            self._limits.insert(place, limit)
            self._behind.insert(place, reader)

    def remove(self, reader: WatchedTrigger) -> None:
        del self.readers[reader.order]
        self._sensitive.pop(reader.order, None)
        for limit in reader.values[self] or ():
            place = self._behind.index(reader, bisect_left(self._limits, limit))
            del self._limits[place], self._behind[place]

    def take(self, value: Decimal | None) -> Collection[WatchedTrigger]:
        """It is ``value`` now. Returns the triggers whose condition that may change."""
        before = self._last
        if value == before:
            return ()
        self._last = value
        if value is None or before is None:
            return self.readers.values()
        low, high = (before, value) if before < value else (value, before)
        found = self._behind[bisect_left(self._limits, low) : bisect_right(self._limits, high)]
        return [*found, *self._sensitive.values()] if self._sensitive else found


class Audience:
    """The triggers that hear one kind of event, by their order: all, and those to look at when the next one comes."""

    def __init__(self, topic: type[DomainEvent], symbol: str) -> None:
        self.topic = topic
        self.symbol = symbol
        self.all: dict[int, WatchedTrigger] = {}
        self.due: dict[int, WatchedTrigger] = {}
        self._values: dict[WatchedValue, int] = {}  # how many of them use it

    @property
    def values(self) -> Collection[WatchedValue]:
        """The values that they use, each once."""
        return self._values.keys()

    def add(self, trigger: WatchedTrigger) -> None:
        self.all[trigger.order] = self.due[trigger.order] = trigger
        trigger.audiences.append(self)
        for value in trigger.values:
            self._values[value] = self._values.get(value, 0) + 1

    def remove(self, trigger: WatchedTrigger) -> None:
        del self.all[trigger.order]
        self.due.pop(trigger.order, None)
        for value in trigger.values:
            self._values[value] -= 1
            if not self._values[value]:
                del self._values[value]
