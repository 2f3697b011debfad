"""Faults of handlers, which the bus logs, as lines for people."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TextIO

from tickdeck.interfaces.cli.exits import origin
from tickdeck.interfaces.cli.live import CLEAR

__all__ = ["FaultLines", "fault_lines"]


class FaultLines(logging.Handler):
    """Tells what a handler raised in one line, where the progress line is; with its traceback where that is wanted."""

    def __init__(self, stream: TextIO, *, details: bool) -> None:
        super().__init__()
        self._stream = stream
        self._details = details

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = f"tickdeck: {record.getMessage()}"
        if error is not None:
            text += f": {type(error).__name__}: {' '.join(str(error).split())} ({origin(error)})"
        if self._details and record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._stream.write((CLEAR if self._stream.isatty() else "") + text + "\n")
        self._stream.flush()


@contextlib.contextmanager
def fault_lines(handler: logging.Handler) -> Iterator[None]:
    """Let ``handler`` have what Tickdeck logs, and nobody else who was not set up for it."""
    log = logging.getLogger("tickdeck")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
