"""The bus: who hears what, in which order, and apart from whose faults."""

from __future__ import annotations

import asyncio
import functools
import gc
import random
from collections.abc import Callable

import pytest
from application_kit import LoudPing, Ping, Pong

from tickdeck.application.bus import InMemoryEventBus, describe_error
from tickdeck.domain.events import DomainEvent, HandlerFailed, RawEvent
from tickdeck.errors import ConfigError


class Listener:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[DomainEvent] = []

    def hear(self, event: DomainEvent) -> None:
        self.heard.append(event)


def function_of_a_module(log: list[str]) -> Callable[[DomainEvent], None]:
    """A function as a module has it, which may go when the module is loaded again."""

    def hear(_: DomainEvent) -> None:
        log.append("heard")

    hear.__qualname__ = hear.__name__
    return hear


def failing(_: DomainEvent) -> None:
    raise ValueError("broken")


def note(log: list[str], name: str) -> Callable[[DomainEvent], None]:
    return lambda _: log.append(name)


# -- topics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "heard"),
    [
        (Ping, ["test.ping", "test.ping.loud"]),
        (LoudPing, ["test.ping.loud"]),
        (DomainEvent, ["test.ping", "test.ping.loud", "test.pong", "news.published"]),
        ("test.ping", ["test.ping"]),
        ("test.ping.*", ["test.ping.loud"]),
        ("test.*", ["test.ping", "test.ping.loud", "test.pong"]),
        ("test.p?ng", ["test.ping", "test.pong"]),
        ("*", ["test.ping", "test.ping.loud", "test.pong", "news.published"]),
        ("news.*", ["news.published"]),
    ],
)
def test_a_topic_selects_by_class_or_dotted_type_with_wildcards(
    topic: type[DomainEvent] | str, heard: list[str]
) -> None:
    bus = InMemoryEventBus()
    types: list[str] = []
    bus.subscribe(topic, lambda e: types.append(e.raw_type if isinstance(e, RawEvent) else e.event_type))

    bus.publish_all([Ping(), LoudPing(), Pong(), RawEvent(raw_type="news.published")])

    assert types == heard


def test_events_of_unknown_types_are_told_apart_by_their_raw_type() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe("news.*", listener.hear)

    bus.publish_all([RawEvent(raw_type="news.published"), RawEvent(raw_type="gossip.heard")])

    assert [event.raw_type for event in listener.heard if isinstance(event, RawEvent)] == ["news.published"]
    assert bus.statistics().published == {"gossip.heard": 1, "news.published": 1}


@pytest.mark.parametrize("topic", ["", None, 7, str, Ping()])
def test_what_is_no_topic_is_refused_with_a_way_out(topic: object) -> None:
    with pytest.raises(ConfigError, match="give an event class or a type such as 'order"):
        InMemoryEventBus().subscribe(topic, failing)  # type: ignore[arg-type]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigError, match="7 is not callable; give a function or a method"):
        InMemoryEventBus().subscribe("*", 7)  # type: ignore[arg-type]


def test_where_narrows_a_subscription_and_its_count() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    subscription = bus.subscribe(Ping, listener.hear, where=lambda e: e.n > 1)

    bus.publish_all([Ping(n=1), Ping(n=2), Ping(n=3)])

    assert [event.n for event in listener.heard if isinstance(event, Ping)] == [2, 3]
    assert subscription.statistics().calls == 2


def test_a_where_that_raises_is_a_fault_of_its_handler() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe(Ping, listener.hear, where=lambda e: e.no_such_field, name="narrow")
    bus.subscribe(HandlerFailed, listener.hear)

    bus.publish(Ping())

    (failure,) = listener.heard
    assert isinstance(failure, HandlerFailed)
    assert (failure.handler, failure.error) == ("narrow", "AttributeError")


# -- order ------------------------------------------------------------------------------------------------------


