"""The ambient bus and the recording bus."""

from __future__ import annotations

from bus_kit import Note, trade

from tickdeck import (
    DomainEvent,
    Kernel,
    RecordingBus,
    TradeEvent,
    get_event_bus,
    publish_domain_event,
    subscribe_to_event,
)
from tickdeck.application.bus.ambient import ambient_bus
from tickdeck.infrastructure.tape import NullTape


def test_the_ambient_bus_is_that_of_the_run_and_a_plain_bus_outside_runs() -> None:
    plain = get_event_bus()
    kernel, heard = Kernel(tape=NullTape()), list[DomainEvent]()
    with ambient_bus(kernel):
        assert get_event_bus() is kernel
        subscription = subscribe_to_event(Note, heard.append, name="mine")
        publish_domain_event(Note(n=1))
    publish_domain_event(Note(n=2))

    assert subscription.name == "mine"
    assert [e.seq for e in heard] == [1]
    assert get_event_bus() is plain


def test_a_recording_bus_keeps_what_it_dispatched_in_order() -> None:
    bus = RecordingBus()
    bus.subscribe(TradeEvent, lambda e: bus.publish(Note(n=1)))
    bus.publish(trade())

    assert [e.event_type for e in bus.events] == ["market.trade", "bustest.note"]
    assert bus.of("market.*") == [bus.events[0]]
    assert bus.of(Note) == [bus.events[1]]
    bus.clear()
    assert bus.events == []
