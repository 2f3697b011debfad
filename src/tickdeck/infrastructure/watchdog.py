"""A watchdog for handlers that never return. It names the handler that blocks a bus."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

import tickdeck
from tickdeck.errors import ConfigError

__all__ = ["Watchdog", "running_handler"]

log = logging.getLogger("tickdeck.watchdog")

_PACKAGE = str(Path(tickdeck.__file__).parent)
_CALLERS = ("InMemoryEventBus._dispatch", "SyncEdge._handle")
"""The functions that call handlers."""
_GONE = "it returned just now"
_PULSE = 0.25  # seconds between two checks, at most


class WatchedBus(Protocol):
    """What a watchdog reads from a bus, in a thread other than the bus's own."""

    @property
    def dispatched(self) -> int:
        """The total number of dispatched events."""

    @property
    def occupied(self) -> bool:
        """True if a handler is running."""


class Watchdog:
    """Watches ``bus`` from its own thread. When a handler has held the bus for ``limit`` seconds, it calls
    ``alarm(text)`` once. The text names the handler and the line where it is. The bus pays nothing for this.

    If the handler still has not returned ``fatal_limit`` seconds after it was called, ``fatal(text)`` is called once.
    Time in which the whole process stood still does not count.

    Start it in the thread that owns the bus (``with Watchdog(bus):``). The default alarm logs an error.
    """

    def __init__(
        self,
        bus: WatchedBus,
        *,
        limit: float = 1.0,
        alarm: Callable[[str], None] = log.error,
        fatal_limit: float | None = None,
        fatal: Callable[[str], None] = log.critical,
    ) -> None:
        given: object = limit
        if not isinstance(given, float | int) or isinstance(given, bool) or given <= 0:
            raise ConfigError(f"Watchdog: limit is {limit!r}; give seconds above 0")
        if not callable(alarm):
            raise ConfigError(f"Watchdog: alarm is {alarm!r}; give a function of a text")
        self._bus = bus
        self._limit = limit
        self._alarm = alarm
        self._fatal_limit = fatal_limit
        self._fatal = fatal
        self._beat = time.monotonic_ns()
        self._longest = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tickdeck-watchdog", daemon=True)
        self._owner = threading.get_ident()

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def held_up(self) -> int:
        """The longest time (ns) since the last call in which this thread did not run, although nothing here holds it
        up: then the whole process stood still."""
        longest, self._longest = self._longest, 0
        return max(longest, time.monotonic_ns() - self._beat)

    def _watch(self) -> None:
        pulse = min(self._limit / 4, _PULSE)
        held, seen, stage = 0.0, -1, 0
        self._beat = time.monotonic_ns()
        while not self._stop.wait(pulse):
            now = time.monotonic_ns()
            slept, self._beat = now - self._beat, now
            self._longest = max(self._longest, slept)
            dispatched = self._bus.dispatched if self._bus.occupied else -1
            if dispatched != seen:
                held, seen, stage = 0.0, dispatched, 0
                continue
            held += min(slept / 1e9, 2 * pulse)  # if this thread slept longer, so did the handler's
            if dispatched < 0:
                continue
            if stage == 0 and held >= self._limit:
                stage = 1
                self._alarm(f"a handler has held the bus for {held:.1f} s: {running_handler(self._owner) or _GONE}")
            if stage == 1 and self._fatal_limit is not None and held >= self._fatal_limit:
                stage = 2
                self._fatal(f"a handler has not returned for {held:.1f} s: {running_handler(self._owner) or _GONE}")


def running_handler(thread: int) -> str:
    """The handler that a bus is calling in ``thread`` (a thread's ident), and the line that it is at; empty if there is
    none."""
    frame: FrameType | None = sys._current_frames().get(thread)
    handler: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if code.co_qualname in _CALLERS and handler is not None:
            return f"{handler.f_code.co_qualname}, at {handler.f_code.co_filename}:{handler.f_lineno}"
        if not (code.co_filename.startswith(_PACKAGE) and "<locals>" in code.co_qualname):
            handler = frame  # our own wrapper around a handler is a nested function
        frame = frame.f_back
    return ""
