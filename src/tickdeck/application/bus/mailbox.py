"""An async handler's mailbox: bounded, in order, and opened only for events that are on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from operator import itemgetter
from typing import Any

from tickdeck.application.bus.overflow import BufferFull, BufferStatistics, OverflowBuffer, OverflowPolicy
from tickdeck.application.bus.retry import Retry
from tickdeck.domain.events import DomainEvent

__all__ = ["HANDLED", "RUNNING", "Mailbox"]

HANDLED: ContextVar[DomainEvent | None] = ContextVar("tickdeck_handled", default=None)
"""The event that the running async handler was given: the cause of what it publishes."""

RUNNING: ContextVar[Mailbox | None] = ContextVar("tickdeck_running", default=None)
"""The mailbox whose async handler is running, in the handler and in the tasks that it started."""

Sleep = Callable[[float], Awaitable[None]]


class Mailbox:
    """Events on their way to one async handler, which gets them one at a time, in order.

    An event is released to the handler when all that the tape held as it was put here is durable: that one rule
    makes the mailbox an outbox. Where the tape fails, nothing more is released, and ``drain`` raises what it raised.
    Without a running event loop the events wait until there is one. ``overflow`` says what becomes of more than
    ``capacity`` events, ``retry`` how often the handler is tried for one, with ``sleep(seconds)`` in between.

    ``busy`` is where a mailbox enters itself while it has work.
    """

    def __init__(
        self,
        *,
        capacity: int,
        overflow: OverflowPolicy,
        retry: Retry | None,
        sleep: Sleep,
        position: Callable[[], int],
        wait_durable: Callable[[int], Awaitable[None]],
        busy: dict[Mailbox, None],
    ) -> None:
        self._position = position
        self._wait_durable = wait_durable
        self._retry = retry or Retry(attempts=1)
        self._sleep = sleep
        self._waiting: OverflowBuffer[tuple[DomainEvent, int]] = OverflowBuffer(
            capacity, overflow, event_of=itemgetter(0)
        )
        self._next: tuple[DomainEvent, int] | None = None  # taken out, and not done with
        self._task: asyncio.Task[None] | None = None
        self._busy = busy
        self._progress: list[asyncio.Future[None]] = []
        self.retried = 0
        self.running_over = False
        """An event found no room, and none has since: that it runs over is told once, then counted."""
        self.handler: Callable[[], Callable[[Any], Awaitable[Any]] | None] = lambda: None
        """Gives the async handler; ``None`` where it was held weakly and is gone."""
        self.failed: Callable[[DomainEvent, Exception, int], None] = lambda event, error, attempts: None
        """Is told of each event on which the handler raised to the last attempt."""
        self.refused: Callable[[DomainEvent], None] = lambda event: None
        """Is given each event for which there was no room."""

    def put(self, event: DomainEvent) -> None:
        """Raises ``BufferFull`` where there is no room and nothing may be lost."""
        try:
            self._waiting.put((event, self._position()))
        except BufferFull:
            self.refused(event)
            raise
        self.running_over = False
        self._busy[self] = None
        self._wake()

    def _wake(self) -> None:
        if self._task is not None and not self._task.done():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # nobody can run it yet; drain() will
        self._task = loop.create_task(self._work())

    async def _work(self) -> None:
        RUNNING.set(self)
        while self._next is not None or len(self._waiting):
            if self._next is None:
                self._next = self._waiting.get()
            event, position = self._next
            await self._wait_durable(position)
            HANDLED.set(event)
            try:
                await self._handle(event)
            finally:
                self._next = None
                if not len(self._waiting):
                    self._busy.pop(self, None)
                self._tell_progress()

    async def _handle(self, event: DomainEvent) -> None:
        for attempt in range(1, self._retry.attempts + 1):
            handler = self.handler()
            if handler is None:
                return
            try:
                result = handler(event)
                if isinstance(result, Awaitable):  # a decorator may have run the coroutine itself
                    await result
            except Exception as error:  # noqa: BLE001 (told by the bus as a failed handler)
                if attempt == self._retry.attempts:
                    self.failed(event, error, attempt)
                    return
                self.retried += 1
                await self._sleep(self._retry.pause(attempt))
            else:
                return

    async def drain(self) -> None:
        """Return when nothing waits and the handler is idle."""
        while self._next is not None or len(self._waiting):
            self._wake()
            assert self._task is not None
            await asyncio.shield(self._task)

    # -- waiting for a part of what it holds ----------------------------------------------------------------------

    @property
    def handling(self) -> bool:
        """The handler was given an event and is not done with it."""
        return self._next is not None

    def is_of(self, busy: dict[Mailbox, None]) -> bool:
        """Whether this mailbox belongs to the bus with this ``busy``."""
        return busy is self._busy

    async def drained(self) -> None:
        """Return when every event that waits now, or is in hand, was handled, or is a dead letter or lost by the
        policy. Raises what the tape raises."""
        taken = self._waiting.statistics().put
        while self._waiting.statistics().put - len(self._waiting) - self.handling < taken:
            self._wake()
            task = self._task
            assert task is not None
            progress = asyncio.get_running_loop().create_future()
            self._progress.append(progress)
            await asyncio.wait((task, progress), return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not progress.done():
                task.result()

    def _tell_progress(self) -> None:
        told, self._progress = self._progress, []
        for progress in told:
            if not progress.done():
                progress.set_result(None)

    def statistics(self) -> BufferStatistics:
        return self._waiting.statistics()
