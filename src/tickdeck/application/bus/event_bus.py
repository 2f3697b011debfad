"""The bus as programs use it: one interface for the bus in memory, the recorded bus and a run's."""

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
    """Publish and subscribe, whatever carries the events.

    A program that keeps to these calls, and to the promises that hold across a network, runs on any bus:
    ``InMemoryEventBus``, the bus of ``open_bus``, a run's bus, and a broker's later. Each call says what every bus
    promises, then what only a bus in one process does. What only one process can do at all is not here (``post``,
    ``run_pending``, ``pause``, ``enabled``). ``tickdeck.testing.EventBusContract`` has the tests that each must pass.

    - **Order**: events of one publisher with the same key (the event's stream, or else its source) reach every handler
      in the order in which they were published. One process: all events reach all handlers in one order.
    - **Delivery**: at least once to an async handler with a ``name``, so it must bear an event twice. One process: a
      plain handler gets each event exactly once.
    """

    def publish(self, event: DomainEvent) -> Receipt:
        """Give an event to the bus. Returning means *accepted*: the bus has it and delivers it, in order by key. It
        does not mean that a handler has seen it. ``await receipt.durable()`` means *acknowledged*: it survives a crash.

        One process: plain handlers, and all that they publish in turn, are done when this returns. Inside a handler
        the event waits until the handler is through, and is discarded where the handler raises.

        Raises ``ConfigError`` for what is no event, ``TickdeckError`` once the bus is closed; the event is not accepted
        then.
        """

    def publish_all(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int] | None = None) -> Receipt:
        """``publish`` each, in order. The receipt is about the last.

        ``expected``: on a bus with a store, all or none, as one piece, and only if each stream named has as many
        events as ``expected`` says. Raises ``ConcurrencyError`` where one has not, ``ConfigError`` without a store.
        """

    @overload
    def subscribe(
        self, topic: type[E], handler: Callable[[E], object], **options: Unpack[SubscribeOptions]
    ) -> Subscription: ...

    @overload
    def subscribe(self, topic: str, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription: ...

    def subscribe(self, topic: Topic, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription:
        """Have ``handler(event)`` called for every event of ``topic``: a class, a dotted type, or a wildcard.

        It hears what is published after this returns. An async handler with a ``name`` also gets what its name was
        owed, where the bus has a store. An error in a handler harms neither the publisher nor other handlers; an async
        handler is tried again as ``retry`` says, and then the event is a dead letter.

        One process: plain handlers run inside ``publish``, by ``priority``. Elsewhere ``priority`` orders the handlers
        of this process alone, and every handler runs after ``publish`` returned.
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
        """End a subscription, those of a handler, or those of a handler for one topic. Returns how many ended.

        Across a network an event that is on its way may still come.
        """

    def batch(self) -> AbstractContextManager[None]:
        """Hold what is published in the block, and publish it together at its end; after an exception, none of it.
        Across a network the batch is not one piece to others: use ``publish_all(events, expected={})`` for that."""

    @overload
    def collect(self, topic: type[E]) -> AbstractContextManager[list[E]]: ...

    @overload
    def collect(self, topic: str) -> AbstractContextManager[list[DomainEvent]]: ...

    def collect(self, topic: Topic) -> AbstractContextManager[list[E]] | AbstractContextManager[list[DomainEvent]]:
        """The events of ``topic`` that are published in the block, in a list; for tests. One process: the list is
        complete as soon as ``publish`` returned."""

    def statistics(self) -> BusStatistics:
        """Counts of this process: what it published, and what its handlers took, failed and dropped."""

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Events that a handler of this process could not take and has not handled since, oldest first."""

    def resend(self, letter: DeadLetter) -> None:
        """Hand a dead letter to its handler again. The letter leaves when the handler has handled it."""

    async def close(self) -> None:
        """Take what was accepted before, let async handlers finish what waits for them, make everything durable, and
        let go of files and connections. Nothing can be published afterwards. Closing twice is harmless."""
