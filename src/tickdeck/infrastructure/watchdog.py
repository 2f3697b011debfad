"""A watchdog for handlers that never return. It names the handler that blocks a bus."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from tickdeck.application.bus import InMemoryEventBus

__all__ = ["Watchdog", "running_handler"]

log = logging.getLogger("tickdeck.watchdog")


class Watchdog:
    """Watches ``bus`` from its own thread. When a handler has held the bus for ``limit`` seconds, it calls
    ``alarm(text)`` once. The text names the handler and the line where it is. The bus pays nothing for this.

    Start it in the thread that owns the bus (``with Watchdog(bus):``). The default alarm logs an error.
    """

    def __init__(self, bus: InMemoryEventBus, *, limit: float = 1.0, alarm: Callable[[str], None] = log.error) -> None:
        self._bus = bus
        self._limit = limit
        self._alarm = alarm
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tickdeck-watchdog", daemon=True)
        self._owner = threading.get_ident()

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        since, seen, told = time.monotonic(), -1, -1
        while not self._stop.wait(self._limit / 4):
            dispatched = self._bus.dispatched if self._bus.busy else -1
            now = time.monotonic()
            if dispatched != seen:
                since, seen = now, dispatched
            elif dispatched >= 0 and dispatched != told and now - since >= self._limit:
                told = dispatched
                self._alarm(f"a handler has held the bus for {now - since:.1f} s: {running_handler(self._owner)}")


def running_handler(thread: int) -> str:
    """The handler that a bus is calling in ``thread`` (a thread's ident), and the line that it is at."""
    frame: FrameType | None = sys._current_frames().get(thread)
    while frame is not None:
        caller = frame.f_back
        if caller is not None and caller.f_code.co_name in ("_dispatch", "_release"):
            return f"{frame.f_code.co_qualname}, at {frame.f_code.co_filename}:{frame.f_lineno}"
        frame = caller
    return "it returned just now"
