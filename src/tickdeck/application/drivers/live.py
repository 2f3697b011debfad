"""The driver of a live run, on the wall clock. It takes timers when they are due, and frames of the venue when they
arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple

from tickdeck.application.bus import ambient_bus
from tickdeck.application.clock import LiveClock
from tickdeck.application.drivers.driver import Driver, Recalled
from tickdeck.application.kernel import NEVER, RANK_VENUE, Agenda, Kernel, money_context
from tickdeck.application.ports import Frame
from tickdeck.application.streaming import BoundedAsyncQueue
from tickdeck.domain.events import CommandReceived, DomainEvent, FeedDisconnected, RunResumed, RunStarted, RunStopped
from tickdeck.errors import RunError

__all__ = ["LiveAgenda", "LiveDriver", "Past"]

_SLICE_NS = 2_000_000  # how long to process frames before timers, orders and other tasks get a turn
_LONGEST_WAIT = 0.1  # seconds until a request to stop is noticed
_TURN = 2_048  # recorded frames between two turns of the event loop


class Past(NamedTuple):
    """What a resumed run did before: ``began`` (ns UTC) is the time of its ``run.started``, and ``frames`` are all
    frames that it recorded. ``next()`` is the next event of its tape that has not been executed again, or ``None``.
    ``recalled``: the part that is not executed again, and takes its frames from ``frames``."""

    began: int
    frames: Iterator[Frame]
    next: Callable[[], DomainEvent | None]
    recalled: Recalled | None = None


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
    - ``duration``: ns of the wall clock since the start; ``None`` runs until it is stopped.
    - ``past``: of a resumed run. It is executed again first; the kernel must insert the inputs from outside. Then the
      driver publishes ``run.resumed``, and continues.

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
        halt: CommandReceived | None = None,
        past: Past | None = None,
    ) -> None:
        super().__init__(kernel, agenda, wall=wall, started=started, begin=begin, feed=feed, observe=observe, halt=halt)
        self._past = past
        self._caught_up = past is None
        self._frames = frames
        self._clock = wall
        self._record = record
        self._decode = decode
        self._on_market = on_market
        self._duration = duration
        self._until = NEVER
        self._reached = 0  # the latest time at which something was due that was processed
        self._timeout: asyncio.Timeout | None = None  # of the wait for the next frame
        agenda.on_sooner = self._wake

    @property
    def has_caught_up(self) -> bool:
        """Whether the past of a resumed run has been executed again, with all its frames."""
        return self._caught_up

    @property
    def is_resumed(self) -> bool:
        """Whether there is a past to execute again."""
        return self._past is not None

    def continue_with(self, recalled: Recalled) -> None:
        assert self._past is not None
        self._past = self._past._replace(recalled=recalled)

    async def begin(self, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        """Feed ``run.started``, and execute or restore the past of a resumed run. Call this once, before ``run``.
        ``progress`` is as there."""
        with money_context(), ambient_bus(self._kernel):
            began = self._past.began if self._past is not None else self._clock.time_ns()
            if self._duration is not None:
                self._until = began + self._duration
            recalled = self._past.recalled if self._past is not None else None
            if recalled is None:
                self._start(began)
            else:
                for number, ts in enumerate(self._take_up(recalled.inputs()), 1):
                    if number % _TURN == 0:
                        await self._clock.sleep(0)
                        progress(ts)
                    if self._stopping:
                        return
            if self._past is not None:
                await self._catch_up(self._past, progress)

    async def run(
        self, *, progress: Callable[[int], None] = lambda ts: None, wind_up: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """Run until it is stopped. ``progress(ts)`` is called with the run's time between two turns of the event loop.
        ``wind_up()`` is awaited when no more frames are taken; if it returns False, the run is not complete.

        If the duration is over, the run ends with ``run.stopped``. If it is stopped earlier, nothing is added to its
        record.
        """
        with money_context(), ambient_bus(self._kernel):
            while not self._stopping and self._clock.time_ns() < self._until:
                await self._turn()
                progress(self._kernel.clock.now())
            wound_up = wind_up is None or await wind_up()
            if wound_up and not self._stopping:
                self._finish("duration reached")

    async def _catch_up(self, past: Past, progress: Callable[[int], None]) -> None:
        """Execute the past again, then publish ``run.resumed``. Raises ``RunError`` if the tape has events that the
        frames do not lead to."""
        for number, frame in enumerate(past.frames, 1):
            self._run_due(frame.received)
            if self.is_stopping:  # what was due is not complete
                return
            for event in self._decode(frame):
                self._on_market(event)
                self._kernel.take(event, False)
                self._taken += 1
            if number % _TURN == 0:
                await self._clock.sleep(0)
                progress(self._kernel.clock.now())
        if self.is_stopping:
            return
        while (missing := past.next()) is not None:  # it was due after the last frame
            if missing.seq > self._kernel.seq + 1 or self._agenda.next_due > missing.ts_ingress:
                raise RunError(
                    f"the run cannot be resumed: its market data does not lead to {missing.event_type} at seq "
                    f"{missing.seq} of its tape; restore the run's folder from a copy"
                )
            self._run_due(self._agenda.next_due)
            if self._stopping:
                return
        self._caught_up = True
        recalled = past.recalled.resumed if past.recalled is not None else None
        self._resumed(recalled or RunResumed(), self._clock.time_ns())
        if past.recalled is not None:  # else it was ordered at the start, and waited for the end of the record
            self._halt_if_ordered()  # before an order of the new stretch becomes durable and is sent

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
        reached = max(self._reached, self._kernel.clock.now())
        if received < reached:  # the wall clock was set back; the record must lead to the same order
            received, frame = reached, Frame(reached, frame.data)
        if received >= self._agenda.next_due:
            self._run_due(received)
            if self._stopping:  # what was due is not complete, so the run ends before the frame
                return
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

    def _run_entry(self, entry: tuple[int, Callable[[], None]]) -> None:
        self._reached = max(self._reached, entry[0])
        super()._run_entry(entry)

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
