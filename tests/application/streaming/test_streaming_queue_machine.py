"""The bounded queue under any sequence of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from queue_kit import turns

from tickdeck.application.bus.overflow import BufferFull
from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.application.streaming.queue import QueueClosed


class QueueMachine(RuleBasedStateMachine):
    """Putters and getters arrive, wait, are cancelled and get turns, in any order, until the queue is closed."""

    @initialize(capacity=st.integers(1, 3))
    def start(self, capacity: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.capacity = capacity
        self.queue: BoundedAsyncQueue[int] = BoundedAsyncQueue(capacity)
        self.number = 0
        self.putters: list[tuple[int, asyncio.Task[None]]] = []
        self.getters: list[asyncio.Task[None]] = []
        self.put: list[int] = []
        """The item that put() accepted."""
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
        """An item arrives for the first getter, which is cancelled before it runs."""
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
    """The same, but turns are only given by a rule, so more happens between two turns."""

    @invariant()
    def every_turn_that_can_be_had_is_had(self) -> None:
        """Not checked before it had the chance to run."""


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(stateful_step_count=30)
TestQueueWithFewTurns = LazyQueueMachine.TestCase
TestQueueWithFewTurns.settings = settings(stateful_step_count=30)
