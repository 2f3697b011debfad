"""A rate limiter that counts like the venue, adopts the venue's own count, and stops before the limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from tickdeck.application.clock import LiveClock
from tickdeck.errors import ConfigError, RateLimited
from tickdeck.infrastructure.clock import SystemClock

__all__ = ["Limited", "RateLimiter", "WeightLimit"]


class WeightLimit(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``limit`` of what ``name`` counts per interval of ``seconds``. Intervals begin at multiples of their
    length, like the venue's. The share ``reserve`` is kept for urgent calls, such as cancels.
    """

    name: str
    limit: int
    seconds: int
    reserve: float = 0.1

    def __post_init__(self) -> None:
        if self.limit < 1 or self.seconds < 1 or not 0 <= self.reserve < 1:
            raise ConfigError(f"rate limit {self.name}: {self}; give a limit and seconds above 0, a reserve below 1")


class _Window:
    """The count of the interval that ends at ``end``, ns UTC."""

    __slots__ = ("end", "length", "limit", "name", "room", "used")

    def __init__(self, limit: WeightLimit) -> None:
        self.limit = limit
        self.name = limit.name
        self.length = limit.seconds * 1_000_000_000
        self.room = int(limit.limit * (1 - limit.reserve))  # for calls that are not urgent
        self.end = self.used = 0

    def roll(self, now: int) -> None:
        """Begin the interval of ``now`` if another one was counted."""
        if now >= self.end:
            self.end = now - now % self.length + self.length
            self.used = 0


class _Stop:
    """``until``: nothing is sent before that time, monotonic ns."""

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = 0


@runtime_checkable
class Limited(Protocol):
    """Sends requests within ``limits``, and opens connections within ``connects``. Two that a venue counts together,
    because they use one address, must have the same limiters."""

    limits: RateLimiter
    connects: RateLimiter


class RateLimiter:
    """Asks for room before each call, and learns from each answer.

    - ``admit(name=weight, ...)`` counts the weights. If there is no room, it counts nothing and raises ``RateLimited``
      with the seconds to wait. ``urgent`` calls may use the reserve, too. ``wait_for`` waits instead of raising.
    - ``observe(name, seconds, used)`` takes over the venue's count. It may be higher than ours, because other programs
      share the account or the address, or lower, because filled orders no longer count.
    - ``replace(limits)`` takes over the limits that the venue announces.
    - ``stop(seconds)``: the venue refused a call. Nothing is sent until then, urgent or not. ``stop_with(other)``: nor
      by the other one, because the venue refuses all calls from an address. After ``stop(seconds, alone=True)`` the
      other one goes on.

    Call it from one thread.
    """

    def __init__(self, name: str, limits: Iterable[WeightLimit], *, clock: LiveClock | None = None) -> None:
        self._name = name
        self._clock = clock or SystemClock()
        self._windows = {(limit.name, limit.seconds): _Window(limit) for limit in limits}
        self._alone, self._stop = _Stop(), _Stop()
        self._waiting = 0  # calls of ``wait_for``

    def admit(self, *, urgent: bool = False, **weights: int) -> None:
        """Count ``weights`` by the limits' names. Raises ``RateLimited`` if one of them has no room."""
        now = self._clock.time_ns()
        wait = self.stopped_for()
        why = "the venue refused a request because there were too many" if wait else "the venue's limit is near"
        windows = self._windows.values()
        for window in windows:
            if window.name in weights:
                if now >= window.end:
                    window.roll(now)
                weight = weights[window.name]
                if weight and window.used + weight > (window.limit.limit if urgent else window.room):
                    wait = max(wait, (window.end - now) / 1e9)
        if wait > 0:
            raise RateLimited(f"{self._name}: not sent, because {why}; wait {wait:.1f} s", wait=wait)
        for window in windows:
            if window.name in weights:
                window.used += weights[window.name]

    async def wait_for(self, **weights: int) -> None:
        """``admit``, as soon as there is room. For calls that may be late; refuse an order instead. Those that wait
        begin one after another, as far apart as the limit allows in the long run."""
        while True:
            try:
                self.admit(urgent=False, **weights)
            except RateLimited as error:
                behind, self._waiting = self._waiting, self._waiting + 1
                try:
                    await self._clock.sleep(error.wait + behind * self._share(weights))
                finally:
                    self._waiting -= 1
            else:
                return

    def _share(self, weights: Mapping[str, int]) -> float:
        """The seconds of its interval that a call takes up."""
        return max(
            (
                window.limit.seconds * weights[window.name] / window.room
                for window in self._windows.values()
                if weights.get(window.name) and window.room
            ),
            default=0.0,
        )

    def observe(self, name: str, seconds: int, used: int) -> None:
        """The venue counted ``used`` of ``name`` in the current interval of ``seconds``."""
        window = self._windows.get((name, seconds))
        if window is not None:
            window.roll(self._clock.time_ns())
            window.used = used

    def replace(self, limits: Iterable[WeightLimit]) -> None:
        """Use ``limits`` from now on. Counts are kept where the name and the interval are the same. Without any limit,
        nothing changes."""
        windows = {(limit.name, limit.seconds): _Window(limit) for limit in limits}
        for key, window in windows.items():
            known = self._windows.get(key)
            if known is not None:
                window.end, window.used = known.end, known.used
        self._windows = windows or self._windows

    @property
    def limits(self) -> tuple[WeightLimit, ...]:
        """The limits that apply now."""
        return tuple(window.limit for window in self._windows.values())

    def stop(self, seconds: float, *, alone: bool = False) -> None:
        """Send nothing for this many seconds. ``alone``: those that stop with this one may go on."""
        stop = self._alone if alone else self._stop
        stop.until = max(stop.until, self._clock.monotonic_ns() + round(seconds * 1e9))

    def stop_with(self, other: RateLimiter) -> None:
        """Stop whenever ``other`` does, and the other way round. Both have the same clock, and count apart."""
        other._stop.until = max(self._stop.until, other._stop.until)
        self._stop = other._stop

    def stopped_for(self) -> float:
        """For how many seconds nothing is sent, because the venue refused a call; 0 if calls may be sent."""
        until = max(self._alone.until, self._stop.until)
        return max(0.0, (until - self._clock.monotonic_ns()) / 1e9) if until else 0.0

    def used(self, name: str, seconds: int) -> int:
        """The count of the current interval; 0 if there is no such limit."""
        window = self._windows.get((name, seconds))
        if window is None:
            return 0
        window.roll(self._clock.time_ns())
        return window.used
