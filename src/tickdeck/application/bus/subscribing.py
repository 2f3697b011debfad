"""How handlers subscribe to a bus, and leave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, Unpack, overload

from tickdeck.application.bus.cursor import Cursor
from tickdeck.application.bus.edges import Edges, SyncEdge
from tickdeck.application.bus.handlers import check_plain, check_runs, check_takes_event, is_async
from tickdeck.application.bus.options import SubscribeOptions, check_options, check_values
from tickdeck.application.bus.overflow import Block, OverflowPolicy, Throttle, Throttler, check_lossy
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.subscriptions import Handler, Subscription, Subscriptions
from tickdeck.application.bus.throttles import Throttles
from tickdeck.application.bus.topics import Topic, checked_topic
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["Subscribing"]

E = TypeVar("E", bound=DomainEvent)
H = TypeVar("H", bound=Handler)
R = TypeVar("R")

_MAILBOX = 10_000


class Subscribing:
    """The part of a bus that handlers use to subscribe."""

    _overflow: OverflowPolicy = Block()
    """The default overflow policy of mailboxes: refuse until there is room."""
    _table: Subscriptions
    _edges: Edges
    _throttles: Throttles

    @overload
    def subscribe(
        self, topic: type[E], handler: Callable[[E], object], **options: Unpack[SubscribeOptions]
    ) -> Subscription: ...

    @overload
    def subscribe(self, topic: str, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription: ...

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
        overflow: OverflowPolicy | Throttle | None = None,
        retry: Retry | None = None,
        mailbox: int = _MAILBOX,
        refused: Callable[[DomainEvent], None] | None = None,
    ) -> Subscription:
        """Call ``handler(event)`` for every event of ``topic``: a class, a dotted type, or a wildcard.

        ``where`` filters events. Handlers with higher ``priority`` run first. ``component`` names the handler's owner;
        an error in ``risk``, ``execution`` or ``portfolio`` halts trading. ``weak`` holds the handler weakly. ``edge``
        calls it after the cascade, outside the core.

        An ``async`` handler is always an edge. Its mailbox holds ``mailbox`` events, and ``overflow`` decides about
        more. By default they are refused and counted until there is room again, and ``refused(event)`` receives each.
        With ``Halt()`` (the default in a run), the mailbox accepts no more events, and trading halts. ``DropOldest()``
        and ``Conflate(key)`` are for market data. ``retry`` repeats failed calls before the event becomes a dead
        letter. ``Throttle(interval, key)`` works with any handler; it uses the event's own time, or the bus's clock if
        the event has none.

        Raises ``ConfigError`` for a lossy policy on anything but market data, for an option that does not fit the kind
        of handler, and for ``weak`` with a lambda or a local function. Warns (``TopicWarning``) if no event can have
        the type ``topic``.
        """
        topic = checked_topic(topic)
        if isinstance(handler, type) and issubclass(handler, DomainEvent):
            raise ConfigError(f"subscribe: the handler is the event class {handler.__name__}; give a function")
        if callable(handler):
            check_runs(handler)
            check_takes_event("subscribe", handler)
        check_values(
            "subscribe",
            where=where, priority=priority, name=name, component=component, weak=weak, edge=edge, overflow=overflow,
            retry=retry, mailbox=mailbox, refused=refused,
        )  # fmt: skip
        for option, function in (("where", where), ("refused", refused)):
            check_plain(option, function)
            check_takes_event(option, function)
        if overflow is not None:
            check_lossy(overflow, topic)
        throttle = overflow if isinstance(overflow, Throttle) else None
        wanted = where
        throttler = Throttler(throttle) if throttle is not None else None
        if throttler is not None:
            where = self._throttles.admitted(throttler, where)
        in_step = not is_async(handler)
        if isinstance(overflow, Block):
            raise ConfigError("overflow: Block is for sockets; a blocking handler would stop the bus")
        if in_step and (retry is not None or (overflow is not None and throttle is None)):
            raise ConfigError(
                f"subscribe: {handler!r} is a plain handler, so it has no mailbox and no retries; "
                "make it async, or use Throttle"
            )
        if in_step and (refused is not None or mailbox != _MAILBOX):
            raise ConfigError(
                f"subscribe: {handler!r} is a plain handler, so it has no mailbox; make it async, or omit mailbox and "
                "refused"
            )
        options: dict[str, Any] = {
            "where": where, "priority": priority, "name": name, "component": component, "weak": weak,
        }  # fmt: skip
        if in_step:
            sync_edge = SyncEdge(self) if edge else None
            subscription = self._table.add(topic, handler, edge=edge, deliver=sync_edge, **options)
            if sync_edge is not None:
                sync_edge.handler = subscription.handler
            return self._throttles.watch(subscription, throttler)
        policy = self._overflow if overflow is None or isinstance(overflow, Throttle) else overflow
        box = self._edges.make_mailbox(capacity=mailbox, overflow=policy, retry=retry)
        subscription = self._table.add(topic, handler, edge=True, deliver=box.put, **options)
        cursor = self._cursor(name, topic) if name is not None and refused is None else None
        self._edges.attach(box, subscription, where=wanted, refused=refused, cursor=cursor)
        return self._throttles.watch(subscription, throttler)

    def _cursor(self, name: str, topic: Topic) -> Cursor | None:
        """The position of the edge ``name``, if this bus remembers positions across processes."""
        return None

    subscribe_async = subscribe
    """The same function. An ``async`` handler is an edge, whichever method subscribes it."""

    @overload
    def on(
        self, topic: type[E], **options: Unpack[SubscribeOptions]
    ) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...

    @overload
    def on(self, topic: str, **options: Unpack[SubscribeOptions]) -> Callable[[H], H]: ...

    def on(self, topic: Topic, **options: Unpack[SubscribeOptions]) -> Callable[[H], H]:
        """``subscribe`` as a decorator: ``@bus.on("order.*", priority=1)``. Returns the function unchanged."""
        check_options("on", options)
        check_values("on", **options)
        topic = checked_topic(topic)

        def enter(handler: H) -> H:
            self.subscribe(topic, handler, **options)
            return handler

        return enter

    @overload
    def unsubscribe(self, target: Subscription | Handler) -> int: ...

    @overload
    def unsubscribe(self, target: Topic, handler: Handler) -> int: ...

    def unsubscribe(self, target: Subscription | Handler | Topic, handler: Handler | None = None) -> int:
        """End a subscription, all subscriptions of a handler, or those of a handler for one topic:
        ``unsubscribe("order.*", handler)``. Returns how many ended; 0 is not an error.

        Raises ``ConfigError`` for a topic without a handler, and for anything else that cannot be subscribed.
        """
        if handler is not None and (isinstance(target, Subscription) or not callable(handler)):
            raise ConfigError(
                f"unsubscribe: {handler!r} after {target!r}; give a topic and a handler, or one of the two"
            )
        if isinstance(target, Subscription):
            ending = [target] if target.active else []
        elif handler is not None:
            topic: Any = target
            ending = self._table.find(handler, checked_topic(topic))
        elif isinstance(target, str) or (isinstance(target, type) and issubclass(target, DomainEvent)):
            raise ConfigError(
                f"unsubscribe: {target!r} is a topic; give a subscription, a handler, or a topic and a handler"
            )
        elif not callable(target):
            raise ConfigError(f"unsubscribe: {target!r} is neither a subscription nor a handler")
        else:
            ending = self._table.find(target)
        for subscription in ending:
            subscription.cancel()
        return len(ending)

    @overload
    def collect(self, topic: type[E]) -> AbstractContextManager[list[E]]: ...

    @overload
    def collect(self, topic: str) -> AbstractContextManager[list[DomainEvent]]: ...

    @contextmanager
    def collect(self, topic: Topic) -> Iterator[list[Any]]:
        """A list of the events of ``topic`` that are published in the block; for tests."""
        events: list[DomainEvent] = []
        with self.subscribe(topic, events.append, name="collect"):
            yield events
