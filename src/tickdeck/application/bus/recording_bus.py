"""A bus that remembers, for tests."""

from __future__ import annotations

from tickdeck.application.bus.event_filter import EventFilter
from tickdeck.application.bus.in_memory_bus import InMemoryEventBus
from tickdeck.application.bus.topics import Topic
from tickdeck.domain.events import DomainEvent

__all__ = ["RecordingBus"]


class RecordingBus(InMemoryEventBus):
    """An ``InMemoryEventBus`` that keeps every event that it dispatched, in order, in ``events``."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[DomainEvent] = []
        # The first to hear: an event is in the list before any handler sees it.
        self.subscribe("*", self.events.append, priority=1 << 30, name="recording")

    def of(self, topic: Topic) -> list[DomainEvent]:
        """Those of a class, a dotted type or a wildcard."""
        if isinstance(topic, str):
            return list(filter(EventFilter(topic), self.events))
        return [event for event in self.events if isinstance(event, topic)]

    def clear(self) -> None:
        """Forget what was recorded."""
        self.events.clear()
