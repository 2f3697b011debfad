"""Timers on a bus without a driver: in an event loop, without one, and across restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import virtual_time
from application_kit import Ping

from tickdeck import close_bus, open_bus
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import verify_bus
from tickdeck.bootstrap.bus import RecordedBus
from tickdeck.domain.events import TimerFired
from tickdeck.errors import ConfigError, TickdeckError

HOUR = 3_600_000_000_000
EPOCH = 1_700_000_000_000_000_000


class HandClock:
    """A clock that the test sets."""

    def __init__(self, now: int = EPOCH) -> None:
        self.now = now

    def time_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def fired(bus: Kernel) -> list[TimerFired]:
    events: list[TimerFired] = []
    bus.subscribe(TimerFired, events.append)
    return events


def types(bus: RecordedBus) -> list[str]:
    return [event.event_type for event in bus.store.read()]


def test_a_timer_fires_in_the_loop_at_its_time() -> None:
    async def work() -> None:
        bus = open_bus("memory://", clock=virtual_time.VirtualWall(EPOCH))
        events = fired(bus)
        late, early = bus.set_timer(EPOCH + 2 * HOUR, "late"), bus.set_timer(EPOCH + HOUR, "early", owner="me")
        await asyncio.sleep(3_600)
        await asyncio.sleep(0)
        [event] = events
        assert (event.name, event.owner, event.timer_id, event.ts, event.ts_ingress) == (
            "early", "me", early, EPOCH + HOUR, EPOCH + HOUR,
        )  # fmt: skip
        assert bus.timers == (late,)
        await asyncio.sleep(7_200)
        assert [event.name for event in events] == ["early", "late"]
        assert types(bus) == ["timer.set", "timer.set", "timer.fired", "timer.fired"]
        await close_bus(bus)

    virtual_time.run(work())


def test_a_timer_that_a_handler_sets_fires_and_is_caused_by_it() -> None:
    async def work() -> None:
        bus = open_bus("memory://", clock=virtual_time.VirtualWall(EPOCH))
        events = fired(bus)
        bus.subscribe(Ping, lambda _: bus.set_timer(EPOCH + HOUR, "after") and None)
        bus.publish(Ping())
        await asyncio.sleep(3_601)
        [event] = events
        assert event.causation_id == "1"
        await close_bus(bus)

    virtual_time.run(work())


def test_a_timer_can_be_set_in_an_edge_and_cancelled() -> None:
    async def work() -> None:
        bus = open_bus("memory://", clock=virtual_time.VirtualWall(EPOCH))
        events = fired(bus)

        async def edge(_: Ping) -> None:
            bus.set_timer(EPOCH + HOUR, "kept")
            bus.cancel_timer(bus.set_timer(EPOCH + HOUR, "cancelled"))

        bus.subscribe(Ping, edge)
        bus.publish(Ping())
        await asyncio.sleep(3_601)
        assert [event.name for event in events] == ["kept"]
        assert types(bus) == ["test.ping", "timer.set", "timer.set", "timer.cancelled", "timer.fired"]
        assert [event.causation_id for event in bus.store.read(TapeQuery(types=("timer.set",)))] == ["1", "1"]
        await close_bus(bus)

    virtual_time.run(work())


def test_without_a_loop_a_timer_fires_before_the_next_input_or_in_run_pending() -> None:
    clock = HandClock()
    bus = open_bus("memory://", clock=clock)
    fired(bus)
    bus.set_timer(EPOCH + 10, "a")
    bus.publish(Ping())
    clock.now += 20
    bus.publish(Ping())
    bus.set_timer(EPOCH + 30, "b")
    clock.now += 20
    bus.run_pending()
    assert types(bus) == ["timer.set", "test.ping", "timer.fired", "test.ping", "timer.set", "timer.fired"]
    late = list(bus.store.read(TapeQuery(types=("timer.fired",))))
    assert [(event.ts - EPOCH, event.ts_ingress - EPOCH) for event in late] == [(10, 20), (30, 40)]
    bus.close_tape()


def test_a_repeated_timer_without_delay_does_not_block_the_loop() -> None:
    async def work() -> None:
        bus = open_bus("memory://", clock=virtual_time.VirtualWall(EPOCH))
        bus.subscribe(TimerFired, lambda _: bus.set_timer(EPOCH, "again") and None)
        bus.set_timer(EPOCH, "again")
        for _ in range(20):
            await asyncio.sleep(0)
        assert 5 < types(bus).count("timer.fired") < 25
        await close_bus(bus)
        count = len(types(bus))
        await asyncio.sleep(0)
        assert len(types(bus)) == count

    virtual_time.run(work())


@pytest.mark.parametrize("tape_format", ["sqlite", "jsonl"])
def test_a_timer_survives_a_restart(tmp_path: Path, tape_format: str) -> None:
    clock = HandClock()
    bus = open_bus(tmp_path / "tape", tape_format=tape_format, clock=clock)
    first = bus.set_timer(EPOCH + HOUR, "kept")
    bus.cancel_timer(bus.set_timer(EPOCH + HOUR, "cancelled"))
    bus.set_timer(EPOCH + 1, "fired")
    clock.now += 2
    bus.run_pending()
    bus.close_tape()

    clock.now += 2 * HOUR
    bus = open_bus(tmp_path / "tape", clock=clock)
    events = fired(bus)
    assert bus.timers == (first,)
    bus.publish(Ping())
    assert [(event.name, event.timer_id) for event in events] == [("kept", first)]
    assert bus.set_timer(EPOCH, "new") not in (-3, -2, -1)
    bus.close_tape()


def test_a_paused_bus_fires_its_timers_when_it_resumes() -> None:
    clock = HandClock()
    bus = open_bus("memory://", clock=clock)
    events = fired(bus)
    bus.set_timer(EPOCH + 10, "a")
    bus.pause()
    clock.now += 20
    bus.run_pending()
    assert events == []
    bus.resume()
    assert [event.name for event in events] == ["a"]
    bus.close_tape()


def test_a_closed_bus_sets_no_timer() -> None:
    bus = open_bus("memory://")
    bus.close_tape()
    with pytest.raises(TickdeckError, match="closed"):
        bus.set_timer(EPOCH, "late")


def test_an_invalid_clock_is_refused() -> None:
    with pytest.raises(ConfigError, match="clock"):
        open_bus("memory://", clock=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("tape_format", ["sqlite", "jsonl"])
def test_a_program_with_timers_is_proven(tmp_path: Path, tape_format: str) -> None:
    """Timers of handlers and of the program, fired and cancelled in either, before and after a restart."""

    def wire(bus: Kernel) -> None:
        set_by_handler: list[int] = []

        def on_ping(ping: Ping) -> None:
            if ping.n == 9:
                for timer in bus.timers:
                    bus.cancel_timer(timer)
            else:
                set_by_handler.append(bus.set_timer(EPOCH + ping.n, f"handler-{ping.n}"))

        bus.subscribe(Ping, on_ping)
        bus.subscribe(TimerFired, lambda event: bus.publish(Ping(n=9)) and None if event.name == "last" else None)

    clock = HandClock()
    for start in range(2):
        bus = open_bus(tmp_path / "tape", tape_format=tape_format if not start else None, clock=clock)
        wire(bus)
        bus.set_timer(EPOCH + 5, "program")
        for n in (1, 2, 1_000):
            clock.now += 3
            bus.publish(Ping(n=n))
        bus.cancel_timer(bus.set_timer(EPOCH + 7, "never"))
        bus.set_timer(clock.now, "last")
        bus.run_pending()
        bus.set_timer(clock.now + 1, "over the restart")
        bus.close_tape()

    verdict = verify_bus(tmp_path / "tape", wire)
    assert verdict.identical, verdict.divergence
