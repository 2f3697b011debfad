"""Errors in handlers, which the bus logs, as lines for the user."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TextIO

from tickdeck.interfaces.cli.exits import origin
from tickdeck.interfaces.cli.live import CLEAR

__all__ = ["FaultLines", "fault_lines"]


class FaultLines(logging.Handler):
    """Prints an exception from a handler as one line, in place of the progress line, with its traceback."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = f"tickdeck: {record.getMessage()}"
        if error is not None:
            text += f": {type(error).__name__}: {' '.join(str(error).split())} ({origin(error)})"
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._stream.write((CLEAR if self._stream.isatty() else "") + text + "\n")
        self._stream.flush()


@contextlib.contextmanager
def fault_lines(handler: logging.Handler) -> Iterator[None]:
    """Send Tickdeck's log records to ``handler``, and only to loggers that were set up explicitly."""
    log = logging.getLogger("tickdeck")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
