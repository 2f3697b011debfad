"""Retries with exponential backoff and jitter, for calls that are safe to repeat."""

from __future__ import annotations

import functools
import random
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import msgspec

from tickdeck.application.clock import WallClock
from tickdeck.errors import ConfigError, OutcomeUnknown, RateLimited, VenueUnavailable
from tickdeck.infrastructure.clock import SystemClock

__all__ = ["Backoff", "retry_with_backoff"]

P = ParamSpec("P")
T = TypeVar("T")


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits between attempts, in seconds: ``first``, then ``factor`` times as long each time, at most ``longest``. Of
    each, the share ``jitter`` is random. Raises ``ConfigError`` for a value out of its range."""

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.longest and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ConfigError(
                f"backoff: {self} is out of range; give 0 <= first <= longest, factor >= 1, 0 <= jitter <= 1"
            )

    def wait(self, attempt: int, rng: random.Random) -> float:
        """Before attempt ``attempt`` + 1, with ``attempt`` from 1 on."""
        longest = min(self.longest, self.first * self.factor ** min(attempt - 1, 64))
        return longest * (1 - self.jitter * rng.random())


def retry_with_backoff(
    attempts: int = 4,
    *,
    on: tuple[type[Exception], ...] = (VenueUnavailable, RateLimited),
    backoff: Backoff = Backoff(),  # noqa: B008 (frozen)
    clock: WallClock | None = None,
    rng: random.Random | None = None,
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Call a coroutine function up to ``attempts`` times while it raises an error of ``on``.

    Use it for calls that change nothing, such as queries. ``OutcomeUnknown`` is never retried, whatever ``on``
    contains, because the first call may have had its effect. A ban (``RateLimited`` with ``banned``) is not retried
    either. After any other ``RateLimited``, the wait is at least as long as the venue demands. The last error is raised
    unchanged.
    """
    if attempts < 1:
        raise ConfigError(f"retry_with_backoff: attempts is {attempts}; give 1 or more")
    time, chance = clock or SystemClock(), rng or random.Random()

    def decorate(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(call)
        async def with_retries(*args: P.args, **kwargs: P.kwargs) -> T:
            attempt = 0
            while True:
                attempt += 1
                try:
                    return await call(*args, **kwargs)
                except on as error:
                    banned = isinstance(error, RateLimited) and error.banned
                    if attempt == attempts or banned or isinstance(error, OutcomeUnknown):
                        raise
                    least = error.wait if isinstance(error, RateLimited) else 0.0
                    await time.sleep(max(least, backoff.wait(attempt, chance)))

        return with_retries

    return decorate
