"""The bounded queue: backpressure, fairness, and the overflow policies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from application_kit import Ping, trade
from queue_kit import run, turns

from tickdeck.application.bus import Block, BufferHalted, Conflate, DropOldest, Halt
from tickdeck.application.bus.overflow import BufferFull
from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.application.streaming.queue import QueueClosed
from tickdeck.errors import ConfigError


class TickingClock:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a queue does not sleep")


# -- Block ------------------------------------------------------------------------------------------------------------


def test_a_putter_waits_for_room_and_nothing_is_lost() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(2)

        async def put_all() -> None:
            for n in range(10):
                await queue.put(n)
            queue.close()

        putter = asyncio.create_task(put_all())
        await turns()
        assert (len(queue), queue.statistics().putters) == (2, 1)

        assert [n async for n in queue] == list(range(10))
        await putter
        statistics = queue.statistics()
        assert (statistics.put, statistics.got, statistics.lost, statistics.high_water) == (10, 10, 0, 2)

    run(main)


def test_putters_are_served_first_come_first_served() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[str] = BoundedAsyncQueue(1)
        await queue.put("first")
        putters = [asyncio.create_task(queue.put(name)) for name in ("a", "b")]
        await turns()

        assert await queue.get() == "first"
        with pytest.raises(BufferFull):
            queue.put_nowait("late")  # the room belongs to a, which has not run yet
        putters.append(asyncio.create_task(queue.put("c")))

        assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]
        assert queue.statistics().refused == {"str": 1}
        await asyncio.gather(*putters)

    run(main)


def test_a_put_between_a_given_and_a_taken_turn_joins_the_end_of_the_line() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[str] = BoundedAsyncQueue(1)
        await queue.put("first")
        putters = [asyncio.create_task(queue.put(name)) for name in ("a", "b")]
        await turns()
        heard: list[str] = []

        async def hear() -> None:
            while len(heard) < 3:
                heard.append(await queue.get())

        await queue.get()  # a has the turn now, but has not run
        hearer = asyncio.create_task(hear())
        await queue.put("c")
        await asyncio.gather(hearer, *putters)

        assert heard == ["a", "b", "c"]

    run(main)


def test_getters_are_served_first_come_first_served() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(5)
        got: list[tuple[str, int]] = []

        async def get(name: str) -> None:
            got.append((name, await queue.get()))

        getters = [asyncio.create_task(get(name)) for name in "ab"]
        await turns()
        for n in range(3):
            queue.put_nowait(n)
        await get("c")  # runs before a and b do, and has to wait its turn all the same
        await asyncio.gather(*getters)

        assert got == [("a", 0), ("b", 1), ("c", 2)]

    run(main)


def test_put_nowait_raises_instead_of_waiting() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        queue.put_nowait(1)

        with pytest.raises(BufferFull):
            queue.put_nowait(2)

        assert await queue.get() == 1

    run(main)


def test_the_waiting_time_of_putters_is_measured_by_the_given_clock() -> None:
    async def main() -> None:
        clock = TickingClock()
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1, Block(), clock=clock)
        await queue.put(1)
        waiting, cancelled = (asyncio.create_task(queue.put(n)) for n in (2, 3))
        await turns()
        clock.now = 70
        await queue.get()
        await waiting
        clock.now = 100
        cancelled.cancel()
        await turns()

        assert queue.statistics().blocked_ns == 70 + 100

    run(main)


# -- the other policies ---------------------------------------------------------------------------------------------


def test_a_lossy_queue_never_waits_and_counts_what_it_lost() -> None:
    async def main() -> None:
        dropping: BoundedAsyncQueue[Any] = BoundedAsyncQueue(2, DropOldest())
        conflating: BoundedAsyncQueue[Any] = BoundedAsyncQueue(2, Conflate(key="symbol"))
        for queue in (dropping, conflating):
            for price in "1234":
                await queue.put(trade(price))
            queue.close()

        assert [str(event.price) async for event in dropping] == ["3", "4"]
        assert [str(event.price) async for event in conflating] == ["4"]
        assert dropping.statistics().dropped == {"market.trade": 2}
        assert conflating.statistics().conflated == {"market.trade": 3}

    run(main)


def test_a_lossy_queue_refuses_other_events_than_market_data_and_continues() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[Any] = BoundedAsyncQueue(2, DropOldest())

        with pytest.raises(ConfigError, match="lose nothing"):
            await queue.put(Ping())
        await queue.put(trade("1"))

        assert await queue.get() == trade("1")

    run(main)


def test_halt_ends_the_queue_with_an_error_for_both_sides_after_waiting_items() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[Ping] = BoundedAsyncQueue(1, Halt())
        await queue.put(Ping(n=1))
        with pytest.raises(BufferHalted):
            await queue.put(Ping(n=2))

        assert await anext(queue) == Ping(n=1)
        with pytest.raises(BufferHalted):
            await anext(queue)
        with pytest.raises(QueueClosed):
            await queue.put(Ping(n=3))
        assert queue.statistics().halted

    run(main)
