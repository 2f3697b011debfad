"""The system's own clock, for pacing runs and measuring them. The core never reads it."""

from __future__ import annotations

import asyncio
import time

from tickdeck.application.clock import LiveClock

__all__ = ["SteadyClock", "SystemClock"]

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""If possible, a clock that also counts the time in which the machine sleeps."""


class SystemClock:
    """``application.clock.LiveClock`` with real time."""

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def time_ns(self) -> int:
        return time.time_ns()


class _SleepingClock(SystemClock):
    def monotonic_ns(self) -> int:
        return time.clock_gettime_ns(_STEADY)


class SteadyClock:
    """A ``LiveClock`` that is never set: it reads ``clock`` once and then continues at an even pace.

    If somebody sets the wall clock, the timers and the days of a run continue as if nothing had happened.
    ``difference()`` returns how far apart the two are.
    """

    def __init__(self, clock: LiveClock | None = None) -> None:
        self._clock = clock or _SleepingClock()
        self.monotonic_ns = self._clock.monotonic_ns
        self.sleep = self._clock.sleep
        self._began: int | None = None  # the wall clock less the monotonic one, at the first reading

    def time_ns(self) -> int:
        if self._began is None:
            self._began = self._clock.time_ns() - self._clock.monotonic_ns()
        return self._began + self.monotonic_ns()

    def not_before(self, ts: int) -> int:
        """Go on from ``ts`` (ns UTC) if it is later than the time now. Returns by how many ns that is, or 0."""
        behind = max(ts - self.time_ns(), 0)
        assert self._began is not None
        self._began += behind
        return behind

    def difference(self) -> int:
        """The wall clock less this one, in ns. Two readings differ if the wall clock was set between them."""
        return self._clock.time_ns() - self.time_ns()
