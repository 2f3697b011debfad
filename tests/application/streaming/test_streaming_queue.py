"""The bounded queue: in order, fair, and nothing lost or doubled whoever is cancelled or closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from application_kit import Ping, trade
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tickdeck.application.bus import Block, BufferHalted, Conflate, DropOldest, Halt
from tickdeck.application.bus.overflow import BufferFull
from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.application.streaming.queue import QueueClosed
from tickdeck.errors import ConfigError, InputError


async def turns(count: int = 5) -> None:
    """Give every task that can go on a turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(10):  # a test that would hang fails instead
            await main()

    asyncio.run(timed())


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


def test_who_waits_longest_to_put_has_the_next_turn_and_nobody_overtakes() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[str] = BoundedAsyncQueue(1)
        await queue.put("first")
        putters = [asyncio.create_task(queue.put(name)) for name in ("a", "b")]
        await turns()

        assert await queue.get() == "first"
        with pytest.raises(BufferFull):
            queue.put_nowait("late")  # the room is a's, which has not run yet
        putters.append(asyncio.create_task(queue.put("c")))

        assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]
        assert queue.statistics().refused == {"str": 1}
        await asyncio.gather(*putters)

    run(main)


def test_a_put_in_the_moment_between_a_turn_given_and_taken_goes_to_the_end_of_the_line() -> None:
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


def test_who_waits_longest_to_get_has_the_next_item_and_nobody_overtakes() -> None:
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


def test_put_nowait_refuses_where_it_would_have_to_wait() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        queue.put_nowait(1)

        with pytest.raises(BufferFull):
            queue.put_nowait(2)

        assert await queue.get() == 1

    run(main)


def test_the_time_that_putters_waited_is_measured_by_the_clock_that_was_given() -> None:
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


def test_a_lossy_queue_refuses_what_is_no_market_data_and_goes_on() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[Any] = BoundedAsyncQueue(2, DropOldest())

        with pytest.raises(ConfigError, match="lose nothing"):
            await queue.put(Ping())
        await queue.put(trade("1"))

        assert await queue.get() == trade("1")

    run(main)


def test_halt_ends_the_queue_with_an_error_for_both_sides_after_what_waits() -> None:
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


# -- closing ----------------------------------------------------------------------------------------------------------


def test_closing_lets_what_waits_be_taken_then_ends_every_iteration() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(3)
        for n in range(3):
            queue.put_nowait(n)
        heard: list[int] = []

        async def hear() -> None:
            async for n in queue:
                heard.append(n)
                await asyncio.sleep(0)

        hearers = [asyncio.create_task(hear()) for _ in range(2)]
        queue.close()
        queue.close(RuntimeError("the first close counts"))
        await asyncio.gather(*hearers)

        assert heard == [0, 1, 2]
        with pytest.raises(QueueClosed):
            await queue.get()
        with pytest.raises(QueueClosed):
            queue.put_nowait(4)

    run(main)


def test_closing_ends_those_who_wait_on_either_side() -> None:
    async def main() -> None:
        full: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        empty: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        full.put_nowait(1)
        waiting = [asyncio.create_task(step) for step in (full.put(2), full.put(3), empty.get(), empty.get())]
        await turns()

        full.close()
        empty.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(end) for end in ends] == [QueueClosed] * 4
        assert await full.get() == 1

    run(main)


def test_a_putter_whose_turn_came_as_the_queue_was_closed_puts_nothing() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        queue.put_nowait(1)
        putter = asyncio.create_task(queue.put(2))
        await turns()

        await queue.get()
        queue.close()

        with pytest.raises(QueueClosed):
            await putter
        with pytest.raises(QueueClosed):
            await queue.get()

    run(main)


