"""The receipt that a publisher gets. It shows how far the event has come."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future, wait
from typing import Any, Protocol

from tickdeck.errors import ConfigError, TickdeckError

__all__ = ["HeldReceipt", "Receipt", "ReceiptBus", "StagedReceipt", "new_receipt", "not_taken"]


new_receipt = object.__new__
"""Makes a receipt whose ``_bus`` the caller sets: four times as fast as calling its class."""


def not_taken(why: str) -> TickdeckError:
    """The error that a receipt raises if its bus ended before it took the event."""
    return TickdeckError(f"the event was not taken, because {why}")


class ReceiptBus(Protocol):
    """What a receipt needs from its bus."""

    def _position(self) -> int: ...

    async def _wait_durable(self, position: int) -> None: ...

    async def _wait_handled(self) -> None: ...

    def _is_owner(self) -> bool: ...

    def _why_waiting(self) -> str: ...


class Receipt:
    """What ``publish`` returns, about the published event.

    - ``await receipt``: the event was dispatched, so every plain handler has run.
    - ``await receipt.durable()``: it is on disk. Immediate on a bus without a tape. Raises ``TapeError`` if the tape
      failed.
    - ``await receipt.handled()``: every async handler has processed the events in its mailbox at the time of the call;
      failed ones are dead letters. Raises ``ConfigError`` inside an async handler, which would wait for itself.

    A cascade runs to its end before any coroutine runs. So most events share one receipt per bus, whose first stage is
    already complete. An event that is held (by a pause, a batch, or another thread) has its own ``HeldReceipt``.
    """

    __slots__ = ("_bus",)

    def __init__(self, bus: ReceiptBus) -> None:
        self._bus = bus

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    async def durable(self) -> None:
        """Wait until this event, and all published before this call, are on disk."""
        await self._bus._wait_durable(self._bus._position())

    async def handled(self) -> None:
        """Wait until every mailbox has processed its current events."""
        await self._bus._wait_handled()

    def wait(self, timeout: float | None = None) -> None:
        """Block the calling thread until the event was dispatched. Raises ``TimeoutError`` after ``timeout`` seconds.

        For threads that do not own the bus; the owner awaits instead.
        """


class StagedReceipt(Receipt):
    """The receipt of the events that one call of a handler publishes. They are dispatched after the handler has
    returned, and discarded if it raises."""

    __slots__ = ("_discarded",)  # unset while nothing was discarded: a bus makes one for each handler that publishes
    _discarded: TickdeckError

    def discard(self, why: str) -> None:
        """The events will not be dispatched."""
        self._discarded = TickdeckError(f"the event was discarded: {why}")

    def _check(self) -> None:
        discarded = getattr(self, "_discarded", None)
        if discarded is not None:
            raise discarded

    def __await__(self) -> Generator[Any, None, None]:
        self._check()
        yield from ()

    async def durable(self) -> None:
        self._check()
        await super().durable()

    async def handled(self) -> None:
        self._check()
        await super().handled()

    def wait(self, timeout: float | None = None) -> None:
        self._check()


class HeldReceipt(Receipt):
    """The receipt of one event that is dispatched later. Each stage waits for the dispatch first.

    If the event is discarded or refused, each stage raises the reason. Only the bus calls ``settle`` and ``refuse``.
    """

    __slots__ = ("_dispatch",)

    def __init__(self, bus: ReceiptBus) -> None:
        super().__init__(bus)
        self._dispatch: Future[int] = Future()
        self._dispatch.set_running_or_notify_cancel()  # one waiter's cancellation does not cancel the others

    @property
    def settled(self) -> bool:
        """True if the event was dispatched, discarded or refused."""
        return self._dispatch.done()

    def settle(self, position: int) -> None:
        """The event was dispatched, and the tape was then at ``position``."""
        if not self._dispatch.done():
            self._dispatch.set_result(position)

    def refuse(self, error: BaseException) -> None:
        """The event will not be dispatched."""
        if self._dispatch.done():
            return
        if not isinstance(error, Exception):  # Ctrl-C belongs to the thread that received it
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
        if not wait((self._dispatch,), timeout).done:
            why = self._bus._why_waiting()
            raise TimeoutError(f"receipt.wait: the event was not dispatched within {timeout:g} s; {why}")
        self._dispatch.result()
