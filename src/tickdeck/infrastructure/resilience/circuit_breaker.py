"""A circuit breaker: after several failures in a row, calls fail immediately until a probe succeeds."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, ParamSpec, TypeVar

from tickdeck.application.clock import WallClock
from tickdeck.errors import ConfigError, OutcomeUnknown, VenueUnavailable
from tickdeck.infrastructure.clock import SystemClock

__all__ = ["FAILURES", "BreakerState", "BreakerTransition", "CircuitBreaker", "circuit_breaker_protected"]

P = ParamSpec("P")
T = TypeVar("T")

FAILURES: tuple[type[Exception], ...] = (OutcomeUnknown, VenueUnavailable, TimeoutError, ConnectionError)
"""What counts as a failure: time-outs, failures of the venue, lost connections. A refusal is an answer."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_CLOSED = BreakerState.CLOSED


class BreakerTransition(NamedTuple):
    """``name`` is the name of the breaker. ``reason`` is the class of the error that caused the transition, or empty if
    no error did."""

    name: str
    before: BreakerState
    after: BreakerState
    reason: str


class CircuitBreaker:
    """Use it around each call::

        with breaker:
            answer = await call()

    - ``closed``: calls pass. After ``failures`` failures in a row, the breaker opens.
    - ``open``: ``VenueUnavailable`` is raised, and the call is not made. After ``open_for`` seconds, the next call is a
      probe.
    - ``half_open``: the probe is running, and other calls fail immediately. If the probe succeeds, the breaker closes;
      if it fails, the breaker opens again.

    Only errors of ``counts`` are failures. Any other error is an answer, like a success. A cancelled call counts
    neither way. ``on_transition`` is called at each change of state.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        open_for: float = 30.0,
        counts: tuple[type[Exception], ...] = FAILURES,
        clock: WallClock | None = None,
        on_transition: Callable[[BreakerTransition], None] = lambda transition: None,
    ) -> None:
        if failures < 1 or open_for <= 0:
            raise ConfigError(
                f"circuit breaker {name}: failures is {failures}, open_for {open_for}; give 1 or more, and above 0 s"
            )
        self.name = name
        self.state = BreakerState.CLOSED
        self._limit, self._open_ns, self._counts = failures, round(open_for * 1e9), counts
        self._clock = clock or SystemClock()
        self._on_transition = on_transition
        self._in_a_row = 0
        self._last = ""  # the latest failure, for people
        self._opened = 0

    def __enter__(self) -> CircuitBreaker:
        if self.state is _CLOSED:
            return self
        if self.state is BreakerState.OPEN and self._clock.monotonic_ns() - self._opened >= self._open_ns:
            self._change(BreakerState.HALF_OPEN, "")
        else:
            raise VenueUnavailable(
                f"{self.name}: not called, because it failed {self._limit} times in a row ({self._last}); the next "
                f"attempt is within {self._open_ns / 1e9:g} s"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or (issubclass(kind, Exception) and not issubclass(kind, self._counts)):
            self._in_a_row = 0
            if self.state is not _CLOSED:
                self._change(_CLOSED, "")
        elif not issubclass(kind, Exception):  # cancelled
            if self.state is BreakerState.HALF_OPEN:
                self._change(BreakerState.OPEN, kind.__name__)  # the next call is the probe: ``_opened`` is long ago
        else:
            self._in_a_row += 1
            self._last = str(error) or kind.__name__
            if self.state is BreakerState.HALF_OPEN or (
                self.state is BreakerState.CLOSED and self._in_a_row >= self._limit
            ):
                self._opened = self._clock.monotonic_ns()
                self._change(BreakerState.OPEN, kind.__name__)

    def _change(self, after: BreakerState, reason: str) -> None:
        before, self.state = self.state, after
        self._on_transition(BreakerTransition(self.name, before, after, reason))


def circuit_breaker_protected(
    breaker: CircuitBreaker,
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Call a coroutine function only through ``breaker``."""

    def decorate(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(call)
        async def protected(*args: P.args, **kwargs: P.kwargs) -> T:
            with breaker:
                return await call(*args, **kwargs)

        return protected

    return decorate
