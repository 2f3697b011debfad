"""The event bus: publish an event, and every handler that asked for it is called, in one order, apart from each
other's faults.

This is the bus by itself, without stamps and tape; a run's ``Kernel`` is this bus with both.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from tickdeck.application.mailbox import Mailbox, MailboxFull
from tickdeck.application.subscriptions import Handler, Plan, Subscription, Subscriptions, SubscriptionStatistics, Topic
from tickdeck.domain.events import DomainEvent, HandlerFailed, RawEvent
from tickdeck.errors import TickdeckError

__all__ = ["BusStatistics", "DeadLetter", "EventBus", "Receipt", "told"]

log = logging.getLogger("tickdeck.bus")

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")


class BusStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``published``: events dispatched, by type. ``handlers``: each subscription's calls and failures. ``failures`` and
    ``dead_letters``: handlers that raised, and those of them whose failure could not even be told. ``dropped``: events
    that a full mailbox refused."""

    published: dict[str, int]
    handlers: tuple[SubscriptionStatistics, ...]
    failures: int
    dead_letters: int
    dropped: int

    @property
    def total(self) -> int:
        return sum(self.published.values())


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a handler could not take, with the handler's name and what it raised."""

    event: DomainEvent
    handler: str
    error: str


class Receipt:
    """What ``publish`` returns. ``await receipt``: the event was dispatched; ``await receipt.durable()``: it is on
    disk.

    A cascade runs to its end before any coroutine gets a turn, so whoever can await finds the event dispatched.
    """

    __slots__ = ("_durable",)

    def __init__(self, durable: Callable[[], Any] | None = None) -> None:
        self._durable = durable

    def __await__(self) -> Generator[None, None, None]:
        return
        yield

    async def durable(self) -> None:
        """Wait until the event, and all published before now, is on disk. At once where the bus has no tape."""
        if self._durable is not None:
            await self._durable()


