"""A bounded queue that is closed, and producers and consumers that are cancelled."""

from __future__ import annotations

import asyncio

import pytest
from queue_kit import run, turns

from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.application.streaming.queue import QueueClosed
from tickdeck.errors import InputError


def test_after_closing_waiting_items_can_be_taken_then_iterations_end() -> None:
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


def test_closing_ends_waiting_putters_and_getters() -> None:
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


def test_closing_with_an_error_raises_it_after_the_waiting_items() -> None:
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


def test_a_cancelled_getter_leaves_its_item_to_the_next() -> None:
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


def test_a_cancelled_putter_adds_nothing_and_the_next_one_does() -> None:
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


def test_a_cancelled_waiter_that_has_not_run_is_skipped() -> None:
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


def test_a_waiter_cancelled_just_before_the_end_is_skipped_by_it() -> None:
    async def main() -> None:
        queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(1)
        getters = [asyncio.create_task(queue.get()) for _ in range(2)]
        await turns()

        getters[0].cancel()
        queue.close()
        ends = await asyncio.gather(*getters, return_exceptions=True)

        assert [type(end) for end in ends] == [asyncio.CancelledError, QueueClosed]

    run(main)


def test_a_get_that_timed_out_has_taken_nothing() -> None:
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


def test_a_consumer_that_raises_ends_its_loop_and_another_continues() -> None:
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
