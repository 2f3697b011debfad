"""Time. The core knows only the run's clock; the wall clock is for pacing a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["LiveClock", "RunClock", "WallClock", "default_wall_now", "set_default_wall_now"]

_default_wall_now: list[Callable[[], int]] = []


def set_default_wall_now(wall_now: Callable[[], int]) -> None:
    """Set the time of day (ns UTC) with which a bus without a kernel stamps events by default. The package does this
    once, when it is imported, because the core must not read the wall clock."""
    _default_wall_now[:] = [wall_now]


def default_wall_now() -> Callable[[], int]:
    """The function given to ``set_default_wall_now``."""
    return _default_wall_now[0]


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
