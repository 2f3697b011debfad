"""A handler that raises: who is affected, what is published, what is discarded."""

from __future__ import annotations

import pytest
from application_kit import Ping, Pong
from listener_kit import Listener, failing

from tickdeck.application.bus import InMemoryEventBus, describe_error
from tickdeck.domain.events import HandlerFailed


def test_an_error_affects_neither_the_publisher_nor_other_handlers() -> None:
    bus, listener = InMemoryEventBus(), Listener()
    bus.subscribe(Ping, failing)
    bus.subscribe(Ping, listener.hear)

    bus.publish(Ping())

    assert len(listener.heard) == 1


def test_an_error_is_reported_with_handler_text_and_event() -> None:
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


def test_events_published_before_an_error_are_discarded_and_others_are_not() -> None:
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


def test_an_error_in_a_handler_of_errors_silently_becomes_a_dead_letter() -> None:
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


def test_an_error_is_attributed_to_the_right_subscription_of_a_function() -> None:
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


def test_an_interrupt_leaves_no_half_processed_cascade() -> None:
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
