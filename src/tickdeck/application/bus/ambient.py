"""The bus of the running code: that of the current run, or a plain one outside of runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

from tickdeck.application.bus.event_bus import EventBus
from tickdeck.application.bus.handling import AMBIENT
from tickdeck.application.bus.in_memory_bus import InMemoryEventBus
from tickdeck.application.bus.options import SubscribeOptions
from tickdeck.application.bus.receipt import Receipt
from tickdeck.application.bus.subscriptions import Handler, Subscription
from tickdeck.application.bus.topics import Topic
from tickdeck.domain.events import DomainEvent

__all__ = ["ambient_bus", "get_event_bus", "publish_domain_event", "subscribe_to_event"]

_plain: list[InMemoryEventBus] = []


@contextmanager
def ambient_bus(bus: EventBus) -> Iterator[EventBus]:
    """Within the block, and in the tasks started in it, ``get_event_bus`` returns ``bus``."""
    token = AMBIENT.set(bus)
    try:
        yield bus
    finally:
        AMBIENT.reset(token)


def get_event_bus() -> EventBus:
    """The bus of the run that calls this: in its engines, strategies and handlers, including async ones. An async
    handler of any other bus gets the bus to which it is subscribed. Elsewhere you get a plain bus, the same for the
    whole process."""
    bus: EventBus | None = AMBIENT.get()
    if bus is not None:
        return bus
    if not _plain:
        _plain.append(InMemoryEventBus())
    return _plain[0]


def publish_domain_event(event: DomainEvent) -> Receipt:
    """``publish`` on the ambient bus."""
    return get_event_bus().publish(event)


def subscribe_to_event(topic: Topic, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription:
    """``subscribe`` on the ambient bus, with its options."""
    return get_event_bus().subscribe(topic, handler, **options)
