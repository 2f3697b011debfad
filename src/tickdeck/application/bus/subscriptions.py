"""The table of subscriptions, and the plan of calls for each type of event that follows from it."""

from __future__ import annotations

import inspect
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tickdeck.application.bus.handlers import holds
from tickdeck.application.bus.topics import Topic
from tickdeck.application.latency import LatencyHistogram
from tickdeck.domain.events import DomainEvent, RawEvent
from tickdeck.errors import ConfigError

if TYPE_CHECKING:
    from tickdeck.application.bus.mailbox import Mailbox

__all__ = ["Handler", "Plan", "Subscription", "SubscriptionStatistics", "Subscriptions", "not_an_event"]

Handler: TypeAlias = Callable[[Any], Any]


class SubscriptionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``calls`` of the handler (for an edge: events handed to it), and ``failures`` among them. Events rejected by
    ``where`` are in neither. ``waiting``: events in an edge's mailbox; ``None`` without one. If the bus measures, the
    duration of a call in ns (for an edge: of handing over)."""

    name: str
    component: str
    calls: int
    failures: int
    waiting: int | None = None
    p50_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None


class Subscription:
    """A handler's subscription. ``cancel()`` ends it; as a context manager, it ends with the block.

    New and ended subscriptions take effect with the next dispatched event. The current event goes to the handlers that
    were subscribed when its dispatch began.
    """

    __slots__ = (
        "_calls",
        "_table",
        "call",
        "component",
        "edge",
        "ended",
        "failures",
        "handler",
        "latency",
        "mailbox",
        "name",
        "order",
        "priority",
        "topic",
    )

    def __init__(
        self,
        table: Subscriptions,
        topic: Topic,
        handler: Callable[[], Handler | None],
        *,
        priority: int,
        order: int,
        name: str,
        component: str,
        edge: bool,
    ) -> None:
        self._table = table
        self.topic = topic
        self.handler = handler
        """Returns the subscribed handler; ``None`` if it was held weakly and no longer exists."""
        self.call: Handler = _nothing
        """What the bus calls instead of the handler."""
        self.priority = priority
        self.order = order
        self.name = name
        self.component = component
        self.edge = edge
        self.failures = 0
        self.mailbox: Mailbox | None = None
        self.ended: Callable[[], None] = _nothing_more
        """Called once, when the subscription ends."""
        self.latency: LatencyHistogram | None = None
        self._calls = 0

    def matches(self, event: DomainEvent) -> bool:
        """Whether an event is of the topic, without ``where``."""
        if isinstance(self.topic, str):
            name = event.raw_type if isinstance(event, RawEvent) else event.event_type
            return fnmatchcase(name, self.topic)
        return isinstance(event, self.topic)

    def cancel(self) -> None:
        """Receive nothing more, from the next event on. You may call this twice."""
        self._table.remove(self)

    @property
    def active(self) -> bool:
        """Whether it still receives events."""
        return self._table.holds(self)

    def statistics(self) -> SubscriptionStatistics:
        """How often the handler was called, and what became of its events."""
        self._table.fold_counts()
        latency = self.latency or LatencyHistogram()
        return SubscriptionStatistics(
            name=self.name,
            component=self.component,
            calls=self._calls,
            failures=self.failures,
            waiting=self.mailbox.statistics().waiting if self.mailbox is not None else None,
            p50_ns=latency.quantile(0.5),
            p99_ns=latency.quantile(0.99),
            max_ns=latency.maximum if latency.count else None,
        )

    def count_from(self, calls: int, failures: int) -> None:
        """Continue the figures of an earlier process."""
        self._calls, self.failures = calls, failures

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class Plan:
    """How to dispatch one type of event: the handlers to call in order, and the edges to hand it to.

    ``count`` counts dispatches, so that the hot path need not count each handler's calls.
    """

    __slots__ = ("calls", "count", "edges", "handlers")

    def __init__(self, handlers: tuple[Subscription, ...], edges: tuple[Subscription, ...]) -> None:
        self.handlers = handlers
        self.edges = edges
        self.calls = _distinct(handlers)
        self.count = 0

    def owner(self, call: Handler) -> Subscription:
        """The subscription to which ``call`` belongs."""
        return next(s for s, own in zip(self.handlers, self.calls, strict=True) if own is call)


class Subscriptions:
    """The table. Handlers run by priority (higher first), then in order of subscription."""

    def __init__(
        self,
        shuffle: Callable[[list[Subscription]], None] | None = None,
        measure: Callable[[], int] | None = None,
    ) -> None:
        self._measure = measure
        self._all: dict[int, Subscription] = {}
        self._created = 0
        self._shuffle = shuffle
        self.plans: dict[type[DomainEvent], Plan] = {}
        self._raw_plans: dict[str, Plan] = {}
        self.published: dict[str, int] = {}
        self._edge_names: dict[str, int] = {}  # name -> how many default names were derived from it
        self._gone: deque[int] = deque()  # subscriptions whose weakly held handler has died since the last cleanup

    def add(
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
        deliver: Handler | None = None,
    ) -> Subscription:
        """Add ``handler`` for ``topic``; if given, ``deliver`` is called instead of it."""
        self._release_dead()
        if not callable(handler):
            raise ConfigError(f"subscribe: {handler!r} is not callable; give a function or a method")
        given, name = name, name or getattr(handler, "__qualname__", None) or type(handler).__name__
        if edge:
            name = self._edge_name(name, given=bool(given))
        self._created = order = self._created + 1
        subscription = Subscription(
            self,
            topic,
            self._weakly(handler, order) if weak else lambda: handler,
            priority=priority,
            order=order,
            name=name,
            component=component,
            edge=edge,
        )
        subscription.call = deliver or (_late_bound(subscription) if weak else handler)
        if self._measure is not None:
            subscription.call = _timed(subscription, self._measure)
        if where is not None:
            subscription.call = _filtered(subscription, where)
        self._all[subscription.order] = subscription
        self._forget_plans()
        return subscription

    def _edge_name(self, name: str, *, given: bool) -> str:
        """A name that no other edge has, because it identifies letters and positions. A default name gets a number."""
        names = self._edge_names
        if name in names:
            if given:
                raise ConfigError(
                    f"subscribe: an edge named {name!r} exists already; its dead letters and its position use the "
                    "name; give this one another name"
                )
            number = names[name] + 1
            while f"{name}#{number + 1}" in names:
                number += 1
            names[name] = number
            name = f"{name}#{number + 1}"
        names[name] = 0
        return name

    def _weakly(self, handler: Handler, order: int) -> Callable[[], Handler | None]:
        """A reference that reports its handler's end. That may happen at any time, even during a dispatch, so the table
        is not changed then: the number waits for the next cleanup."""
        _check_outlives_this_call(handler)
        gone = self._gone.append
        refer = weakref.WeakMethod if inspect.ismethod(handler) else weakref.ref
        try:
            return refer(handler, lambda _: gone(order))
        except TypeError:
            raise ConfigError(
                f"subscribe: {handler!r} cannot be held weakly; give a function or a method of an object of yours"
            ) from None

    def _release_dead(self) -> None:
        while self._gone:
            subscription = self._all.get(self._gone.popleft())
            if subscription is not None:
                self.remove(subscription)

    def remove_component(self, component: str) -> None:
        """End all subscriptions of a component."""
        for subscription in [s for s in self._all.values() if s.component == component]:
            self.remove(subscription)

    def remove(self, subscription: Subscription) -> None:
        if self._all.pop(subscription.order, None) is not None:
            if subscription.edge:
                self._edge_names.pop(subscription.name, None)
            self._forget_plans()
            subscription.ended()

    def named(self, name: str) -> list[Subscription]:
        """The subscriptions with this name, oldest first. Edge names are unique; plain handlers may share one."""
        self._release_dead()
        return [s for s in self._all.values() if s.name == name]

    def subscribed(self) -> list[Subscription]:
        """All subscriptions, in order."""
        self._release_dead()
        return sorted(self._all.values(), key=lambda subscription: subscription.order)

    def at(self, order: int) -> Subscription | None:
        """The subscription with this number."""
        return self._all.get(order)

    @property
    def created(self) -> int:
        """How many subscriptions there were: the number of the newest."""
        return self._created

    def number_from(self, created: int) -> None:
        """Number later subscriptions as in an earlier process, which had ``created`` of them."""
        self._created = created

    def renumber(self, subscription: Subscription, order: int) -> None:
        """Give ``subscription`` the place that it had in an earlier process."""
        self._forget_plans()
        del self._all[subscription.order]
        subscription.order = order
        self._all[order] = subscription

    def count_published(self, published: Mapping[str, int]) -> None:
        """Continue the counts of an earlier process, by type of event."""
        self._forget_plans()
        self.published = dict(published)

    def holds(self, subscription: Subscription) -> bool:
        self._release_dead()
        return subscription.order in self._all

    def find(self, handler: Handler, topic: Topic | None = None) -> list[Subscription]:
        """The subscriptions of a handler, oldest first; with ``topic`` only those for it."""
        return [s for s in self._all.values() if s.handler() == handler and topic in (None, s.topic)]

    def plan_for(self, event: DomainEvent) -> Plan:
        """The plan for ``event``, cached until a subscription is added or ends."""
        if not isinstance(event, DomainEvent):  # checked here, because each type comes here only once
            raise not_an_event(event)
        plan = self._raw_plans.get(event.raw_type) if isinstance(event, RawEvent) else self.plans.get(type(event))
        if plan is None:
            self._release_dead()
            # A copy, because another thread may subscribe meanwhile.
            matching = [s for s in tuple(self._all.values()) if s.matches(event)]
            if self._shuffle is not None:
                self._shuffle(matching)
                matching.sort(key=lambda s: -s.priority)
            else:
                matching.sort(key=lambda s: (-s.priority, s.order))
            plan = Plan(tuple(s for s in matching if not s.edge), tuple(s for s in matching if s.edge))
            if isinstance(event, RawEvent):
                self._raw_plans[event.raw_type] = plan
            else:
                self.plans[type(event)] = plan
        return plan

    def fold_counts(self) -> None:
        """Move the plans' counts to the subscriptions and to ``published`` (events by type)."""
        for cls, plan in self.plans.items():
            self._fold(cls.event_type, plan)
        for name, plan in self._raw_plans.items():
            self._fold(name, plan)

    def _fold(self, event_type: str, plan: Plan) -> None:
        if not plan.count:
            return
        self.published[event_type] = self.published.get(event_type, 0) + plan.count
        for subscription in plan.handlers + plan.edges:
            subscription._calls += plan.count
        plan.count = 0

    def total(self) -> int:
        """Dispatched events: those already moved, and those that the plans still count."""
        plans = [*self.plans.copy().values(), *self._raw_plans.copy().values()]
        return sum(self.published.copy().values()) + sum(plan.count for plan in plans)

    def count_of(self, event: DomainEvent) -> int:
        """How many events of the type of ``event`` were dispatched."""
        raw = isinstance(event, RawEvent)
        plan = self._raw_plans.get(event.event_type) if raw else self.plans.get(type(event))
        return self.published.get(event.event_type, 0) + (plan.count if plan is not None else 0)

    def _forget_plans(self) -> None:
        self.fold_counts()
        self.plans.clear()
        self._raw_plans.clear()

    def statistics(self) -> tuple[SubscriptionStatistics, ...]:
        self._release_dead()
        self.fold_counts()
        return tuple(s.statistics() for s in self._all.values())


