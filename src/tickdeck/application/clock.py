"""Time. The core knows only the run's clock; the wall clock belongs to what paces a run."""

from __future__ import annotations

from typing import Protocol

__all__ = ["RunClock", "WallClock"]


class RunClock:
    """The time of the input that is being handled, ns since the epoch, UTC: constant within a cascade, never
    backwards.
    """

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        return self._now


class WallClock(Protocol):
    """Real time, for pacing and for measuring: the system's, or a test's that moves by itself."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some instant, never backwards."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``, or at once (after one turn of the event loop) for 0."""
