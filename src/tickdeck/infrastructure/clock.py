"""The system's own clock, for pacing runs and measuring them. The core never reads it."""

from __future__ import annotations

import asyncio
import time

__all__ = ["SystemClock"]


class SystemClock:
    """``application.clock.LiveClock`` on the real world's time."""

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def time_ns(self) -> int:
        return time.time_ns()
