"""Tapes and process life: a normal exit makes tapes durable, and a forked child does not touch them."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref
from typing import Protocol

from tickdeck.errors import TapeError

__all__ = ["watch"]


class _OpenTape(Protocol):
    def close(self) -> None: ...

    def leave_to_parent(self) -> None: ...


_open: weakref.WeakSet[_OpenTape] = weakref.WeakSet()


def watch(tape: _OpenTape) -> None:
    """Close ``tape`` when the process exits normally or by an exception. You may close it earlier."""
    _open.add(tape)


@atexit.register
def _close_all() -> None:
    for tape in list(_open):
        try:
            tape.close()
        except TapeError as error:
            with contextlib.suppress(AttributeError, OSError, ValueError):  # nobody reads stderr any more
                sys.stderr.write(f"{error}\n")


def _leave_to_parent() -> None:
    for tape in list(_open):
        tape.leave_to_parent()
    _open.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