class EventBus:
    """Publish and subscribe, in step: an event and all that it causes (first in, first out) are done before
    ``publish`` returns.

    Handlers run by priority, then in order of subscription. A handler that raises harms neither the others nor the
    publisher: what it had published is discarded, and a ``system.handler_failed`` is published in its stead. An
    ``async`` handler is an edge: it has a bounded mailbox of its own and gets events when the cascade is over. Not
    thread-safe: publish from the thread that owns the bus.
    """

    def __init__(self, *, shuffle: Callable[[list[Subscription]], None] | None = None) -> None:
        self._table = Subscriptions(shuffle)
        self._plans = self._table.plans
        self._busy = False
        self._staged: list[DomainEvent] = []  # published by the handler that is running
        self._queue: deque[DomainEvent] = deque()  # published by handlers that returned
        self._outbox: deque[tuple[Plan, DomainEvent]] = deque()  # for the edges, when the cascade is over
        self._releasing = False
        self._mailboxes: dict[Mailbox, None] = {}  # those with work, in order of getting it
        self._receipt = Receipt()
        self._failures = 0
        self._dropped = 0
        self._batch: list[DomainEvent] | None = None
        self._dead: list[DeadLetter] = []

    # -- subscribing ------------------------------------------------------------------------------------------

    def subscribe(
        self,
        topic: Topic,
        handler: Handler,
        *,
        where: Callable[[Any], bool] | None = None,
        priority: int = 0,
        name: str | None = None,
        component: str = "",
        weak: bool = False,
        edge: bool = False,
        mailbox: int = 10_000,
    ) -> Subscription:
        """Call ``handler(event)`` for every event of ``topic``: a class, a dotted type, or a wildcard.

        ``where`` narrows it; a higher ``priority`` goes first; ``component`` is whose handler it is (a fault in
        ``risk``, ``execution`` or ``portfolio`` halts trading); ``weak`` holds the handler weakly. ``edge``: call it
        after the cascade, outside the core; always so for an ``async`` handler, whose mailbox holds ``mailbox``
        events at most.
        """
        if not _is_async(handler):
            return self._table.add(
                topic, handler, where=where, priority=priority, name=name, component=component, weak=weak, edge=edge
            )
        box = Mailbox(capacity=mailbox, position=self._position, wait_durable=self._wait_durable, busy=self._mailboxes)
        subscription = self._table.add(
            topic,
            handler,
            where=where,
            priority=priority,
            name=name,
            component=component,
            weak=weak,
            edge=True,
            deliver=box.put,
        )
        box.handler = subscription.handler
        box.failed = lambda event, error: self._edge_failed(subscription, event, error)
        return subscription

    def unsubscribe(self, target: Subscription | Handler) -> None:
        """End a subscription, or all those of a handler."""
        if isinstance(target, Subscription):
            target.cancel()
        else:
            for subscription in self._table.find(target):
                subscription.cancel()

    # -- publishing -------------------------------------------------------------------------------------------

    def publish(self, event: DomainEvent) -> Receipt:
        """Outside a handler: run the event's whole cascade. Inside one: queue it behind what is already queued."""
        if self._busy:
            self._staged.append(event)
        elif self._batch is not None:
            self._batch.append(event)
        else:
            self._busy = True
            try:
                self._dispatch(event)
                queue = self._queue
                while queue:
                    self._dispatch(queue.popleft())
            except BaseException:
                self._abandon()
                raise
            finally:
                self._busy = False
            if self._outbox:
                self._release()
        return self._receipt

    def publish_all(self, events: Iterable[DomainEvent]) -> Receipt:
        """``publish`` each, in order."""
        for event in events:
            self.publish(event)
        return self._receipt

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold what is published in the block and deliver it together at its end; on an exception it is discarded.

        Do not await in the block: what others publish meanwhile would wait, or be discarded, with it.
        """
        if self._busy or self._batch is not None:
            yield  # inside a handler or another batch publishing queues anyway
            return
        held: list[DomainEvent] = []
        self._batch = held
        try:
            yield
        finally:
            self._batch = None
        self.publish_all(held)

    def _dispatch(self, event: DomainEvent) -> None:
        plan = self._plans.get(type(event))
        if plan is None:
            plan = self._table.plan_for(event)
        plan.count += 1
        staged = self._staged
        for call in plan.calls:
            try:
                call(event)
            except Exception as error:  # noqa: BLE001 (isolation is the bus's promise; it is told, not lost)
                self._failed(plan.owner(call), event, error)
            if staged:
                self._take_staged(event)
        if plan.edges:
            self._outbox.append((plan, event))

    def _take_staged(self, parent: DomainEvent) -> None:
        """A handler of ``parent`` returned: what it published joins the queue."""
        self._queue.extend(self._staged)
        self._staged.clear()

    def _abandon(self) -> None:
        """The cascade cannot end: forget what is left of it, so that it does not join the next."""
        self._staged.clear()
        self._queue.clear()
        self._outbox.clear()

    def _release(self) -> None:
        """The cascade is over: hand its events to the edges. What an edge publishes comes to the edges after them."""
        if self._releasing:
            return
        self._releasing = True
        outbox = self._outbox
        try:
            while outbox:
                plan, event = outbox.popleft()
                for subscription in plan.edges:
                    try:
                        subscription.call(event)
                    except Exception as error:  # noqa: BLE001 (as above)
                        self._edge_failed(subscription, event, error)
        finally:
            self._releasing = False

    # -- faults -----------------------------------------------------------------------------------------------

    def _failed(self, subscription: Subscription, event: DomainEvent, error: Exception) -> None:
        """A handler raised: discard what it published, and tell."""
        self._staged.clear()
        failure = self._failure(subscription, event, error)
        if failure is not None:
            self._staged.append(failure)

    def _edge_failed(self, subscription: Subscription, event: DomainEvent, error: Exception) -> None:
        failure = self._failure(subscription, event, error)
        if failure is not None:
            self.publish(failure)

    def _failure(self, subscription: Subscription, event: DomainEvent, error: Exception) -> HandlerFailed | None:
        """Count and log a fault; the event that tells it, or ``None`` where even that event's handler failed."""
        subscription.failures += 1
        self._failures += 1
        event_type = event.raw_type if isinstance(event, RawEvent) else event.event_type
        log.error("%s failed on %s %s", subscription.name, event_type, event.event_id, exc_info=error)
        if isinstance(error, MailboxFull):
            self._dropped += 1
        if isinstance(event, HandlerFailed):
            self._dead.append(
                DeadLetter(event=event, handler=subscription.name, error=f"{type(error).__name__}: {told(error)}")
            )
            return None
        return HandlerFailed(
            handler=subscription.name,
            component=subscription.component,
            error=type(error).__name__,
            # An edge's error may hold a secret, such as the URL that it called; our own errors hold none.
            message="" if subscription.edge and not isinstance(error, TickdeckError) else told(error),
            failed_event_id=event.event_id,
            failed_event_type=event_type,
            causation_id=event.event_id,
            correlation_id=event.correlation_id,
        )

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Events whose handler failed and whose failure could not be told either, oldest first."""
        return tuple(self._dead)

    # -- edges ------------------------------------------------------------------------------------------------

    def _position(self) -> int:
        """Where the tape stands, for the edges; 0 where there is none."""
        return 0

    async def _wait_durable(self, position: int) -> None:
        """Return when everything up to ``position`` is on disk."""

    async def drain(self) -> None:
        """Return when every mailbox is empty and its handler idle."""
        while self._mailboxes:
            await next(iter(self._mailboxes)).drain()

    async def aclose(self) -> None:
        """Finish what waits in the mailboxes, so that no task is left. Raises ``TapeError`` where the tape failed."""
        await self.drain()

    # -- looking ----------------------------------------------------------------------------------------------

    def statistics(self) -> BusStatistics:
        handlers = self._table.statistics()
        return BusStatistics(
            published=dict(sorted(self._table.published.items())),
            handlers=handlers,
            failures=self._failures,
            dead_letters=len(self._dead),
            dropped=self._dropped,
        )

    @contextmanager
    def collect(self, topic: Topic) -> Iterator[list[DomainEvent]]:
        """The events of ``topic`` that are published in the block, in a list; for tests."""
        events: list[DomainEvent] = []
        with self.subscribe(topic, events.append, name="collect"):
            yield events


def told(error: Exception) -> str:
    """The text of an error, the same in every run: without the addresses of objects, and fit to be encoded."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (an error that cannot tell itself must not hide that there was one)
        return ""
    return _ADDRESS.sub("0x...", text).encode("utf-8", "replace").decode()


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
