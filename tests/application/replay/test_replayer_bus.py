"""Replaying onto a bus."""

from __future__ import annotations

import asyncio

import pytest
from application_kit import SECOND, MemoryTape, Ping
from replay_kit import at, pings, player
from virtual_time import run

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.application.replay.replayer import ReplayStatistics
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError


def test_events_are_published_with_the_stamps_of_their_record() -> None:
    record = [Ping(seq=7, event_id="3-1", causation_id="3", correlation_id="3", ts=1, ts_ingress=2)]
    bus = InMemoryEventBus()
    heard: list[DomainEvent] = []
    bus.subscribe("test.*", heard.append)

    statistics = run(player(record).replay_onto(bus, speed="max"))

    assert heard == record
    assert statistics == ReplayStatistics(played=1, skipped=0, seeks=0, lag_ns=0)


def test_on_a_bus_events_are_paced_and_filtered_too() -> None:
    bus = InMemoryEventBus()
    heard: list[tuple[float, int]] = []
    bus.subscribe("*", lambda event: heard.append((asyncio.get_running_loop().time(), event.seq)))

    run(player(pings(0, 1, 2, 3)).replay_onto(bus, from_=at(1), to=at(2), speed=2, types=["test.ping"]))

    assert heard == [(0, 2), (0.5, 3)]


def test_a_slow_async_handler_makes_the_replay_late_and_loses_nothing() -> None:
    bus = InMemoryEventBus()
    heard = []

    async def slow(event: DomainEvent) -> None:
        await asyncio.sleep(10)
        heard.append(event.seq)

    bus.subscribe(Ping, slow, mailbox=1)
    statistics = run(player(pings(0, 1, 2, 3)).replay_onto(bus))

    assert heard == [1, 2, 3, 4]
    assert bus.statistics().dropped == {}
    assert statistics.lag_ns == 27 * SECOND


def test_a_handler_error_is_published_and_the_replay_continues() -> None:
    bus = InMemoryEventBus()

    def broken(event: DomainEvent) -> None:
        raise ZeroDivisionError

    bus.subscribe(Ping, broken)
    with bus.collect("system.handler_failed") as failures:
        statistics = run(player(pings(0, 1)).replay_onto(bus, speed=0))

    assert len(failures) == 2
    assert statistics.played == 2


def test_the_kernel_of_a_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="would stamp recorded events again; give a plain bus"):
        run(player(pings(0)).replay_onto(Kernel(tape=MemoryTape())))
