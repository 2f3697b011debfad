"""The clock of a replay: recorded time, passing at a chosen speed."""

from __future__ import annotations

from tickdeck.application.clock import WallClock

__all__ = ["ReplayClock"]


class ReplayClock:
    """Recorded time (ns) that passes ``speed`` times as fast as wall time. ``speed`` is finite and above 0.

    Every time is computed from one anchor, a pair of wall time and recorded time, so errors do not add up.
    """

    __slots__ = ("_ts_at", "_wall", "_wall_at", "speed")

    def __init__(self, wall: WallClock, speed: float) -> None:
        self._wall = wall
        self._wall_at = 0
        self._ts_at = 0
        self.speed = speed

    def start(self, ts: int) -> None:
        """Set the time to ``ts`` and let it pass from now on."""
        self._ts_at = ts
        self._wall_at = self._wall.monotonic_ns()

    def now(self) -> int:
        return self._ts_at + round((self._wall.monotonic_ns() - self._wall_at) * self.speed)

    def until(self, ts: int) -> int:
        """Wall time in ns until ``ts``; negative if ``ts`` has passed."""
        return self._wall_at + round((ts - self._ts_at) / self.speed) - self._wall.monotonic_ns()
