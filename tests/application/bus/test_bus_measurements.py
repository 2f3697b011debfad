"""What the bus measures, what the watchdog reports, and that nothing is left behind."""

from __future__ import annotations

import threading

import pytest
from bus_kit import FakeClock, Note, trade

from tickdeck import (
    DomainEvent,
    InMemoryEventBus,
)
from tickdeck.application.latency import LatencyHistogram
from tickdeck.infrastructure.watchdog import Watchdog


def test_a_measuring_bus_reports_how_long_its_handlers_take() -> None:
    clock = FakeClock()
    bus = InMemoryEventBus(clock=clock, measure=True)

    def slow(event: Note) -> None:
        clock.now += 1_000_000

    bus.subscribe(Note, slow)
    bus.publish_all([Note(), Note()])
    (handler,) = bus.statistics().handlers
    assert handler.max_ns == 1_000_100
    assert handler.p50_ns is not None
    assert 940_000 <= handler.p50_ns <= 1_000_100
    assert InMemoryEventBus().subscribe(Note, slow).statistics().p99_ns is None


def test_quantiles_of_a_histogram_are_accurate_to_a_sixteenth() -> None:
    histogram = LatencyHistogram()
    for value in range(1, 10_001):
        histogram.add(value)
    for fraction in (0.01, 0.5, 0.99, 1.0):
        exact = fraction * 10_000
        got = histogram.quantile(fraction)
        assert got is not None
        assert exact * 15 / 16 - 1 <= got <= exact
    histogram.add(-5)
    assert histogram.quantile(0.0) == 0
    assert (histogram.count, histogram.maximum) == (10_001, 10_000)
    assert LatencyHistogram().quantile(0.5) is None


def test_the_watchdog_names_a_handler_that_does_not_return() -> None:
    bus, alarms, rang = InMemoryEventBus(), list[str](), threading.Event()

    def alarm(text: str) -> None:
        alarms.append(text)
        rang.set()

    def stuck(event: Note) -> None:
        assert rang.wait(60)

    bus.subscribe(Note, lambda e: None)
    bus.subscribe(Note, stuck)
    with Watchdog(bus, limit=0.05, alarm=alarm):
        bus.publish(Note())
    (text,) = alarms
    assert "stuck" in text
    assert "test_bus_measurements.py" in text


def test_the_watchdog_names_a_plain_edge_that_does_not_return() -> None:
    bus, alarms, rang = InMemoryEventBus(), list[str](), threading.Event()

    def alarm(text: str) -> None:
        alarms.append(text)
        rang.set()

    def stuck_edge(event: Note) -> None:
        assert rang.wait(60)

    bus.subscribe(Note, stuck_edge, edge=True)
    with Watchdog(bus, limit=0.05, alarm=alarm):
        bus.publish(Note())
    (text,) = alarms
    assert "stuck_edge" in text


@pytest.mark.long
@pytest.mark.parametrize("cycles", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_subscribing_and_cancelling_leaves_nothing_behind(cycles: int) -> None:
    bus = InMemoryEventBus()

    async def edge(event: DomainEvent) -> None: ...

    for n in range(cycles):
        with bus.subscribe(Note, edge if n % 2 else (lambda e: None)):
            if n % 1_000 == 0:
                bus.publish(trade())

    assert bus.statistics().handlers == ()
    assert bus._edges.mailboxes == []
    assert bus.statistics().published == {"market.trade": -(-cycles // 1_000)}
