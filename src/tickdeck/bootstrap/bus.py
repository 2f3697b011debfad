"""A bus with a tape, for any program."""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from pathlib import Path

import msgspec

from tickdeck.application.arguments import check_methods
from tickdeck.application.bus import EventBus, Held, dead_letters_on
from tickdeck.application.clock import LiveClock
from tickdeck.application.kernel import NEVER, Agenda, CommittingKernel, Kernel, Waker
from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap.bus_store import BusStore
from tickdeck.bootstrap.store import AnyStore, make_store
from tickdeck.domain.events import DomainEvent, TimerCancelled, TimerFired, TimerSet
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.interrupt import defer_interrupts, stop_deferring

__all__ = ["RecordedBus", "close_bus", "open_bus"]

_kernels: weakref.WeakSet[Kernel] = weakref.WeakSet()


class RecordedBus(CommittingKernel):
    """The bus of a program: a kernel whose tape can be read as ``store``."""

    _executed_again = False

    def __init__(self, store: AnyStore, clock: LiveClock) -> None:
        agenda = Agenda()
        super().__init__(tape=store, cursors=store.cursors, agenda=agenda, wall_now=clock.time_ns, clock=clock)
        self.store = BusStore(store)
        """The bus's events: read, follow, take the last n, keep snapshots."""
        self._waker = Waker(clock, agenda, self.fire_timers)
        self._timers.fire = self._fire
        self._timers.changed = self._waker.wake_in_time
        self._wake_running_loop()

    def _claim(self, call: str) -> None:
        super()._claim(call)
        self._wake_running_loop()

    def _wake_running_loop(self) -> None:
        """Let ``publish_threadsafe`` wake the event loop of this thread, which opened the bus or has become its owner.
        Without ``bind``, the events of other threads would wait until the bus is closed."""
        try:
            self._handover.bind(asyncio.get_running_loop())
        except RuntimeError:
            self._handover.unbind()

    def set_timer(self, due: int, name: str, owner: str = "") -> int:
        """Publish a ``timer.fired`` with ``name`` and ``owner`` as soon as the clock has reached ``due`` (ns UTC).
        Returns the timer's id.

        It fires in the event loop that is running when you set the timer, or that you ``bind``. Without a loop, it
        fires before the next input after its time, or in ``run_pending``. Setting it is an event too (``timer.set``),
        so a timer that has not fired is set again when the bus is opened again.
        """
        return super().set_timer(due, name, owner)

    def fire_timers(self) -> None:
        """Fire each timer that is due now. A timer that a handler sets meanwhile waits for the next call. Inside a
        handler this does nothing, and in a batch the timers wait for its end."""
        if self._busy or self._gate.batch is not None:
            return
        now = self._waker.clock.time_ns()
        for _ in range(len(self.timers)):
            entry = self._waker.agenda.pop(now)
            if entry is None:
                return
            entry[1]()

    def run_pending(self) -> int:
        self._check_taking()
        self.fire_timers()
        return super().run_pending()

    def bind(self) -> None:
        super().bind()
        self._waker.wake_in_time()

    def _fire(self, fired: TimerFired) -> None:
        event = msgspec.structs.replace(fired, ts_ingress=0)  # it is received now, perhaps long after its time
        if self._open:
            super()._take_input(event)
        else:
            self._gate.take(Held(event, None))

    def _take_input(self, event: DomainEvent) -> None:
        if self._waker.agenda.next_due != NEVER:
            self.fire_timers()
        super()._take_input(event)

    def _publish_timer(self, event: TimerSet | TimerCancelled) -> None:
        if self._busy:
            super()._publish_timer(event)
        else:
            self._timers.apply(event)
            super()._take_input(self._caused(event))

    async def close(self) -> None:
        """See ``close_bus``."""
        try:
            await super().close()
        finally:
            self._waker.stop()
            stop_deferring(self)


def open_bus(url: Path | str, *, tape_format: str | None = None, clock: LiveClock | None = None) -> RecordedBus:
    """Open a bus with a tape at ``url``, which is created if it does not exist. Events are stamped with ids, causes and
    the time of the wall clock, and recorded before edges receive them. The bus continues after the last event of the
    tape, with the dead letters that remained. Close it with ``close_bus``. If a program ends without that, the tape
    still has everything for which ``publish`` returned.

    ``url``: ``memory://``, ``sqlite:///absolute/path``, ``jsonl:///absolute/path``, or a path. A new tape at a path has
    the format ``tape_format`` (``sqlite``, the default, or ``jsonl``).

    - The bus belongs to the first thread that publishes, or to the thread that calls ``bus.bind()``. Events from other
      threads wake the event loop in which it was opened, the owner's, or the one that was bound last.
    - Ctrl-C waits for the end of the running cascade, at most five seconds, unless the program has its own handler.
    - ``bus.set_timer(due, name)`` publishes ``timer.fired`` at its time, also after a restart.
    - ``clock`` stamps the events and paces timers and retries; tests give one that they move themselves.
    - A forked child cannot publish on its parent's bus, and does not hold its lock.

    Raises ``TapeError`` if the tape cannot be opened, and ``ConfigError`` for an invalid URL or under the patches of
    gevent or eventlet. In that case no thread and no lock remains.
    """
    _refuse_green_threads()
    if clock is not None:
        check_methods("open_bus", "clock", clock, "monotonic_ns", "sleep", "time_ns")
    store = make_store("open_bus", url, tape_format)
    try:
        bus = RecordedBus(store, clock or SystemClock())
        last = next(store.read(TapeQuery(first_seq=store.last_seq)), None) if store.last_seq else None
        if last is not None:
            bus.continue_from(last)
            bus.restore_timers(store.read(TapeQuery(types=("timer.*",))))
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
