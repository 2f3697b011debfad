"""Tells a real Ctrl-C from a ``KeyboardInterrupt`` that a strategy raised."""

from __future__ import annotations

from opcode import opmap
from types import FrameType, TracebackType

__all__ = ["came_by_signal"]

_RAISE = opmap["RAISE_VARARGS"]


def came_by_signal(error: BaseException) -> bool:
    """Whether ``error`` is a ``KeyboardInterrupt`` that a signal handler raised, Python's own or the program's.

    Python's own raises in the middle of any line; a strategy raises with a ``raise`` statement.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    last: TracebackType | None = None
    traceback = error.__traceback__
    while traceback is not None:
        if _handles_signal(traceback.tb_frame):
            return True
        last, traceback = traceback, traceback.tb_next
    return last is None or last.tb_frame.f_code.co_code[last.tb_lasti] != _RAISE


def _handles_signal(frame: FrameType) -> bool:
    """A signal handler, and hardly any other function, is given the frame that it interrupted."""
    caller = frame.f_back
    return caller is not None and any(value is caller for value in frame.f_locals.values())