def test_handlers_run_by_priority_and_then_in_order_of_subscription() -> None:
    bus, log = InMemoryEventBus(), list[str]()
    for name, priority in (("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)):
        bus.subscribe(Ping, note(log, name), priority=priority)

    bus.publish(Ping())

    assert log == ["b", "d", "a", "e", "c"]


def test_shuffling_moves_only_handlers_of_equal_priority() -> None:
    orders = []
    for seed in range(20):
        bus, log = InMemoryEventBus(shuffle=random.Random(seed).shuffle), list[str]()
        for name, priority in (("a", 0), ("b", 0), ("first", 9), ("c", 0), ("last", -9)):
            bus.subscribe(Ping, note(log, name), priority=priority)
        bus.publish(Ping())
        assert (log[0], log[-1], sorted(log[1:-1])) == ("first", "last", ["a", "b", "c"])
        orders.append("".join(log[1:-1]))

    assert len(set(orders)) > 1


def test_what_a_handler_publishes_queues_behind_what_was_queued_first() -> None:
    bus, log = InMemoryEventBus(), list[str]()
    bus.subscribe(
        Ping, lambda e: bus.publish_all([Pong(n=e.n * 10), Pong(n=e.n * 10 + 1)]) and None, where=lambda e: e.n
    )
    bus.subscribe(Ping, lambda e: log.append(f"ping {e.n}"))
    bus.subscribe(Pong, lambda e: log.append(f"pong {e.n}"))
    bus.subscribe(Pong, lambda e: bus.publish(Ping()), where=lambda e: e.n == 10)

    bus.publish(Ping(n=1))

    assert log == ["ping 1", "pong 10", "pong 11", "ping 0"]


# -- coming and going -------------------------------------------------------------------------------------------


def test_a_cancelled_subscription_hears_nothing_more_and_cancelling_twice_is_harmless() -> None:
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


def test_one_that_comes_or_goes_during_an_event_does_so_from_the_next_event_on() -> None:
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


def test_unsubscribe_takes_a_handler_in_whatever_way_it_was_subscribed() -> None:
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


def test_a_weak_method_goes_with_its_object_and_leaves_nothing_behind() -> None:
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


def test_a_weak_function_goes_with_its_last_reference() -> None:
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
def test_what_would_be_gone_at_once_is_not_held_weakly(handler: Callable[[DomainEvent], None]) -> None:
    with pytest.raises(ConfigError, match="may disappear immediately"):
        InMemoryEventBus().subscribe(Ping, handler, weak=True)


def test_unsubscribe_ends_what_a_handler_has_for_one_topic() -> None:
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


def test_an_option_that_is_misspelled_is_refused_where_it_is_given() -> None:
    with pytest.raises(ConfigError, match=r"on: there is no option 'priorty'; did you mean 'priority'\?"):
        InMemoryEventBus().on(Ping, priorty=2)  # type: ignore[call-arg]


def test_a_weak_handler_that_dies_while_its_event_is_dispatched_is_passed_over() -> None:
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


def test_what_cannot_be_held_weakly_is_refused() -> None:
    class Slotted:
        __slots__ = ()

        def __call__(self, event: DomainEvent) -> None:
            """Hear."""

    with pytest.raises(ConfigError, match="cannot be held weakly"):
        InMemoryEventBus().subscribe(Ping, Slotted(), weak=True)


@pytest.mark.long
def test_thousands_of_comings_and_goings_leave_nothing_behind() -> None:
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


# -- faults -----------------------------------------------------------------------------------------------------


def test_a_fault_reaches_neither_the_publisher_nor_other_handlers() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe(Ping, failing)
    bus.subscribe(Ping, listener.hear)

    bus.publish(Ping())

    assert len(listener.heard) == 1


def test_a_fault_is_told_with_who_what_and_on_which_event() -> None:
    bus = InMemoryEventBus()
    bus.subscribe(Ping, failing, name="alerts", component="risk")

    with bus.collect("system.handler_failed") as failures:
        bus.publish(Ping(event_id="7-1", correlation_id="7"))

    (failure,) = failures
    assert failure.payload == {
        "handler": "alerts",
        "component": "risk",
        "error": "ValueError",
        "message": "broken",
        "failed_event_id": "7-1",
        "failed_event_type": "test.ping",
    }
    assert (failure.causation_id, failure.correlation_id) == ("7-1", "7")


def test_what_a_handler_published_before_it_raised_is_discarded_and_the_rest_is_not() -> None:
    bus, listener = InMemoryEventBus(), Listener()

    def publish_and_raise(event: Ping) -> None:
        bus.publish(Pong(n=event.n))
        failing(event)

    bus.subscribe(Ping, lambda e: bus.publish(Pong(n=100)), priority=1)
    bus.subscribe(Ping, publish_and_raise)
    bus.subscribe(Ping, lambda e: bus.publish(Pong(n=300)), priority=-1)
    bus.subscribe("*", listener.hear)

    bus.publish(Ping(n=200))

    told_of = [event.n if isinstance(event, Ping | Pong) else event.event_type for event in listener.heard]
    assert told_of == [200, 100, "system.handler_failed", 300]


def test_a_fault_in_a_handler_of_faults_is_dead_lettered_silently() -> None:
    bus = InMemoryEventBus()
    bus.subscribe(Ping, failing, name="first")
    bus.subscribe(HandlerFailed, failing, name="second")

    bus.publish(Ping())

    (letter,) = bus.dead_letters()
    assert (letter.handler, letter.error) == ("second", "ValueError: broken")
    assert isinstance(letter.event, HandlerFailed)
    statistics = bus.statistics()
    assert (statistics.failures, statistics.dead_letters) == (2, 1)
    assert statistics.published == {"system.handler_failed": 1, "test.ping": 1}


def test_a_fault_is_laid_at_the_right_door_where_one_function_was_subscribed_twice() -> None:
    bus = InMemoryEventBus()
    calls = iter([None, ValueError("second call")])

    def hear(_: Ping) -> None:
        if (error := next(calls)) is not None:
            raise error

    bus.subscribe(Ping, hear, name="one", component="a")
    bus.subscribe("test.*", hear, name="two", component="b")

    with bus.collect(HandlerFailed) as failures:
        bus.publish(Ping())

    assert [(f.payload["handler"], f.payload["component"]) for f in failures] == [("two", "b")]
    assert [(s.name, s.calls, s.failures) for s in bus.statistics().handlers] == [("one", 1, 0), ("two", 1, 1)]


def test_the_text_of_an_error_is_the_same_in_every_run_and_can_be_encoded() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("cannot even tell")

    assert describe_error(KeyError(object())).startswith("<object object at 0x...>")
    assert describe_error(ValueError("a\udc80b")) == "a?b"
    assert describe_error(ValueError("order 0x12 of 7")) == "order 0x12 of 7"
    assert describe_error(Mute()) == ""


def test_an_interrupt_leaves_no_half_cascade_for_the_next_event() -> None:
    bus, listener = InMemoryEventBus(), Listener()

    def interrupted(_: Ping) -> None:
        bus.publish(Pong())
        raise KeyboardInterrupt

    subscription = bus.subscribe(Ping, interrupted)
    bus.subscribe("*", listener.hear)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping(n=1))
    subscription.cancel()

    bus.publish(Ping(n=2))

    assert [event.n for event in listener.heard if isinstance(event, Ping)] == [2]
    assert len(listener.heard) == 1


# -- batches, collecting, counting -------------------------------------------------------------------------------


def test_a_batch_is_delivered_together_at_its_end() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe("*", listener.hear)

    with bus.batch():
        bus.publish(Ping(n=1))
        with bus.batch():
            bus.publish(Ping(n=2))
        assert listener.heard == []

    assert [event.n for event in listener.heard if isinstance(event, Ping)] == [1, 2]


def test_a_batch_that_raises_is_discarded() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe("*", listener.hear)

    def publish_and_raise() -> None:
        with bus.batch():
            bus.publish(Ping(n=1))
            failing(Ping())

    with pytest.raises(ValueError, match="broken"):
        publish_and_raise()
    bus.publish(Ping(n=2))

    assert [event.n for event in listener.heard if isinstance(event, Ping)] == [2]


def test_a_batch_inside_a_handler_is_part_of_what_the_handler_publishes() -> None:
    bus, listener = InMemoryEventBus(), Listener()

    def batching(event: Ping) -> None:
        with bus.batch():
            bus.publish(Pong(n=1))
        failing(event)

    bus.subscribe(Ping, batching)
    bus.subscribe(Pong, listener.hear)
    bus.publish(Ping())

    assert listener.heard == []


def test_collect_gives_what_is_published_in_its_block() -> None:
    bus = InMemoryEventBus()
    bus.publish(Ping(n=0))

    with bus.collect("test.ping*") as events:
        bus.publish_all([Ping(n=1), Pong(n=2), LoudPing(n=3)])
    bus.publish(Ping(n=4))

    assert [event.n for event in events if isinstance(event, Ping)] == [1, 3]
    assert bus.statistics().handlers == ()


def test_statistics_count_events_by_type_and_calls_by_handler() -> None:
    bus = InMemoryEventBus()
    bus.subscribe(Ping, lambda e: None, name="quiet", component="a")
    bus.subscribe("*", failing, name="loud")
    bus.publish_all([Ping(), Ping()])
    bus.subscribe(Pong, lambda e: None, name="late")
    bus.publish(Pong())

    statistics = bus.statistics()

    assert statistics.published == {"system.handler_failed": 3, "test.ping": 2, "test.pong": 1}
    assert statistics.total == 6
    handlers = [(s.name, s.component, s.calls, s.failures) for s in statistics.handlers]
    assert handlers == [("quiet", "a", 2, 0), ("loud", "", 6, 6), ("late", "", 1, 0)]
    assert statistics == bus.statistics()


def test_what_is_no_event_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="publish: 'x' is not an event; give an object of a subclass of DomainEvent"):
        InMemoryEventBus().publish("x")  # type: ignore[arg-type]


def test_a_handler_that_publishes_what_is_no_event_fails_alone() -> None:
    bus, heard = InMemoryEventBus(), []
    bus.subscribe(Ping, lambda e: bus.publish("x"))  # type: ignore[arg-type,return-value]
    bus.subscribe(Ping, heard.append)

    bus.publish(Ping())

    assert len(heard) == 1
    assert bus.statistics().failures == 1
