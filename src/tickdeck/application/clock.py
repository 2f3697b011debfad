"""Time. The core knows only the run's clock; the wall clock is for pacing a run."""

from __future__ import annotations

from typing import Protocol

__all__ = ["LiveClock", "RunClock", "WallClock"]


class RunClock:
    """The receive time of the current input in ns UTC. It is constant within a cascade and never goes backwards."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        return self._now


class WallClock(Protocol):
    """Real time, for pacing and measuring. Tests use a clock that they move themselves."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary instant. Never goes backwards."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``. For 0, return after one turn of the event loop."""


class LiveClock(WallClock, Protocol):
    """A wall clock that also knows the time of day, for runs on live data."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC. May be set back."""
