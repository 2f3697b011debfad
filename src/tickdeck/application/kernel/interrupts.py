"""Tells a real Ctrl-C from a ``KeyboardInterrupt`` that a strategy raised."""

from __future__ import annotations

import signal
from functools import partial
from opcode import opmap
from types import CodeType, TracebackType

__all__ = ["came_by_signal"]

_RAISE = opmap["RAISE_VARARGS"]


def came_by_signal(error: BaseException) -> bool:
    """Whether ``error`` is a ``KeyboardInterrupt`` that a signal handler raised, Python's own or the program's.

    Python's own raises in the middle of any line; a strategy raises with a ``raise`` statement.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    handler = _code_of(signal.getsignal(signal.SIGINT))
    last: TracebackType | None = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code is handler:
            return True
        last, traceback = traceback, traceback.tb_next
    return last is None or last.tb_frame.f_code.co_code[last.tb_lasti] != _RAISE


def _code_of(handler: object) -> CodeType | None:
    """The code of a signal handler that is written in Python."""
    while isinstance(handler, partial):
        handler = handler.func
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return code if isinstance(code, CodeType) else None
