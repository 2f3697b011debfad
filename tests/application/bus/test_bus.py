"""The bus in memory: topics, order of handlers, batches, statistics, wrong arguments."""

from __future__ import annotations

import random

import pytest
from application_kit import LoudPing, Ping, Pong
from listener_kit import Listener, failing, note

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.domain.events import DomainEvent, HandlerFailed, RawEvent
from tickdeck.errors import ConfigError


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


def test_events_of_unknown_types_are_selected_by_their_raw_type() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe("news.*", listener.hear)

    bus.publish_all([RawEvent(raw_type="news.published"), RawEvent(raw_type="gossip.heard")])

    assert [event.raw_type for event in listener.heard if isinstance(event, RawEvent)] == ["news.published"]
    assert bus.statistics().published == {"gossip.heard": 1, "news.published": 1}


@pytest.mark.parametrize("topic", ["", None, 7, str, Ping()])
def test_an_invalid_topic_is_refused_with_advice(topic: object) -> None:
    with pytest.raises(ConfigError, match="give an event class or a type such as 'order"):
        InMemoryEventBus().subscribe(topic, failing)  # type: ignore[arg-type]


def test_a_handler_that_is_not_callable_is_refused() -> None:
    with pytest.raises(ConfigError, match="7 is not callable; give a function or a method"):
        InMemoryEventBus().subscribe("*", 7)  # type: ignore[arg-type]


def test_where_narrows_a_subscription_and_its_count() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    subscription = bus.subscribe(Ping, listener.hear, where=lambda e: e.n > 1)

    bus.publish_all([Ping(n=1), Ping(n=2), Ping(n=3)])

    assert [event.n for event in listener.heard if isinstance(event, Ping)] == [2, 3]
    assert subscription.statistics().calls == 2


def test_an_error_in_where_counts_as_an_error_of_the_handler() -> None:
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


def test_events_published_by_handlers_are_queued_in_order() -> None:
    bus, log = InMemoryEventBus(), list[str]()
    bus.subscribe(
        Ping, lambda e: bus.publish_all([Pong(n=e.n * 10), Pong(n=e.n * 10 + 1)]) and None, where=lambda e: e.n
    )
    bus.subscribe(Ping, lambda e: log.append(f"ping {e.n}"))
    bus.subscribe(Pong, lambda e: log.append(f"pong {e.n}"))
    bus.subscribe(Pong, lambda e: bus.publish(Ping()), where=lambda e: e.n == 10)

    bus.publish(Ping(n=1))

    assert log == ["ping 1", "pong 10", "pong 11", "ping 0"]


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


def test_collect_returns_the_events_published_in_its_block() -> None:
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


def test_an_object_that_is_not_an_event_is_refused() -> None:
    with pytest.raises(ConfigError, match="publish: 'x' is not an event; give an object of a subclass of DomainEvent"):
        InMemoryEventBus().publish("x")  # type: ignore[arg-type]


def test_a_handler_that_publishes_a_non_event_fails_alone() -> None:
    bus, heard = InMemoryEventBus(), []
    bus.subscribe(Ping, lambda e: bus.publish("x"))  # type: ignore[arg-type,return-value]
    bus.subscribe(Ping, heard.append)

    bus.publish(Ping())

    assert len(heard) == 1
    assert bus.statistics().failures == 1
