"""Subscriptions: cancelled, ended with a block, held weakly, unsubscribed."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Callable

import pytest
from application_kit import Ping, Pong
from listener_kit import Listener, failing, note

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.domain.events import DomainEvent, RawEvent
from tickdeck.errors import ConfigError


def function_of_a_module(log: list[str]) -> Callable[[DomainEvent], None]:
    """A function of a module, which may disappear when the module is reloaded."""

    def hear(_: DomainEvent) -> None:
        log.append("heard")

    hear.__qualname__ = hear.__name__
    return hear


# -- subscribing ----------------------------------------------------------------------------------------------


def test_a_cancelled_subscription_receives_nothing_more_and_cancelling_twice_is_harmless() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    subscription = bus.subscribe(Ping, listener.hear)
    bus.publish(Ping(n=1))

    subscription.cancel()
    subscription.cancel()
    bus.publish(Ping(n=2))

    assert len(listener.heard) == 1
    assert not subscription.active
    assert subscription.statistics().calls == 1


def test_a_subscription_ends_with_its_block() -> None:
    bus, listener = InMemoryEventBus(), Listener()

    with bus.subscribe(Ping, listener.hear) as subscription:
        assert subscription.active
        bus.publish(Ping())
    bus.publish(Ping())

    assert len(listener.heard) == 1


def test_subscribing_and_cancelling_take_effect_with_the_next_event() -> None:
    bus, log = InMemoryEventBus(), list[str]()

    def switch(event: Ping) -> None:
        if event.n == 1:
            leaving.cancel()
            bus.subscribe(Ping, note(log, "comer"))

    bus.subscribe(Ping, switch)
    leaving = bus.subscribe(Ping, note(log, "leaver"))

    bus.publish(Ping(n=1))
    assert log == ["leaver"]
    bus.publish(Ping(n=2))
    assert log == ["leaver", "comer"]


def test_a_handler_may_cancel_itself() -> None:
    bus, listener = InMemoryEventBus(), Listener()

    def once(event: Ping) -> None:
        listener.hear(event)
        subscription.cancel()

    subscription = bus.subscribe(Ping, once)
    bus.publish_all([Ping(), Ping()])

    assert len(listener.heard) == 1


def test_unsubscribe_finds_a_handler_however_it_was_subscribed() -> None:
    bus, listener = InMemoryEventBus(), Listener()

    async def edge(event: Ping) -> None:
        listener.hear(event)

    bus.subscribe(Ping, listener.hear)
    bus.subscribe("test.*", listener.hear, where=lambda e: True)
    bus.subscribe("*", listener.hear, weak=True)
    bus.subscribe(Ping, edge)
    other = bus.subscribe(Ping, note([], "other"))

    bus.unsubscribe(listener.hear)
    bus.unsubscribe(edge)
    bus.publish(Ping())

    assert listener.heard == []
    assert [s.name for s in bus.statistics().handlers] == [other.name]
    bus.unsubscribe(other)
    assert bus.statistics().handlers == ()


def test_a_weak_method_ends_with_its_object_and_leaves_nothing_behind() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    subscription = bus.subscribe(Ping, listener.hear, weak=True)
    bus.publish(Ping())
    assert len(listener.heard) == 1

    del listener
    gc.collect()

    assert not subscription.active
    assert bus.statistics().handlers == ()
    bus.publish(Ping())
    assert bus.statistics().failures == 0


def test_a_weak_function_ends_with_its_last_reference() -> None:
    bus, log = InMemoryEventBus(), list[str]()
    hear = function_of_a_module(log)

    bus.subscribe(Ping, hear, weak=True, where=lambda e: True)
    bus.publish(Ping())
    del hear
    gc.collect()
    bus.publish(Ping())

    assert log == ["heard"]
    assert bus.statistics().handlers == ()


@pytest.mark.parametrize(
    "handler",
    [lambda event: None, note([], "local"), functools.partial(failing), [].append],
    ids=["lambda", "local function", "partial", "method of a list"],
)
def test_a_handler_that_would_disappear_immediately_is_not_held_weakly(handler: Callable[[DomainEvent], None]) -> None:
    with pytest.raises(ConfigError, match="may disappear immediately"):
        InMemoryEventBus().subscribe(Ping, handler, weak=True)


def test_unsubscribe_ends_a_handlers_subscriptions_for_one_topic() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe(Ping, listener.hear)
    bus.subscribe("test.pong", listener.hear)
    bus.subscribe("order.canceled", listener.hear)

    assert bus.unsubscribe(Ping, listener.hear) == 1
    assert bus.unsubscribe(Ping, listener.hear) == 0
    assert bus.unsubscribe("order.canceled", listener.hear) == 1
    bus.publish_all([Ping(), Pong()])

    assert [type(event) for event in listener.heard] == [Pong]


@pytest.mark.parametrize("topic", [Ping, "test.ping"])
def test_unsubscribe_with_a_topic_alone_is_refused(topic: type[DomainEvent] | str) -> None:
    with pytest.raises(ConfigError, match="is a topic"):
        InMemoryEventBus().unsubscribe(topic)  # type: ignore[call-overload]


def test_a_misspelled_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"on: there is no option 'priorty'; did you mean 'priority'\?"):
        InMemoryEventBus().on(Ping, priorty=2)  # type: ignore[call-arg]


def test_a_weak_handler_that_dies_during_dispatch_is_skipped() -> None:
    bus, listeners = InMemoryEventBus(), [Listener()]
    heard = listeners[0].heard

    def kill(_: Ping) -> None:
        listeners.clear()
        gc.collect()

    bus.subscribe(Ping, kill, priority=1)
    bus.subscribe(Ping, listeners[0].hear, weak=True)
    bus.publish(Ping())

    assert heard == []
    assert bus.statistics().failures == 0


def test_weak_is_refused_for_objects_without_weak_references() -> None:
    class Slotted:
        __slots__ = ()

        def __call__(self, event: DomainEvent) -> None:
            """Hear."""

    with pytest.raises(ConfigError, match="cannot be held weakly"):
        InMemoryEventBus().subscribe(Ping, Slotted(), weak=True)


@pytest.mark.long
def test_thousands_of_subscriptions_and_cancellations_leave_nothing_behind() -> None:
    bus = InMemoryEventBus()
    bus.subscribe(Ping, failing).cancel()

    async def edge(_: Ping) -> None:
        """Hear."""

    for n in range(3_000):
        listener = Listener()
        subscriptions = [
            bus.subscribe(Ping, listener.hear),
            bus.subscribe("test.*", listener.hear, where=lambda e: True),
            bus.subscribe(Ping, edge),
        ]
        bus.subscribe("*", listener.hear, weak=True)
        if n % 100 == 0:
            bus.publish(Ping(n=n))
            bus.publish(RawEvent(raw_type="news.published"))
        for subscription in subscriptions:
            subscription.cancel()
        del listener, subscriptions, subscription

    gc.collect()
    assert bus.statistics().handlers == ()
    assert bus._table._all == {}
    assert bus._table.plans == {}
    assert bus._table._raw_plans == {}
    asyncio.run(bus.drain())
    assert bus._edges.busy == {}