def not_an_event(given: object, call: str = "publish") -> ConfigError:
    """The error for giving something that is not an event to ``call``."""
    return ConfigError(f"{call}: {given!r} is not an event; give an object of a subclass of DomainEvent")


def _check_outlives_this_call(handler: Handler) -> None:
    """Refuse a handler that only the subscription is likely to hold: held weakly, it would disappear immediately."""
    if inspect.isbuiltin(handler):
        kept = handler.__self__ is None or isinstance(handler.__self__, ModuleType)
    elif inspect.isfunction(handler):
        kept = "<lambda>" not in handler.__qualname__ and "<locals>" not in handler.__qualname__
    else:
        kept = not isinstance(handler, partial)
    if not kept:
        raise ConfigError(
            f"subscribe: weak=True with {handler!r}, which may disappear immediately; give a method "
            "of an object that you keep, or omit weak"
        )


def _nothing(event: DomainEvent) -> None:
    """The callback of a new subscription."""


def _nothing_more() -> None:
    """The default action at the end of a subscription."""


def _timed(subscription: Subscription, now: Callable[[], int]) -> Handler:
    call = subscription.call
    subscription.latency = latency = LatencyHistogram()

    def timed(event: DomainEvent) -> object:
        began = now()
        try:
            return call(event)
        finally:
            latency.add(now() - began)

    return timed


def _distinct(handlers: tuple[Subscription, ...]) -> tuple[Handler, ...]:
    """The callables, all distinct objects, so that a failed call identifies its subscription."""
    calls: dict[int, Handler] = {}
    for subscription in handlers:
        call = subscription.call if id(subscription.call) not in calls else partial(subscription.call)
        calls[id(call)] = call
    return tuple(calls.values())


def _filtered(subscription: Subscription, where: Callable[[Any], bool]) -> Handler:
    call = subscription.call

    def filtered(event: DomainEvent) -> object:
        if holds(where, event):
            return call(event)
        subscription._calls -= 1  # the plan has counted it
        return None

    return filtered


def _late_bound(subscription: Subscription) -> Handler:
    handler = subscription.handler

    def late_bound(event: DomainEvent) -> object:
        target = handler()
        return None if target is None else target(event)

    return late_bound