def test_closing_with_an_error_tells_it_after_what_waits_also_to_who_waits() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(2)
        waiting: BoundedAsyncQueue[int] = BoundedAsyncQueue(2)
        getter = asyncio.create_task(waiting.get())
        await turns()
        queue.put_nowait(1)

        queue.close(InputError("line 7"))
        waiting.close(InputError("line 8"))

        assert await queue.get() == 1
        with pytest.raises(InputError, match="line 7"):
            await anext(queue)
        with pytest.raises(InputError, match="line 8"):
            await getter

    run(main)


# -- cancelling -------------------------------------------------------------------------------------------------------


def test_a_getter_cancelled_when_its_item_was_there_leaves_it_to_the_next() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(2)
        first, second = (asyncio.create_task(queue.get()) for _ in range(2))
        await turns()

        queue.put_nowait(1)  # first's, which has not run yet
        first.cancel()
        await turns()

        assert first.cancelled()
        assert await second == 1

    run(main)


def test_a_putter_cancelled_when_there_was_room_for_it_has_put_nothing_and_the_next_has() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        queue.put_nowait(0)
        first, second = (asyncio.create_task(queue.put(n)) for n in (1, 2))
        await turns()

        assert await queue.get() == 0
        first.cancel()
        await turns()

        assert first.cancelled()
        assert second.done()
        assert await queue.get() == 2

    run(main)


def test_who_was_cancelled_and_did_not_run_since_is_passed_over() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        first, second, third = (asyncio.create_task(queue.get()) for _ in range(3))
        await turns()

        first.cancel()
        queue.put_nowait(1)
        third.cancel()
        queue.close()
        ends = await asyncio.gather(first, second, third, return_exceptions=True)

        assert ends[1] == 1
        assert first.cancelled()
        assert third.cancelled()

    run(main)


def test_a_waiter_cancelled_just_before_the_end_is_passed_over_by_it() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        getters = [asyncio.create_task(queue.get()) for _ in range(2)]
        await turns()

        getters[0].cancel()
        queue.close()
        ends = await asyncio.gather(*getters, return_exceptions=True)

        assert [type(end) for end in ends] == [asyncio.CancelledError, QueueClosed]

    run(main)


def test_a_get_that_ran_out_of_time_has_taken_nothing() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await queue.get()

        queue.put_nowait(1)

        assert await queue.get() == 1
        assert queue.statistics().getters == 0

    run(main)


def test_a_closed_queue_hands_the_item_of_a_cancelled_getter_to_one_that_waits() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        first, second, third = (asyncio.create_task(queue.get()) for _ in range(3))
        await turns()
        queue.put_nowait(1)
        queue.close()
        first.cancel()

        ends = await asyncio.gather(first, second, third, return_exceptions=True)

        assert ends[1] == 1
        assert [type(ends[0]), type(ends[2])] == [asyncio.CancelledError, QueueClosed]

    run(main)


def test_a_consumer_that_raises_ends_its_own_loop_and_another_goes_on_where_it_stopped() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(5)
        for n in range(4):
            queue.put_nowait(n)
        queue.close()

        async def hear() -> None:
            async for n in queue:
                if n == 1:
                    raise ValueError(n)

        with pytest.raises(ValueError, match="1"):
            await hear()

        assert [n async for n in queue] == [2, 3]

    run(main)


# -- any order of calls ---------------------------------------------------------------------------------------------


