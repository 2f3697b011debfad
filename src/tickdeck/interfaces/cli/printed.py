"""Where ``print`` output of a strategy goes during a run."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import TextIO

__all__ = ["Printed"]


class Printed(io.TextIOBase):
    """Passes text on to ``stream``, except while ``past()`` is true. Text that cannot be written is dropped: a full
    disk under stderr is not the strategy's error."""

    def __init__(self, stream: TextIO, past: Callable[[], bool]) -> None:
        self._stream = stream
        self._past = past

    def write(self, text: str) -> int:
        if not self._past():
            with contextlib.suppress(OSError):
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()
