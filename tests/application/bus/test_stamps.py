"""On a bus without a tape, too, events get an id, a time, a cause and a correlation."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import ClassVar

import pytest
from application_kit import MemoryTape

from tickdeck import (
    ConfigError,
    DomainEvent,
    HandlerFailed,
    InMemoryEventBus,
    Kernel,
    RecordingBus,
    Side,
    TradeEvent,
    get_event_bus,
)
from tickdeck.application.bus import Throttle
from tickdeck.infrastructure.clock import SystemClock

START = 1_700_000_000_000_000_000


class Asked(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "stamps.asked"
    n: int = 0


class Answered(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "stamps.answered"


class Wall:
    """A time of day that the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def names(events: list[DomainEvent]) -> list[tuple[str, str, str]]:
    return [(event.event_id, event.causation_id, event.correlation_id) for event in events]


def test_a_published_event_has_an_id_a_time_and_a_correlation() -> None:
    bus = RecordingBus(wall_now=Wall())
    given = Asked()

    bus.publish_all([given, Asked()])

    assert names(bus.events) == [("1", "", "1"), ("2", "", "2")]
    assert [(event.ts, event.ts_ingress, event.seq) for event in bus.events] == [(START, START, 0)] * 2
    assert given == Asked()  # the publisher's own object is unchanged


def test_the_default_time_is_the_systems() -> None:
    before, bus = SystemClock().time_ns(), RecordingBus()

    bus.publish(Asked())

    assert before <= bus.events[0].ts <= SystemClock().time_ns()


def test_the_ambient_bus_outside_runs_stamps_too() -> None:
    bus = get_event_bus()
    with bus.collect(Asked) as heard:
        bus.publish(Asked())
    assert heard[0].event_id
    assert heard[0].ts


def test_events_published_by_handlers_have_the_handled_event_as_cause() -> None:
    bus, wall = RecordingBus(wall_now=(wall := Wall())), wall

    def answer(event: Asked) -> None:
        wall.now += 1  # a cascade has one time
        if event.n:
            bus.publish(Asked(n=event.n - 1))
            bus.publish(Answered())

    bus.subscribe(Asked, answer)
    bus.publish(Asked(n=2))

    assert names(bus.events) == [
        ("1", "", "1"),
        ("1-1", "1", "1"),
        ("1-2", "1", "1"),
        ("1-1-1", "1-1", "1"),
        ("1-1-2", "1-1", "1"),
    ]
    assert {event.ts_ingress for event in bus.events} == {START}


def test_ids_causes_and_correlations_equal_those_of_a_kernel() -> None:
    class Tape:
        last_seq = durable_seq = 0

        def __init__(self) -> None:
            self.events: list[DomainEvent] = []

        def append(self, events: list[DomainEvent]) -> None:
            self.events += events

    def run(bus: InMemoryEventBus) -> None:
        def first(event: Asked) -> None:
            bus.publish(Answered())
            bus.publish(Answered(correlation_id="mine"))

        def faulty(event: Answered) -> None:
            raise ValueError("no")

        bus.subscribe(Asked, first)
        bus.subscribe(Answered, faulty)
        bus.publish(Asked())
        bus.publish(Asked(correlation_id="request-7"))
        with bus.batch():
            bus.publish(Asked())
        bus.pause()
        bus.publish(Asked())
        bus.resume()
        bus.publish_threadsafe(Asked())
        bus.run_pending()

    tape, plain = Tape(), RecordingBus()
    run(Kernel(tape=tape))  # type: ignore[arg-type]
    run(plain)

    assert names(plain.events) == names(tape.events)
    assert any(isinstance(event, HandlerFailed) for event in plain.events)


@pytest.mark.parametrize("held", [False, True])
def test_events_published_by_an_edge_have_its_event_as_cause(held: bool) -> None:
    async def run() -> list[tuple[str, str, str]]:
        bus = RecordingBus()

        @bus.on(Asked)
        async def edge(event: Asked) -> None:
            bus.publish(Answered())

        bus.publish(Asked(correlation_id="request-7"))
        if held:
            bus.pause()
        await bus.drain()
        bus.resume()
        bus.publish(Asked())
        return names(bus.events)

    assert asyncio.run(run()) == [("1", "", "request-7"), ("2", "1", "request-7"), ("3", "", "3")]


def test_held_events_get_no_cause_from_the_edge_that_resumes_the_bus() -> None:
    async def run() -> list[tuple[str, str, str]]:
        bus = RecordingBus()

        @bus.on(Asked)
        async def edge(event: Asked) -> None:
            bus.resume()

        bus.publish(Asked())
        bus.pause()
        bus.publish(Answered())
        await bus.drain()
        return names(bus.events)

    assert asyncio.run(run()) == [("1", "", "1"), ("2", "", "2")]


def test_an_event_with_an_id_is_dispatched_unchanged() -> None:
    first, second = RecordingBus(), RecordingBus()
    first.publish(Asked())
    first.publish(Asked())

    second.publish(Answered())
    second.publish(first.events[1])  # handed on from another bus

    assert second.events[1] is first.events[1]
    second.subscribe(Asked, lambda event: second.publish(Answered()), name="answer")
    second.publish(first.events[1])
    assert names(second.events[-1:]) == [("2-1", "2", "2")]


def test_given_times_are_kept_and_times_never_go_back() -> None:
    wall = Wall()
    bus = RecordingBus(wall_now=wall)

    bus.publish(Asked(ts=5))
    wall.now -= 1_000
    bus.publish(Asked())
    bus.publish(Asked(ts_ingress=START + 10**18))  # a time in the future would stop the clock there

    assert [event.ts for event in bus.events] == [5, START, START]
    assert [event.ts_ingress for event in bus.events] == [START] * 3


def test_without_stamps_the_very_object_is_dispatched() -> None:
    bus, heard, given = InMemoryEventBus(stamp=False), list[DomainEvent](), Asked()
    bus.subscribe("*", heard.append)

    bus.publish(given)

    assert heard[0] is given
    assert (given.event_id, given.ts) == ("", 0)


def test_a_clock_for_stamps_is_refused_without_stamping() -> None:
    with pytest.raises(ConfigError, match="with stamp=False the bus sets no times"):
        InMemoryEventBus(stamp=False, wall_now=Wall())


def test_a_throttle_uses_the_time_of_the_event_and_not_of_its_arrival() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(TradeEvent, lambda event: heard.append(event.ts), overflow=Throttle(100))

    for ts in (1_000, 1_050, 1_100):  # published within microseconds
        bus.publish(TradeEvent(symbol="BTCUSDT", price=Decimal(1), quantity=Decimal(1), side=Side.BUY, ts=ts))

    assert heard == [1_000, 1_100]


@pytest.mark.parametrize("given", ["text", None, 7])
def test_a_non_event_is_refused_and_uses_no_id(given: object) -> None:
    bus = RecordingBus()
    with pytest.raises(ConfigError, match="is not an event"):
        bus.publish(given)  # type: ignore[arg-type]

    bus.publish(Asked())

    assert names(bus.events) == [("1", "", "1")]


def test_a_kernel_has_no_more_attributes_than_python_keeps_compactly() -> None:
    """With more than 30 attributes, each access to one of them becomes slower. The bus of ``open_bus`` has one more."""
    assert len(vars(Kernel(tape=MemoryTape()))) <= 29
