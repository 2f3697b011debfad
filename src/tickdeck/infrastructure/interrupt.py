"""Ctrl-C for library users: the first one waits for the current cascade to end, so that no input is half processed."""

from __future__ import annotations

import signal
import threading
import weakref
from types import FrameType
from typing import Protocol

__all__ = ["defer_interrupts", "stop_deferring"]

_PATIENCE = 5.0
"""Seconds after which Ctrl-C no longer waits for a handler."""


class _Bus(Protocol):
    def after_cascade(self, call: _Deferred) -> bool: ...


class _Deferred(Protocol):
    def __call__(self) -> object: ...


_buses: weakref.WeakSet[_Bus] = weakref.WeakSet()
_waiting: list[threading.Timer] = []  # set while an interrupt waits for a cascade


def defer_interrupts(bus: _Bus) -> None:
    """Delay the first Ctrl-C until the current cascade of ``bus`` ends, then raise ``KeyboardInterrupt``. A second one,
    or five seconds, raise it immediately.

    This applies only in the main thread, and only if Python's own handler is installed. Other handlers (asyncio's,
    yours) are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)
    if signal.getsignal(signal.SIGINT) is _on_interrupt:
        _buses.add(bus)


def stop_deferring(bus: _Bus) -> None:
    """``bus`` is closed. After the last one, Python's own handler is restored."""
    _buses.discard(bus)
    if (
        not _buses
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is _on_interrupt
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    if not _waiting and any(bus.after_cascade(_raise_if_idle) for bus in list(_buses)):
        timer = threading.Timer(_PATIENCE, signal.raise_signal, (signal.SIGINT,))
        timer.daemon = True
        _waiting.append(timer)
        timer.start()
        return
    _raise()


def _raise_if_idle() -> None:
    """One bus's cascade has ended. If another one is running around it, wait for that one."""
    if not any(bus.after_cascade(_raise_if_idle) for bus in list(_buses)):
        _raise()


def _raise() -> None:
    while _waiting:
        _waiting.pop().cancel()
    raise KeyboardInterrupt
