"""Single key presses on a terminal, without waiting for the end of a line."""

from __future__ import annotations

import os
import re
import termios
import tty
from typing import Any

__all__ = ["Cbreak", "KeyParser"]

_NAMES = {
    b" ": "space",
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1b[1;2C": "shift-right",
    b"\x1b[1;2D": "shift-left",
}
_KEY = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b(?![\[O])|[^\x1b]", re.DOTALL)


class KeyParser:
    """Names the keys in terminal input: ``space``, ``up``, ``shift-left``, ``q``. Skips others."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The keys that ``data`` completes, in order."""
        data = self._rest + data
        keys: list[str] = []
        at = 0
        while (match := _KEY.match(data, at)) is not None and (match[0] != b"\x1b" or match.end() < len(data)):
            at = match.end()
            key = match[0].replace(b"\x1bO", b"\x1b[")  # the mode in which a previous program left the keypad
            if key in _NAMES:
                keys.append(_NAMES[key])
            elif len(key) == 1 and 0x20 < key[0] < 0x7F:
                keys.append(key.decode())
        self._rest = data[at:]
        return keys


class Cbreak:
    """The terminal at ``fd``. Between ``enter`` and ``leave``, keys arrive immediately and are not echoed.

    Ctrl-C, Ctrl-Z and the like remain signals.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    @staticmethod
    def possible(fd: int) -> bool:
        """True if ``fd`` is a terminal and this process is in its foreground. In the background, the keys belong to
        others."""
        try:
            return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
        except OSError:  # a terminal, but not our controlling terminal, so it has no foreground for us
            return True

    def enter(self) -> None:
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSADRAIN)

    def leave(self) -> None:
        """Restore the terminal. You may call this twice."""
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None
