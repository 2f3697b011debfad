"""A bus with a tape, for any program."""

from __future__ import annotations

import os
import sys
import time
import weakref
from pathlib import Path

from tickdeck.application.arguments import check_methods
from tickdeck.application.bus import EventBus, dead_letters_on
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap.bus_store import BusStore
from tickdeck.bootstrap.store import AnyStore, make_store
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.interrupt import defer_interrupts, stop_deferring

__all__ = ["RecordedBus", "close_bus", "open_bus"]

_kernels: weakref.WeakSet[Kernel] = weakref.WeakSet()


class RecordedBus(Kernel):
    """The bus of a program: a kernel whose tape can be read as ``store``."""

    has_timers = False

    def __init__(self, store: AnyStore) -> None:
        super().__init__(tape=store, cursors=store.cursors, wall_now=time.time_ns, clock=SystemClock())
        self.store = BusStore(store)
        """The bus's events: read, follow, take the last n, keep snapshots."""

    async def close(self) -> None:
        """As ``close_bus``."""
        try:
            await super().close()
        finally:
            stop_deferring(self)


def open_bus(url: Path | str, *, tape_format: str | None = None) -> RecordedBus:
    """Open a bus with a tape at ``url``, which is created if it does not exist. Events are stamped with ids, causes and
    the time of the wall clock, and recorded before edges receive them. The bus continues after the last event of the
    tape, with the dead letters that remained. Close it with ``close_bus``. If a program ends without that, the tape
    still has everything for which ``publish`` returned.

    ``url``: ``memory://``, ``sqlite:///absolute/path``, ``jsonl:///absolute/path``, or a path. A new tape at a path has
    the format ``tape_format`` (``sqlite``, the default, or ``jsonl``).

    - The bus belongs to the first thread that publishes, or to the thread that calls ``bus.bind()``.
    - Ctrl-C waits for the end of the running cascade, at most five seconds, unless the program has its own handler.
    - ``set_timer`` raises ``ConfigError``, because there is no driver to fire timers. Use ``loop.call_later`` and
      publish.
    - A forked child cannot publish on its parent's bus, and does not hold its lock.

    Raises ``TapeError`` if the tape cannot be opened, and ``ConfigError`` for an invalid URL or under the patches of
    gevent or eventlet. In that case no thread and no lock remains.
    """
    _refuse_green_threads()
    store = make_store("open_bus", url, tape_format)
    try:
        bus = RecordedBus(store)
        last = next(store.read(TapeQuery(first_seq=store.last_seq)), None) if store.last_seq else None
        if last is not None:
            bus.continue_from(last)
            bus.restore_dead_letters(
                dead_letters_on(store.read(TapeQuery(types=("system.*dead_letter*", "command.*"))))
            )
        _kernels.add(bus)
        defer_interrupts(bus)
    except BaseException:
        store.close()
        raise
    return bus


async def close_bus(bus: EventBus) -> None:
    """Dispatch what other threads handed over, let the edges finish their events, then write everything to disk and
    close the file. The file is closed even if an edge or the tape fails; the error is raised.

    Inside an async handler this only waits for the other handlers.
    """
    check_methods("close_bus", "bus", bus, "publish", "close")
    await bus.close()


def _refuse_green_threads() -> None:
    """A patched ``threading`` runs the tape's thread as a green one: a commit would block all others, or never
    happen."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    patched = (gevent is not None and gevent.is_module_patched("threading")) or (
        eventlet is not None and eventlet.is_monkey_patched("thread")
    )
    if patched:
        name = "gevent" if gevent is not None else "eventlet"
        raise ConfigError(f"open_bus: {name} has patched threading, which breaks the tape; use another process")


def _refuse_in_child() -> None:
    for kernel in list(_kernels):
        kernel.leave("this process was forked from the one that writes its tape; open a bus with its own tape")


os.register_at_fork(after_in_child=_refuse_in_child)
