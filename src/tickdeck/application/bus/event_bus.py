"""The interface of an event bus. The in-memory bus, the recorded bus and the bus of a run all implement it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar, Unpack, overload

from tickdeck.application.bus.dead_letters import DeadLetter
from tickdeck.application.bus.options import SubscribeOptions
from tickdeck.application.bus.receipt import Receipt
from tickdeck.application.bus.statistics import BusStatistics
from tickdeck.application.bus.subscriptions import Handler, Subscription
from tickdeck.application.bus.topics import Topic
from tickdeck.domain.events import DomainEvent

__all__ = ["EventBus"]

E = TypeVar("E", bound=DomainEvent)
H = TypeVar("H", bound=Handler)
R = TypeVar("R")


class EventBus(Protocol):
    """Publish events and subscribe to them, independent of how they are transported.

    A program that uses only these methods, and relies only on promises that also hold across a network, runs on any
    bus: ``InMemoryEventBus``, the bus of ``open_bus``, the bus of a run, and later that of a broker. Each method
    documents first what every bus promises, then what only a bus in one process does. Methods that need one process are
    not part of this interface (``post``, ``run_pending``, ``pause``, ``enabled``).
    ``tickdeck.testing.EventBusContract`` contains the tests that every bus must pass.

    - **Order**: events of one publisher with the same key (the event's stream, or else its source) reach every handler
      in the order in which they were published. One process: all events reach all handlers in one order.
    - **Delivery**: at least once for an async handler with a ``name``, so it must tolerate duplicates. One process: a
      plain handler receives each event exactly once.
    """

    def publish(self, event: DomainEvent) -> Receipt:
        """Publish an event. When this returns, the event is *accepted*: the bus will deliver it, in order by key. That
        does not mean that a handler has received it. After ``await receipt.durable()`` the event is *acknowledged*: it
        survives a crash.

        One process: when this returns, all plain handlers have run, including those for events that they published in
        turn. Inside a handler, the event waits until the handler returns, and is discarded if the handler raises.

        Raises ``ConfigError`` if it is not an event, and ``TickdeckError`` once the bus is closed. The event is then
        not accepted.
        """

    def publish_all(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int] | None = None) -> Receipt:
        """Publish several events in order. The receipt is for the last one.

        ``expected`` needs a bus with a store. The events are then published atomically, and only if each stream in
        ``expected`` has the given number of events. Raises ``ConcurrencyError`` if one does not, and ``ConfigError``
        without a store.
        """

    @overload
    def subscribe(
        self, topic: type[E], handler: Callable[[E], object], **options: Unpack[SubscribeOptions]
    ) -> Subscription: ...

    @overload
    def subscribe(self, topic: str, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription: ...

    def subscribe(self, topic: Topic, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription:
        """Call ``handler(event)`` for every event of ``topic``: a class, a dotted type, or a wildcard.

        The handler receives what is published after this returns. If the bus has a store, an async handler with a
        ``name`` also receives what an earlier handler with this name has not handled, for example because the process
        died. A plain handler never does: its ``name`` is for statistics, errors and dead letters alone. What it keeps
        in memory is rebuilt from the store when the program starts; make a handler async if it does anything else.

        An error in a handler affects neither the publisher nor other handlers. An async handler is retried according to
        ``retry``; after that, the event becomes a dead letter.

        One process: plain handlers run inside ``publish``, in order of ``priority``. Across a network, ``priority``
        only orders the handlers of this process, and every handler runs after ``publish`` has returned.
        """

    @overload
    def on(
        self, topic: type[E], **options: Unpack[SubscribeOptions]
    ) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...

    @overload
    def on(self, topic: str, **options: Unpack[SubscribeOptions]) -> Callable[[H], H]: ...

    def on(self, topic: Topic, **options: Unpack[SubscribeOptions]) -> Callable[[H], H]:
        """``subscribe`` as a decorator."""

    @overload
    def unsubscribe(self, target: Subscription | Handler) -> int: ...

    @overload
    def unsubscribe(self, target: Topic, handler: Handler) -> int: ...

    def unsubscribe(self, target: Subscription | Handler | Topic, handler: Handler | None = None) -> int:
        """End a subscription, all subscriptions of a handler, or those of a handler for one topic. Returns how many
        ended.

        Across a network, events that are already on their way may still arrive.
        """

    def batch(self) -> AbstractContextManager[None]:
        """Hold the events published in the block, and publish them together at its end; after an exception, none of
        them. Across a network a batch is not atomic for others: use ``publish_all(events, expected={})`` for that."""

    @overload
    def collect(self, topic: type[E]) -> AbstractContextManager[list[E]]: ...

    @overload
    def collect(self, topic: str) -> AbstractContextManager[list[DomainEvent]]: ...

    def collect(self, topic: Topic) -> AbstractContextManager[list[E]] | AbstractContextManager[list[DomainEvent]]:
        """A list of the events of ``topic`` that are published in the block, for tests. One process: the list is
        complete as soon as ``publish`` returns."""

    def statistics(self) -> BusStatistics:
        """The counters of this process: events published, and events handled, failed and dropped by its handlers."""

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Events that a handler of this process failed to handle and has not handled since, oldest first."""

    def resend(self, letter: DeadLetter) -> None:
        """Send a dead letter to its handler again. It is removed when the handler has handled it."""

    async def close(self) -> None:
        """Process everything accepted so far, let async handlers finish their waiting events, make everything durable,
        and close files and connections. Nothing can be published afterwards. You may call this twice."""
