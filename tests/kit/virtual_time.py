"""An event loop with virtual time, which passes only when nothing else is to be done, so tests can wait for hours."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Advances the loop's time instead of waiting."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "the loop has nothing to wait for: the test would wait forever"
        self.loop.now_ns += round(timeout * 1e9)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now_ns = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_ns / 1e9


class VirtualWall:
    """``application.clock.LiveClock`` with the time of the running ``VirtualLoop``. The wall clock starts at ``epoch``
    (ns)."""

    def __init__(self, epoch: int = 0) -> None:
        self._epoch = epoch

    def time_ns(self) -> int:
        return self._epoch + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.now_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` in virtual time and return its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
