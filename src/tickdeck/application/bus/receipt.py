"""What a publisher gets back: a receipt that says how far the event has come."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, Protocol

from tickdeck.errors import ConfigError, TickdeckError

__all__ = ["HeldReceipt", "Receipt", "ReceiptBus"]


class ReceiptBus(Protocol):
    """What a receipt asks its bus."""

    def _position(self) -> int: ...

    async def _wait_durable(self, position: int) -> None: ...

    async def _wait_handled(self) -> None: ...

    def _is_owner(self) -> bool: ...


class Receipt:
    """What ``publish`` returns. It is about the event that was published.

    - ``await receipt``: the event was dispatched, so every plain handler has run.
    - ``await receipt.durable()``: it is on disk. At once on a bus without a tape. Raises ``TapeError`` where the tape
      failed.
    - ``await receipt.handled()``: every async handler has handled what its mailbox held at the call, or left a dead
      letter. Raises ``ConfigError`` inside an async handler, which would wait for itself.

    A cascade runs to its end before any coroutine gets a turn. So most events share one receipt a bus, which has
    nothing to wait for at its first stage. An event that is held (a pause, a batch, another thread) has a
    ``HeldReceipt`` of its own.
    """

    __slots__ = ("_bus",)

    def __init__(self, bus: ReceiptBus) -> None:
        self._bus = bus

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    async def durable(self) -> None:
        """Wait until the event, and all published before this call, is on disk."""
        await self._bus._wait_durable(self._bus._position())

    async def handled(self) -> None:
        """Wait until every mailbox is through what it holds now."""
        await self._bus._wait_handled()

    def wait(self, timeout: float | None = None) -> None:
        """Block the calling thread until the event was dispatched. Raises ``TimeoutError`` after ``timeout`` seconds.

        For a thread that does not own the bus; the owner awaits.
        """


class HeldReceipt(Receipt):
    """The receipt of one event that is dispatched later. Each stage waits for the dispatch first.

    Where the event is discarded or refused, each stage raises why. ``settle`` and ``refuse`` are the bus's.
    """

    __slots__ = ("_dispatch",)

    def __init__(self, bus: ReceiptBus) -> None:
        super().__init__(bus)
        self._dispatch: Future[int] = Future()
        self._dispatch.set_running_or_notify_cancel()  # who stops waiting does not cancel it for the others

    @property
    def settled(self) -> bool:
        """The event was dispatched, discarded or refused."""
        return self._dispatch.done()

    def settle(self, position: int) -> None:
        """The event was dispatched, and the tape then stood at ``position``."""
        if not self._dispatch.done():
            self._dispatch.set_result(position)

    def refuse(self, error: BaseException) -> None:
        """The event will not be dispatched."""
        if self._dispatch.done():
            return
        if not isinstance(error, Exception):  # Ctrl-C belongs to the thread that it hit
            error = TickdeckError(f"the event was not dispatched: {type(error).__name__} interrupted the bus")
        self._dispatch.set_exception(error)

    def __await__(self) -> Generator[Any, None, None]:
        yield from self._dispatched().__await__()

    async def _dispatched(self) -> int:
        if self._dispatch.done():
            return self._dispatch.result()
        return await asyncio.wrap_future(self._dispatch)

    async def durable(self) -> None:
        await self._bus._wait_durable(await self._dispatched())

    async def handled(self) -> None:
        await self._dispatched()
        await self._bus._wait_handled()

    def wait(self, timeout: float | None = None) -> None:
        if not self._dispatch.done() and self._bus._is_owner():
            raise ConfigError("receipt.wait: the thread that owns the bus would wait for itself; await the receipt")
        self._dispatch.result(timeout)
