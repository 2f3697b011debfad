"""The driver of a live run, on the wall clock. It takes timers when they are due, and frames of the venue when they
arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from tickdeck.application.bus import ambient_bus
from tickdeck.application.clock import LiveClock
from tickdeck.application.drivers.driver import Driver
from tickdeck.application.kernel import NEVER, RANK_VENUE, Agenda, Kernel, money_context
from tickdeck.application.ports import Frame
from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.domain.events import DomainEvent, FeedDisconnected, RunStarted, RunStopped

__all__ = ["LiveAgenda", "LiveDriver"]

_SLICE_NS = 2_000_000  # how long to process frames before timers, orders and other tasks get a turn
_LONGEST_WAIT = 0.1  # seconds until a request to stop is noticed


class LiveAgenda(Agenda):
    """An agenda that reports when an action is added that is due before all others."""

    __slots__ = ("on_sooner",)

    def __init__(self) -> None:
        super().__init__()
        self.on_sooner: Callable[[], None] = _no_driver_waits

    def at(self, due: int, action: Callable[[], None], rank: int = RANK_VENUE) -> int:
        next_due = self.next_due
        number = super().at(due, action, rank)
        if due < next_due:
            self.on_sooner()
        return number


class LiveDriver(Driver):
    """Feeds the kernel until ``request_stop`` is called or the duration is over.

    - ``frames``: the queue of received frames, in order of arrival. The task that reads the sockets puts them, this
      driver gets them. If the queue is closed with an error, ``run`` raises it.
    - ``record(frame)`` stores a frame before any of its effects.
    - ``decode(frame)`` returns the market events of a frame, in order. The result must depend only on the frames,
      because ``verify`` decodes them again.
    - ``on_market(event)`` receives each event before the kernel does: this is how the paper venue sees the market.
    - ``duration``: ns of the wall clock; ``None`` runs until it is stopped.

    Before a frame, everything that was due at its time of receipt is processed. While no frame waits, everything that
    is due now is processed. After two milliseconds of frames, other tasks get a turn, so orders are sent under any
    load.

    The rest is as in ``Driver``.
    """

    def __init__(
        self,
        kernel: Kernel,
        agenda: LiveAgenda,
        frames: BoundedAsyncQueue[Frame],
        *,
        wall: LiveClock,
        started: RunStarted,
        record: Callable[[Frame], None],
        decode: Callable[[Frame], Iterable[DomainEvent]],
        on_market: Callable[[DomainEvent], None],
        begin: Callable[[int], None],
        feed: str,
        duration: int | None = None,
        observe: Callable[[int], int] | None = None,
    ) -> None:
        super().__init__(kernel, agenda, wall=wall, started=started, begin=begin, feed=feed, observe=observe)
        self._frames = frames
        self._clock = wall
        self._record = record
        self._decode = decode
        self._on_market = on_market
        self._duration = duration
        self._until = NEVER
        self._timeout: asyncio.Timeout | None = None  # of the wait for the next frame
        agenda.on_sooner = self._wake

    async def run(self, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        """Run until it is stopped. ``progress(ts)`` is called with the run's time between two turns of the event loop.

        If the duration is over, the run ends with ``run.stopped``. If it is stopped earlier, nothing is added to its
        record.
        """
        with money_context(), ambient_bus(self._kernel):
            now = self._clock.time_ns()
            if self._duration is not None:
                self._until = now + self._duration
            self._start(now)
            while not self._stopping and self._clock.time_ns() < self._until:
                await self._turn()
                progress(self._kernel.clock.now())
            if not self._stopping:
                self._finish("duration reached")

    async def _turn(self) -> None:
        """Process waiting frames for a slice of time, then let other tasks run. If no frame waits, wait for one."""
        frames, clock = self._frames, self._clock
        frame = frames.get_nowait()
        if frame is None:
            self._run_due(clock.time_ns())
            frame = await self._next_frame()
            if frame is None:
                return
        end = clock.monotonic_ns() + _SLICE_NS
        while frame is not None and not self._stopping:
            self._take(frame)
            if clock.monotonic_ns() >= end:
                await clock.sleep(0)
                return
            frame = frames.get_nowait()

    def _take(self, frame: Frame) -> None:
        """Process everything that was due when the frame arrived, then the frame."""
        received = frame.received
        if received >= self._agenda.next_due:
            self._run_due(received)
        began = self._clock.monotonic_ns()
        self._record(frame)
        for event in self._decode(frame):
            self._on_market(event)
            self._kernel.take(event, False)
            self._taken += 1
        self.latencies_ns.append(self._clock.monotonic_ns() - began)

    async def _next_frame(self) -> Frame | None:
        """Wait for a frame until something else is due. Returns ``None`` if something else is due."""
        wait = (min(self._agenda.next_due, self._until) - self._clock.time_ns()) / 1e9
        if wait <= 0:
            await self._clock.sleep(0)
            return None
        try:
            async with asyncio.timeout(min(wait, _LONGEST_WAIT)) as self._timeout:
                return await self._frames.get()
        except TimeoutError:
            return None
        finally:
            self._timeout = None

    def _wake(self) -> None:
        """Stop waiting, because something is due earlier."""
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0)

    def _finish(self, reason: str) -> None:
        self._feed(FeedDisconnected(feed=self._feed_name, symbols=self._started.symbols, reason=reason))
        self._kernel.take(RunStopped(reason=reason, source="driver"))
        self.completed = True


def _no_driver_waits() -> None:
    """What a ``LiveAgenda`` calls while no driver waits on it."""
