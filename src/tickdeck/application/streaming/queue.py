"""The queue between a socket and the ingress: bounded, ordered and fair, with a policy for overflow."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from tickdeck.application.bus import Block, BufferHalted, BufferStatistics, OverflowBuffer, OverflowPolicy
from tickdeck.application.clock import WallClock
from tickdeck.errors import TickdeckError

__all__ = ["BoundedAsyncQueue", "QueueClosed", "QueueStatistics"]

T = TypeVar("T")


class QueueClosed(TickdeckError):
    """The queue is closed: it accepts no more items, or it is empty and will stay so."""


class QueueStatistics(BufferStatistics, frozen=True, kw_only=True):
    """The buffer's statistics, plus the ``putters`` and ``getters`` that wait now, and ``blocked_ns``: how long
    putters have waited in total. Putters that still wait are not counted; without a clock it is 0."""

    putters: int
    getters: int
    blocked_ns: int
    closed: bool


class BoundedAsyncQueue(Generic[T]):
    """A queue of at most ``capacity`` items between tasks of one event loop. Each item goes to one getter.

    Order: items come out in the order in which they went in. With ``Conflate``, a newer item takes the place of the one
    that it replaces. Waiting putters are served first come, first served, and so are waiting getters.

    Cancellation: a cancelled ``put`` adds nothing, and a cancelled ``get`` removes nothing.

    ``put`` and ``get`` yield to the event loop only if they have to wait. Under any policy but ``Block``, ``put`` never
    waits: in a long loop of puts, give the getters a turn now and then (``await asyncio.sleep(0)``).

    Choosing ``capacity``: take the number of items that arrive while the getters are busy elsewhere. A larger queue
    only makes the items older. ``clock`` measures ``blocked_ns``. Not thread-safe: from another thread, use
    ``loop.call_soon_threadsafe(queue.put_nowait, item)``.
    """

    def __init__(
        self,
        capacity: int,
        policy: OverflowPolicy = Block(),  # noqa: B008 (frozen)
        *,
        clock: WallClock | None = None,
    ) -> None:
        self._buffer: OverflowBuffer[T] = OverflowBuffer(capacity, policy)
        self._capacity = capacity
        self._blocks = isinstance(policy, Block)
        self._clock = clock
        self._putters = _Line()
        self._getters = _Line()
        self._blocked_ns = 0
        self._closed = False
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def closed(self) -> bool:
        """True after ``close()``: nothing more is accepted, but items may still wait in the queue."""
        return self._closed

    async def put(self, item: T) -> T | None:
        """Add an item. Under ``Block``, wait for room behind the putters that wait already. Returns the item that was
        dropped to make room, or ``None``.

        Raises ``QueueClosed`` if the queue is closed, before or during the wait; ``BufferHalted`` if it overflows under
        ``Halt``, which also closes it; ``ConfigError`` if a lossy policy gets anything but market data.
        """
        if self._blocks and not self._closed and (self._putters or self._buffer.full):
            clock = self._clock
            began = clock.monotonic_ns() if clock is not None else 0
            try:
                await self._turn(self._putters)
            finally:
                if clock is not None:
                    self._blocked_ns += clock.monotonic_ns() - began
        return self._put(item)

    def put_nowait(self, item: T) -> T | None:
        """``put`` without waiting: under ``Block``, raises ``BufferFull`` if there is no room."""
        if self._blocks and not self._closed and self._putters and not self._buffer.full:
            raise self._buffer.refuse(item)  # free places belong to the putters that wait
        return self._put(item)

    def _put(self, item: T) -> T | None:
        if self._closed:
            raise QueueClosed("the queue is closed and accepts no more items")
        try:
            lost = self._buffer.put(item)
        except BufferHalted as error:
            self.close(error)
            raise
        self._settle()
        return lost

    async def get(self) -> T:
        """Return the oldest item. Wait for one behind the getters that wait already.

        If the queue is closed and empty, raises the error given to ``close()``, or ``QueueClosed``.
        """
        if (self._getters or not self._buffer) and (self._ended or not await self._turn(self._getters)):
            raise self._error or QueueClosed("the queue is closed and empty")
        item = self._buffer.get()
        self._settle()
        return item

    def get_nowait(self) -> T | None:
        """Return the oldest item, or ``None`` if there is none that is not promised to a getter that waits."""
        if self._getters or not self._buffer:
            return None
        item = self._buffer.get()
        self._settle()
        return item

    def __aiter__(self) -> BoundedAsyncQueue[T]:
        return self

    async def __anext__(self) -> T:
        """``get``. The iteration ends when the queue is closed and empty; it raises the error given to ``close()``,
        if any."""
        try:
            return await self.get()
        except QueueClosed:
            raise StopAsyncIteration from None

    def close(self, error: Exception | None = None) -> None:
        """Stop accepting items. Waiting items can still be taken. After that, iterations end and ``get`` raises
        ``QueueClosed``, or both raise ``error``. A waiting ``put`` raises ``QueueClosed``. Only the first call
        counts."""
        if self._closed:
            return
        self._closed = True
        self._error = error
        self._settle()

    @property
    def _ended(self) -> bool:
        return self._closed and not self._buffer

    async def _turn(self, line: _Line) -> bool:
        """Wait in ``line``. Returns True when it is this task's turn, False if its turn will never come."""
        waiter = asyncio.get_running_loop().create_future()
        line.waiting.append(waiter)
        try:
            ours: bool = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                line.given -= waiter.result()  # this task will not use its turn: pass it on
                self._settle()
            elif waiter in line.waiting:
                line.waiting.remove(waiter)
            raise
        line.given -= ours
        return ours

    def _settle(self) -> None:
        """Give out turns after a change."""
        if self._getters.waiting:
            self._getters.give(len(self._buffer))
            if self._ended:
                self._getters.dismiss()
        if self._putters.waiting:
            if self._closed:
                self._putters.dismiss()
            else:
                self._putters.give(self._capacity - len(self._buffer))

    def statistics(self) -> QueueStatistics:
        """The counts of the buffer, how many tasks wait, and how long producers were blocked."""
        buffer = self._buffer.statistics()
        return QueueStatistics(
            **{field: getattr(buffer, field) for field in buffer.__struct_fields__},
            putters=len(self._putters),
            getters=len(self._getters),
            blocked_ns=self._blocked_ns,
            closed=self._closed,
        )


class _Line:
    """Tasks that wait for their turn. Once given, a turn belongs to its task until the task runs, so nobody can
    overtake it. If the task is cancelled first, the turn goes to the next one."""

    __slots__ = ("given", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[bool]] = deque()
        self.given = 0

    def __len__(self) -> int:
        return len(self.waiting) + self.given

    def give(self, room: int) -> None:
        """Give out turns until ``room`` of them are pending."""
        while self.waiting and self.given < room:
            waiter = self.waiting.popleft()
            if not waiter.done():  # cancelled before it ran
                waiter.set_result(True)
                self.given += 1

    def dismiss(self) -> None:
        """End the line: no more turns will be given."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(False)
