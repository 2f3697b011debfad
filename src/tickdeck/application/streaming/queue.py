"""The queue between a socket and the ingress: bounded, in order, fair, with a policy for what does not fit."""

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
    """The queue takes nothing more, or nothing is left in it and nothing will come."""


class QueueStatistics(BufferStatistics, frozen=True, kw_only=True):
    """Those of the buffer, and: ``putters`` and ``getters`` that wait now; ``blocked_ns``, how long putters waited
    (those that wait still are not in it; 0 where there is no clock)."""

    putters: int
    getters: int
    blocked_ns: int
    closed: bool


class BoundedAsyncQueue(Generic[T]):
    """At most ``capacity`` items on their way from putters to getters of one event loop; each goes to one getter.

    Order: items come out as they went in (``Conflate``: a newer one in the place of the one that it replaces). Putters
    have their turn in the order in which they came, and so have getters: who comes later overtakes nobody who waits.

    Cancellation: a ``put`` that was cancelled has put nothing, a ``get`` that was cancelled has taken nothing.

    Neither yields to the event loop unless it has to wait. So a putter under any policy but ``Block`` never does: in a
    long loop of puts, give the getters a turn now and then (``await asyncio.sleep(0)``).

    How to choose ``capacity``: what comes in the longest time for which the getters may be busy elsewhere; more only
    makes what they get older. ``clock`` measures ``blocked_ns``. Not thread-safe: from another thread use
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
        """Nothing more is taken; something may still wait to be got."""
        return self._closed

    async def put(self, item: T) -> T | None:
        """Put an item; under ``Block`` wait for room, behind those who wait already. Returns the item that was lost for
        it, ``None`` where none was.

        Raises ``QueueClosed`` where the queue is closed, or is closed while this waits; ``BufferHalted`` where it runs
        over under ``Halt``, which closes it; ``ConfigError`` where a lossy policy is given what is no market data.
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
        """``put`` for who cannot wait: raises ``BufferFull`` where under ``Block`` it would have to."""
        if self._blocks and not self._closed and self._putters and not self._buffer.full:
            raise self._buffer.refuse(item)  # the room that there is belongs to those who wait
        return self._put(item)

    def _put(self, item: T) -> T | None:
        if self._closed:
            raise QueueClosed("the queue is closed: it takes nothing more")
        try:
            lost = self._buffer.put(item)
        except BufferHalted as error:
            self.close(error)
            raise
        self._settle()
        return lost

    async def get(self) -> T:
        """The item that has waited longest; waits for one, behind those who wait already.

        When the queue is closed and nothing is left in it: raises the error that it was closed with, or
        ``QueueClosed``.
        """
        if (self._getters or not self._buffer) and (self._ended or not await self._turn(self._getters)):
            raise self._error or QueueClosed("the queue is closed, and nothing is left in it")
        item = self._buffer.get()
        self._settle()
        return item

    def __aiter__(self) -> BoundedAsyncQueue[T]:
        return self

    async def __anext__(self) -> T:
        """``get``; the iteration ends where the queue is closed and empty, with the error that it was closed with."""
        try:
            return await self.get()
        except QueueClosed:
            raise StopAsyncIteration from None

    def close(self, error: Exception | None = None) -> None:
        """Take nothing more. What waits can still be got; after it, iterations end and ``get`` raises ``QueueClosed``,
        or both raise ``error``. A ``put`` that waits raises ``QueueClosed``. Closing twice is harmless: the first
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
        """Wait in ``line``. True: it is our turn, and what it is for is there. False: it will never be."""
        waiter = asyncio.get_running_loop().create_future()
        line.waiting.append(waiter)
        try:
            ours: bool = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                line.given -= waiter.result()  # a turn that was ours, and that we do not take: on to the next
                self._settle()
            elif waiter in line.waiting:
                line.waiting.remove(waiter)
            raise
        line.given -= ours
        return ours

    def _settle(self) -> None:
        """Something changed: give the turns that can be given now."""
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
        buffer = self._buffer.statistics()
        return QueueStatistics(
            **{field: getattr(buffer, field) for field in buffer.__struct_fields__},
            putters=len(self._putters),
            getters=len(self._getters),
            blocked_ns=self._blocked_ns,
            closed=self._closed,
        )


class _Line:
    """Tasks that wait for their turn. A turn that was given is the task's until it runs; meanwhile nobody overtakes it,
    and when it is cancelled first, the turn goes to the next."""

    __slots__ = ("given", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[bool]] = deque()
        self.given = 0

    def __len__(self) -> int:
        return len(self.waiting) + self.given

    def give(self, room: int) -> None:
        """Give turns as long as there are fewer than ``room`` out."""
        while self.waiting and self.given < room:
            waiter = self.waiting.popleft()
            if not waiter.done():  # cancelled, and did not run since
                waiter.set_result(True)
                self.given += 1

    def dismiss(self) -> None:
        """There will be no more turns."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(False)
