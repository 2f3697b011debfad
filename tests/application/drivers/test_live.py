"""The driver on the wall clock: the order of inputs, turns of other tasks, and the end of a live run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import cast

import pytest
import virtual_time
from application_kit import BTC, MS, SECOND, START, MemoryTape, trade
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.application.drivers import LiveAgenda, LiveDriver
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import Frame
from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    RunStarted,
    TimerFired,
    TradeEvent,
)


class Rig:
    """A live run whose frames are prices, on virtual time."""

    def __init__(self, *, duration: int | None = SECOND, capacity: int = 100) -> None:
        self.log: list[str] = []
        self.recorded: list[Frame] = []
        self.tape = MemoryTape()
        self.agenda = LiveAgenda()
        self.wall = VirtualWall(START)
        self.kernel = Kernel(tape=self.tape, agenda=self.agenda, wall_now=self.wall.time_ns)
        self.kernel.subscribe(TradeEvent, lambda e: self.log.append(f"trade {e.price}"))
        self.kernel.subscribe(TimerFired, lambda e: self.log.append(f"timer {e.name}"))
        self.kernel.subscribe(CommandReceived, lambda e: self.log.append(f"command {e.command}"))
        self.frames: BoundedAsyncQueue[Frame] = BoundedAsyncQueue(capacity)
        self.driver = LiveDriver(
            self.kernel,
            self.agenda,
            self.frames,
            wall=self.wall,
            started=RunStarted(symbols=(BTC,)),
            record=self.recorded.append,
            decode=lambda frame: [trade(price.decode(), ts=frame[0]) for price in frame[1].split()],
            on_market=lambda event: self.log.append("venue sees"),
            begin=lambda ts: None,
            feed="test",
            duration=duration,
        )

    def put(self, price: str, *, at: int | None = None) -> None:
        self.frames.put_nowait(Frame(self.wall.time_ns() if at is None else at, price.encode()))

    def run(self, work: Callable[[], Awaitable[None]] | None = None) -> Rig:
        async def both() -> None:
            await self.driver.begin()
            task = asyncio.create_task(self.driver.run())
            if work is not None:
                await work()
            await task

        virtual_time.run(both())
        return self

    @property
    def types(self) -> list[str]:
        return [event.event_type for event in self.tape.events]


def test_a_frame_is_recorded_and_seen_by_the_venue_before_the_core_has_its_events() -> None:
    rig = Rig()

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.put("1 2")

    rig.run(work)

    assert rig.log == ["venue sees", "trade 1", "venue sees", "trade 2"]
    assert rig.recorded == [(START + 100 * MS, b"1 2")]


def test_market_events_are_gaps_on_the_tape_because_the_frames_contain_them() -> None:
    rig = Rig()

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.put("1")

    rig.run(work)

    assert rig.types == ["run.started", "feed.connected", "feed.disconnected", "run.stopped"]
    assert [event.seq for event in rig.tape.events] == [1, 2, 4, 5]


def test_a_timer_fires_on_time_without_any_frame() -> None:
    rig = Rig()
    fired: list[int] = []
    rig.kernel.subscribe(TimerFired, lambda e: fired.append(rig.wall.time_ns()))

    async def work() -> None:
        await asyncio.sleep(0.05)  # the driver waits already, until something later
        rig.kernel.set_timer(START + 70 * MS, "soon")

    rig.run(work)

    assert fired == [START + 70 * MS]


def test_actions_due_when_a_frame_arrived_run_before_it() -> None:
    rig = Rig()

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.kernel.set_timer(START + 99 * MS, "before")
        rig.kernel.set_timer(START + 100 * MS, "at the same time")
        rig.kernel.set_timer(START + 101 * MS, "after")
        rig.put("1")

    rig.run(work)

    assert rig.log == ["timer before", "timer at the same time", "venue sees", "trade 1", "timer after"]


def test_a_clock_that_is_set_back_does_not_set_the_run_back() -> None:
    rig = Rig()

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.put("1")
        rig.put("2", at=START - 3_600 * SECOND)

    rig.run(work)

    times = [event.ts_ingress for event in rig.tape.events]
    assert rig.log.count("trade 2") == 1
    assert times == sorted(times)


def test_a_command_is_taken_while_frames_never_end() -> None:
    rig = Rig(duration=None, capacity=10)
    loop: VirtualLoop

    async def flood() -> None:
        for _ in range(10_000):
            if rig.log and "command" in rig.log[-1]:
                break
            await rig.frames.put(Frame(rig.wall.time_ns(), b"1"))
            loop.now_ns += 500_000
        rig.driver.request_stop()

    async def work() -> None:
        nonlocal loop
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        task = asyncio.create_task(flood())
        for _ in range(50):
            await asyncio.sleep(0)
        rig.kernel.publish(CommandReceived(command="halt"))
        await task

    rig.run(work)

    assert "command halt" in rig.log


def test_a_stopped_run_has_no_end_event_and_an_ended_one_does() -> None:
    stopped = Rig(duration=None)

    async def work() -> None:
        await asyncio.sleep(0.3)
        stopped.driver.request_stop()

    stopped.run(work)
    ended = Rig().run()

    assert "run.stopped" not in stopped.types
    assert not stopped.driver.completed
    assert ended.types[-1] == "run.stopped"
    assert ended.driver.completed


def test_a_run_that_is_stopped_while_timers_are_due_does_not_take_the_frame_behind_them() -> None:
    rig = Rig(duration=None)
    rig.kernel.subscribe(TimerFired, lambda e: rig.driver.request_stop())

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.kernel.set_timer(START + 98 * MS, "first")
        rig.kernel.set_timer(START + 99 * MS, "second")
        rig.put("1")

    rig.run(work)

    assert rig.log == ["timer first"]
    assert rig.recorded == []


def test_the_error_with_which_the_feed_ended_ends_the_run() -> None:
    rig = Rig(duration=None)

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.frames.close(OSError("the feed is gone"))

    with pytest.raises(OSError, match="the feed is gone"):
        rig.run(work)


def test_money_is_exact_whatever_the_context_of_the_caller() -> None:
    rig = Rig()
    seen: list[Decimal] = []
    rig.kernel.subscribe(TradeEvent, lambda e: seen.append(e.price / 3))

    async def work() -> None:
        await asyncio.sleep(0.1)
        rig.put("1")

    rig.run(work)

    assert len(str(seen[0])) > 28


def test_a_published_input_has_the_time_at_which_it_was_published() -> None:
    rig = Rig()

    async def work() -> None:
        await asyncio.sleep(0.25)
        rig.kernel.publish(CommandReceived(command="halt"))

    rig.run(work)
    found: list[DomainEvent] = [event for event in rig.tape.events if isinstance(event, CommandReceived)]

    assert [event.ts_ingress for event in found] == [START + 250 * MS]
