"""The clock of a replay: the record's time, as it passes at some speed."""

from __future__ import annotations

from tickdeck.application.clock import WallClock

__all__ = ["ReplayClock"]


class ReplayClock:
    """Times of a record (ns) that pass ``speed`` times as fast as wall time; or stand still, as they do at first.

    Everything is reckoned from one anchor, a pair of wall time and record time, and never from the event before: so
    errors do not add up. At infinite speed the clock tells nothing: it stays where it was set.
    """

    __slots__ = ("_ts_at", "_wall", "_wall_at", "running", "speed")

    def __init__(self, wall: WallClock, speed: float, ts: int) -> None:
        self._wall = wall
        self._wall_at = 0
        self._ts_at = ts
        self.speed = speed
        self.running = False

    def hold(self, ts: int) -> None:
        """Stand still at ``ts``."""
        self._ts_at = ts
        self.running = False

    def run(self, ts: int) -> None:
        """It is ``ts`` now, and time passes from here on."""
        self._ts_at = ts
        self._wall_at = self._wall.monotonic_ns()
        self.running = True

    def now(self) -> int:
        if not self.running or self.speed == float("inf"):
            return self._ts_at
        return self._ts_at + round((self._wall.monotonic_ns() - self._wall_at) * self.speed)

    def until(self, ts: int) -> int:
        """Wall time in ns until it is ``ts``; negative where that is over. For a clock that runs, at a finite speed."""
        return self._wall_at + round((ts - self._ts_at) / self.speed) - self._wall.monotonic_ns()
