"""A bus with a tape, for programs of any kind."""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from tickdeck.application.bus import dead_letters_on
from tickdeck.application.kernel import RANK_VENUE, Agenda, Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.interrupt import defer_interrupts, stop_deferring
from tickdeck.infrastructure.tape.opening import IN_A_RUN, open_tape

__all__ = ["close_bus", "open_bus"]

_kernels: weakref.WeakSet[Kernel] = weakref.WeakSet()


def open_bus(path: Path | str, *, tape_format: str = "sqlite") -> Kernel:
    """A bus of its own with a tape in ``path``, made where there is none, in ``tape_format`` (``sqlite`` or
    ``jsonl``): events are stamped with ids, causes and the wall clock's time, and recorded before edges see them. It
    goes on behind the tape's last event, with the dead letters that were left. ``close_bus`` ends it; a program that
    ends without it still keeps what ``publish`` returned for.

    - The first thread that publishes owns the bus, or the one that calls ``bus.bind()``.
    - Ctrl-C waits for the end of the running cascade, five seconds at most, where Python's own handler was in place.
    - ``set_timer`` raises ``ConfigError``: no driver fires timers here; use ``loop.call_later`` and publish.
    - A forked child cannot publish on its parent's bus, and does not hold its lock.

    Raises ``TapeError`` where the tape cannot be opened, ``ConfigError`` under gevent's or eventlet's patches. No
    thread and no lock is left then.
    """
    _refuse_green_threads()
    if tape_format not in IN_A_RUN:
        close = get_close_matches(tape_format, IN_A_RUN, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the formats are {', '.join(IN_A_RUN)}"
        raise ConfigError(f"open_bus: there is no tape format {tape_format!r}; {hint}")
    tape = open_tape(Path(path), tape_format)
    try:
        kernel = Kernel(tape=tape, cursors=tape.cursors, agenda=_NoTimers(), wall_now=time.time_ns, clock=SystemClock())
        last = next(tape.read(TapeQuery(first_seq=tape.last_seq)), None) if tape.last_seq else None
        if last is not None:
            kernel.continue_from(last)
            kernel.restore_dead_letters(
                dead_letters_on(tape.read(TapeQuery(types=("system.*dead_letter*", "command.*"))))
            )
        _kernels.add(kernel)
        defer_interrupts(kernel)
    except BaseException:
        tape.close()
        raise
    return kernel


async def close_bus(bus: Kernel) -> None:
    """Take what other threads handed over, let the edges finish what waits for them, then put everything on disk and
    let the file go. The file is let go of too where an edge or the tape fails; the error is raised.

    Inside an async handler it waits for the other handlers only.
    """
    try:
        await bus.aclose()
    finally:
        stop_deferring(bus)
        bus.close_tape()


class _NoTimers(Agenda):
    """The agenda of a bus that no driver drives."""

    def at(self, due: int, action: Callable[[], None], rank: int = RANK_VENUE) -> NoReturn:
        raise ConfigError("set_timer: nothing fires timers on this bus; use loop.call_later(...) and publish an event")


def _refuse_green_threads() -> None:
    """A patched ``threading`` runs the tape's thread as a green one: a commit would stop all others, or never come."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    patched = (gevent is not None and gevent.is_module_patched("threading")) or (
        eventlet is not None and eventlet.is_monkey_patched("thread")
    )
    if patched:
        name = "gevent" if gevent is not None else "eventlet"
        raise ConfigError(f"open_bus: {name} has patched threading, which the tape needs as it is; use another process")


def _refuse_in_child() -> None:
    for kernel in list(_kernels):
        kernel.refuse_inputs("this process was forked from the one that writes its tape; open a bus with its own tape")


os.register_at_fork(after_in_child=_refuse_in_child)
