"""Stops a run by signals: in order after the first one, immediately after a second one, five seconds or SIGQUIT."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["GRACE_S", "Stopping"]

_entered: list[Stopping] = []

GRACE_S = 5.0
"""How long the current cascade may take to end after the first signal."""
_LAST_WORDS_S = 2.0
_ECHO_S = 0.05
"""`timeout` sends a signal twice, to the process and to its group. A repetition this soon is the same signal."""
_SIGNAL, _QUIT, _SETTLED, _DONE = b"s", b"x", b"o", b"q"
_ORDERLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """Catches SIGINT, SIGTERM, SIGHUP and SIGQUIT within a ``with`` block, in the main thread.

    The first signal calls ``request()``, which must end the run after its current cascade. A second signal, or
    ``GRACE_S`` seconds without ``settled()``, end the process with 128 plus the signal's number, whatever the main
    thread is doing. Before that, ``last_words(why)`` is called in another thread and may take two seconds. SIGQUIT
    (Ctrl-\\ on a terminal) ends the process like that at once.

    If SIGHUP or SIGQUIT is ignored, as under ``nohup``, it stays ignored. A child that is forked within the block is
    ended by these signals, alone.
    """

    def __init__(self, request: Callable[[], None], last_words: Callable[[str], None]) -> None:
        self._request = request
        self._last_words = last_words
        self._before: list[tuple[signal.Signals, object]] = []
        self.stopped_by: signal.Signals | None = None
        """The first signal received."""
        self._process = os.getpid()
        # A pipe, because a signal handler may interrupt its own thread anywhere and must not wait for a lock.
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="tickdeck-stopping", daemon=True)

    def __enter__(self) -> Stopping:
        self._thread.start()
        for number in (*_ORDERLY, signal.SIGQUIT):
            if number in (signal.SIGHUP, signal.SIGQUIT) and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before.append((number, signal.signal(number, self._on_signal)))
        _entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _entered.remove(self)
        for number, handler in self._before:
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]
        if os.getpid() == self._process:  # otherwise the pipe is the parent's
            os.write(self._write, _DONE)
            self._thread.join()
        os.close(self._write)
        os.close(self._read)

    def leave_to_parent(self) -> None:
        """Called in a forked child. A handler in Python would not do: it notices a signal right before a call that
        blocks only after the call."""
        for number, _ in self._before:
            signal.signal(number, signal.SIG_DFL)

    def settled(self) -> None:
        """The cascade has ended. From now on only a second signal ends the process immediately."""
        if os.getpid() == self._process:
            os.write(self._write, _SETTLED)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._process:  # a child that is just beginning; the pipe is its parent's
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        if number == signal.SIGQUIT:
            os.write(self._write, _QUIT)
            return
        if self.stopped_by is None:
            self.stopped_by = signal.Signals(number)
            self._request()
        os.write(self._write, _SIGNAL)

    def _watch(self) -> None:
        first, grace = 0.0, None
        while True:
            ready, _, _ = select.select([self._read], [], [], grace)
            word = os.read(self._read, 1) if ready else b""
            if word == _DONE:
                return
            if word == _SETTLED:
                grace = None
                continue
            if word == _QUIT:
                self.end("by SIGQUIT", 128 + signal.SIGQUIT)
            now = time.monotonic()
            if not first:
                first, grace = now, GRACE_S
            if word and now - first < _ECHO_S:
                continue
            self._end(f"by a second signal after {self._name()}" if word else f"{GRACE_S:g} s after {self._name()}")

    def _name(self) -> str:
        return self.stopped_by.name if self.stopped_by is not None else "a signal"

    def _end(self, why: str) -> None:
        self.end(why, 128 + (self.stopped_by or signal.SIGTERM))

    def end(self, why: str, code: int) -> None:
        """End the process with exit code ``code``, after ``last_words(why)``. Any thread may call this."""
        thread = threading.Thread(target=self._last_words, args=(why,), daemon=True)
        thread.start()
        thread.join(_LAST_WORDS_S)  # the main thread may hold a lock that `last_words` needs
        os._exit(code)


def _leave_to_parent() -> None:
    for stopping in _entered:
        stopping.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
