"""What a publisher gets back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

__all__ = ["Receipt"]


class Receipt:
    """What ``publish`` returns. ``await receipt``: the event was dispatched; ``await receipt.durable()``: it is on
    disk.

    A cascade runs to its end before any coroutine gets a turn, so whoever can await finds the event dispatched.
    """

    __slots__ = ("_durable",)

    def __init__(self, durable: Callable[[], Any] | None = None) -> None:
        self._durable = durable

    def __await__(self) -> Generator[None, None, None]:
        return
        yield

    async def durable(self) -> None:
        """Wait until the event, and all published before now, is on disk. At once where the bus has no tape."""
        if self._durable is not None:
            await self._durable()