class QueueMachine(RuleBasedStateMachine):
    """Putters and getters come, wait, are cancelled and get turns, in any order, until the queue is closed."""

    @initialize(capacity=st.integers(1, 3))
    def start(self, capacity: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.capacity = capacity
        self.queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(capacity)
        self.number = 0
        self.putters: list[tuple[int, asyncio.Task[None]]] = []
        self.getters: list[asyncio.Task[None]] = []
        self.put: list[int] = []
        """What was put, as put() returned."""
        self.got: list[int] = []
        self.got_by: list[int] = []
        self.closed = False

    def in_loop(self, step: Callable[[], Any]) -> Any:
        async def stepping() -> Any:
            return step()

        return self.loop.run_until_complete(stepping())

    @rule()
    def begin_to_put(self) -> None:
        self.number += 1
        n = self.number

        async def put() -> None:
            await self.queue.put(n)
            self.put.append(n)

        self.putters.append((n, self.in_loop(lambda: asyncio.ensure_future(put()))))

    @rule()
    def put_at_once(self) -> None:
        self.number += 1
        n = self.number
        waiting = [task for _, task in self.putters if not task.done()]

        def step() -> None:
            try:
                self.queue.put_nowait(n)
            except QueueClosed:
                assert self.closed
            except BufferFull:
                assert len(self.queue) == self.capacity or waiting
            else:
                self.put.append(n)

        self.in_loop(step)

    @rule()
    def begin_to_get(self) -> None:
        index = len(self.getters)

        async def get() -> None:
            item = await self.queue.get()
            self.got.append(item)
            self.got_by.append(index)

        self.getters.append(self.in_loop(lambda: asyncio.ensure_future(get())))

    @precondition(lambda self: self.putters or self.getters)
    @rule(data=st.data())
    def cancel_one(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from([*(task for _, task in self.putters), *self.getters]))
        self.in_loop(task.cancel)

    @rule()
    def two_things_at_one_moment(self) -> None:
        """An item comes for the getter in front, and that one is cancelled before it runs."""
        front = next((task for task in self.getters if not task.done()), None)
        self.number += 1
        n = self.number

        def step() -> None:
            try:
                self.queue.put_nowait(n)
            except (BufferFull, QueueClosed):
                return
            self.put.append(n)
            if front is not None:
                front.cancel()

        self.in_loop(step)

    @rule(count=st.integers(1, 4))
    def pass_turns(self, count: int) -> None:
        self.loop.run_until_complete(turns(count))

    @rule()
    def close(self) -> None:
        self.in_loop(self.queue.close)
        self.closed = True

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.queue) <= self.capacity

    @invariant()
    def items_come_out_as_they_went_in(self) -> None:
        assert self.got == self.put[: len(self.got)]

    @invariant()
    def getters_had_their_turn_in_the_order_in_which_they_came(self) -> None:
        assert self.got_by == sorted(self.got_by)

    @invariant()
    def waiting_putters_put_in_the_order_in_which_they_came(self) -> None:
        waited = [n for n, task in self.putters if task.done() and not task.cancelled() and task.exception() is None]
        assert [n for n in self.put if n in waited] == waited

    @invariant()
    def every_turn_that_can_be_had_is_had(self) -> None:
        self.loop.run_until_complete(turns(8))
        statistics = self.queue.statistics()
        assert statistics.getters == sum(not task.done() for task in self.getters)
        assert statistics.putters == sum(not task.done() for _, task in self.putters)
        assert not (statistics.getters and statistics.waiting)
        assert not (statistics.putters and statistics.waiting < self.capacity)
        assert not (self.closed and statistics.putters)
        assert statistics.put == len(self.put)
        assert statistics.got == len(self.got)
        assert self.got == self.put[: len(self.got)]
        assert len(self.put) == len(self.got) + len(self.queue)

    def teardown(self) -> None:
        tasks = [*(task for _, task in self.putters), *self.getters]
        for task in tasks:
            task.cancel()
        if tasks:
            ends = self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            assert all(end is None or isinstance(end, QueueClosed | asyncio.CancelledError) for end in ends)
        assert self.queue.statistics().putters == self.queue.statistics().getters == 0
        self.loop.close()


class LazyQueueMachine(QueueMachine):
    """The same, but turns come only when the rule gives them: more happens between two of them."""

    @invariant()
    def every_turn_that_can_be_had_is_had(self) -> None:
        """Not until it had the chance to run."""


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(stateful_step_count=30)
TestQueueWithFewTurns = LazyQueueMachine.TestCase
TestQueueWithFewTurns.settings = settings(stateful_step_count=30)
