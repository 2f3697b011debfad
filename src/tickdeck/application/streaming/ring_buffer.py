"""A replay log of the newest events, in memory."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice, takewhile

from tickdeck.application.arguments import check_methods
from tickdeck.application.bus import EventBus, Subscription, Topic, not_an_event
from tickdeck.application.streaming.replay_log import EventTest, ReplayGap, check_count, event_test
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["RingBuffer"]

_BEFORE_ALL_OTHERS = sys.maxsize


class RingBuffer:
    """A ``ReplayLog`` of the last ``capacity`` events. Each new event pushes out the oldest.

    ``append`` takes constant time. Events without a ``seq``, from a bus without a kernel, are returned by ``last`` but
    refused by ``since``. For use in one thread. Raises ``ConfigError`` if ``capacity`` is not above 0.
    """

    def __init__(self, capacity: int) -> None:
        if type(capacity) is not int or capacity < 1:
            raise ConfigError(f"ring buffer: capacity is {capacity!r}; give a whole number above 0")
        self._events: deque[DomainEvent] = deque(maxlen=capacity)
        self._forgotten_seq = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def in_step(self) -> bool:
        """True if it receives events through ``follow``."""
        return True

    @property
    def forgotten_seq(self) -> int:
        """``seq`` of the newest event that was dropped to make room; 0 if there is none."""
        return self._forgotten_seq

    def follow(self, bus: EventBus, topic: Topic = "*") -> Subscription:
        """Append every future event of ``topic`` before any other handler receives it. A subscriber inside a handler
        then finds the current event in the log, and no event is lost between replay and live."""
        check_methods("ring buffer: follow", "bus", bus, "subscribe")
        return bus.subscribe(topic, self.append, priority=_BEFORE_ALL_OTHERS, name="replay-log")

    def append(self, event: DomainEvent) -> None:
        """Add an event. Raises ``ConfigError`` if its ``seq`` does not increase: keep the events of one run only."""
        events = self._events
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        if events:
            if event.seq <= events[-1].seq and (event.seq or events[-1].seq):
                raise ConfigError(
                    f"ring buffer: seq {event.seq} after seq {events[-1].seq}; keep one ring buffer for each run"
                )
            if len(events) == events.maxlen:
                self._forgotten_seq = events[0].seq
        events.append(event)

    def last(self, count: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> list[DomainEvent]:
        """See ``ReplayLog.last``."""
        check_count("count", count)
        found = list(islice(filter(event_test(types, where), reversed(self._events)), count))
        found.reverse()
        return found

    def since(self, seq: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> Iterator[DomainEvent]:
        """See ``ReplayLog.since``. The time depends on the number of results, not on the size of the buffer."""
        check_count("seq", seq)
        if self._events and not self._events[-1].seq:
            raise ConfigError("ring buffer: its events have no seq, as no kernel stamped them; use last()")
        if seq < self._forgotten_seq:
            raise ReplayGap(
                f"the ring buffer has forgotten events after seq {seq}, up to seq {self._forgotten_seq}; "
                f"start again from the current state, or give it a larger capacity than {self._events.maxlen}"
            )
        found = list(takewhile(lambda event: event.seq > seq, reversed(self._events)))
        found.reverse()
        return filter(event_test(types, where), found)
