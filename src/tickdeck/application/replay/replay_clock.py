"""The clock of a replay: the record's time, as it passes at some speed."""

from __future__ import annotations

from tickdeck.application.clock import WallClock

__all__ = ["ReplayClock"]


class ReplayClock:
    """The time of a record (ns), which passes ``speed`` times as fast as wall time; ``speed`` is finite, above 0.

    Everything is reckoned from one anchor, a pair of wall time and record time, and nothing from the event before: so
    errors do not add up.
    """

    __slots__ = ("_ts_at", "_wall", "_wall_at", "speed")

    def __init__(self, wall: WallClock, speed: float) -> None:
        self._wall = wall
        self._wall_at = 0
        self._ts_at = 0
        self.speed = speed

    def start(self, ts: int) -> None:
        """It is ``ts`` now, and time passes from here on."""
        self._ts_at = ts
        self._wall_at = self._wall.monotonic_ns()

    def now(self) -> int:
        return self._ts_at + round((self._wall.monotonic_ns() - self._wall_at) * self.speed)

    def until(self, ts: int) -> int:
        """Wall time in ns until it is ``ts``; negative where that is over."""
        return self._wall_at + round((ts - self._ts_at) / self.speed) - self._wall.monotonic_ns()
