"""A bus that remembers its events, for tests."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.application.bus.event_filter import EventFilter
from tickdeck.application.bus.in_memory_bus import InMemoryEventBus
from tickdeck.application.bus.topics import Topic
from tickdeck.domain.events import DomainEvent

__all__ = ["RecordingBus"]


class RecordingBus(InMemoryEventBus):
    """An ``InMemoryEventBus`` that keeps all dispatched events, in order, in ``events``. With ``stamp=False`` they are
    the very objects that were published."""

    def __init__(self, *, stamp: bool = True, wall_now: Callable[[], int] | None = None) -> None:
        super().__init__(stamp=stamp, wall_now=wall_now)
        self.events: list[DomainEvent] = []
        # Runs first, so that an event is in the list before other handlers see it.
        self.subscribe("*", self.events.append, priority=1 << 30, name="recording")

    def of(self, topic: Topic) -> list[DomainEvent]:
        """The events of a class, a dotted type or a wildcard."""
        if isinstance(topic, str):
            return list(filter(EventFilter(topic), self.events))
        return [event for event in self.events if isinstance(event, topic)]

    def clear(self) -> None:
        """Forget the recorded events."""
        self.events.clear()
