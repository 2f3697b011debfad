"""An async handler's mailbox: bounded, in order, and opened only for events that are on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TickdeckError

__all__ = ["HANDLED", "Mailbox", "MailboxFull"]

HANDLED: ContextVar[DomainEvent | None] = ContextVar("tickdeck_handled", default=None)
"""The event that the running async handler was given: the cause of what it publishes."""


class MailboxFull(TickdeckError):
    """An edge fell behind by a whole mailbox, and an event could not be handed to it."""


class Mailbox:
    """Events on their way to one async handler, which gets them one at a time, in order.

    An event is released to the handler when all that the tape held as it was put here is durable: that one rule
    makes the mailbox an outbox. Where the tape fails, nothing more is released, and ``drain`` raises what it raised.
    Without a running event loop the events wait until there is one.

    ``busy`` is where a mailbox enters itself while it has work.
    """

    def __init__(
        self,
        *,
        capacity: int,
        position: Callable[[], int],
        wait_durable: Callable[[int], Awaitable[None]],
        busy: dict[Mailbox, None],
    ) -> None:
        self._capacity = capacity
        self._position = position
        self._wait_durable = wait_durable
        self._waiting: deque[tuple[DomainEvent, int]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._busy = busy
        self.handler: Callable[[], Callable[[Any], Awaitable[Any]] | None] = lambda: None
        """Gives the async handler; ``None`` where it was held weakly and is gone."""
        self.failed: Callable[[DomainEvent, Exception], None] = lambda event, error: None
        """Is told of each event on which the handler raised."""

    def put(self, event: DomainEvent) -> None:
        """Raises ``MailboxFull`` where ``capacity`` events wait already."""
        if len(self._waiting) >= self._capacity:
            raise MailboxFull(f"the mailbox holds {self._capacity} events already; the handler is too slow or stuck")
        self._waiting.append((event, self._position()))
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
        while self._waiting:
            event, position = self._waiting[0]
            await self._wait_durable(position)
            HANDLED.set(event)
            handler = self.handler()
            try:
                if handler is not None:
                    await handler(event)
            except Exception as error:  # noqa: BLE001 (told by the bus as a failed handler)
                self.failed(event, error)
            finally:
                self._waiting.popleft()
                if not self._waiting:
                    self._busy.pop(self, None)

    async def drain(self) -> None:
        """Return when nothing waits and the handler is idle."""
        while self._waiting:
            self._wake()
            assert self._task is not None
            await asyncio.shield(self._task)
