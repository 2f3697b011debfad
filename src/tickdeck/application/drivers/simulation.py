"""The driver of a run on the virtual clock: takes recorded or simulated market data, one input after the other.

The order at one instant is: timers, the simulated venue's arrivals and reports, then market data. Speed only affects
the pace: a run at speed 1 and one at full speed have the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from tickdeck.application.bus import ambient_bus
from tickdeck.application.clock import WallClock
from tickdeck.application.drivers.driver import Driver, Recalled
from tickdeck.application.kernel import NEVER, RANK_VENUE, Agenda, Kernel, money_context
from tickdeck.domain.events import (
    BacktestCompleted,
    BacktestFailed,
    BacktestProgressed,
    BacktestStarted,
    CommandReceived,
    DomainEvent,
    FeedDisconnected,
    RunStarted,
    RunStopped,
    SystemError,  # noqa: A004 (the catalogue's name)
)
from tickdeck.domain.market import CandleOpen
from tickdeck.errors import InputError

__all__ = ["Simulation"]

_CHUNK = 16  # inputs between two checks of the wall clock, and of which one is timed
_TURN = 2_048  # inputs between two turns of the event loop at full speed
_PROGRESS = 65_536  # market data between two progress reports of a backtest; a multiple of the chunk
_SETTLE = 1_000_000_000  # ns after the last input in which the venue's last reports may arrive


class Simulation(Driver):
    """Feeds the kernel until the market ends, the duration is over, or ``request_stop`` is called.

    - ``market``: events in order of ``ts_ingress``, and the opens of candles, which only ``on_market`` receives.
      ``on_market(event)`` receives each one before the kernel does: this is how the paper venue sees the market.
    - ``record_market``: put the market events on the tape too, because no file contains them.
    - ``duration``: ns of the run's clock; ``None`` runs to the end of the market data.
    - ``figures(inputs)`` makes the run a backtest: the events ``backtest.*`` report its progress, and the last one
      contains what this returns.
    - ``recalled``: of a resumed run, the past that is not executed again. ``market`` continues after it.

    The rest is as in ``Driver``.
    """

    def __init__(
        self,
        kernel: Kernel,
        agenda: Agenda,
        market: Iterator[DomainEvent | CandleOpen],
        *,
        wall: WallClock,
        started: RunStarted,
        record_market: bool,
        on_market: Callable[[DomainEvent | CandleOpen], None],
        begin: Callable[[int], None],
        feed: str,
        duration: int | None = None,
        observe: Callable[[int], int] | None = None,
        halt: CommandReceived | None = None,
        figures: Callable[[int], BacktestCompleted] | None = None,
        recalled: Recalled | None = None,
    ) -> None:
        super().__init__(kernel, agenda, wall=wall, started=started, begin=begin, feed=feed, observe=observe, halt=halt)
        self._market = market
        self._record = record_market
        self._on_market = on_market
        self._duration = duration
        self._figures = figures
        self._recalled = recalled
        self._next_progress = _PROGRESS
        self._opens = 0  # of candles, taken from the market
        self._until = NEVER
        self._last = 0
        self._next: DomainEvent | CandleOpen | None = None  # read from the market, but not taken
        self._anchor: tuple[int, int] | None = None  # wall and run time when pacing began

    @property
    def market_read(self) -> int:
        """How many events and opens of candles were read from the market."""
        return self._taken + self._opens + (self._next is not None)

    def continue_with(self, recalled: Recalled) -> None:
        self._recalled = recalled

    async def run(
        self,
        speed: float | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda ts: None,
        pace_from: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run to the end, or until ``request_stop`` is called or ``stop()`` is true; then the run can be resumed.

        ``speed``: how many times real time; ``None`` for full speed. Pacing begins when ``pace_from()`` becomes true (a
        resumed run first catches up with its tape). Between two turns of the event loop, ``stop()`` is checked and
        ``progress(ts)`` is called with the run's time. In everything that this calls, ``get_event_bus()`` returns the
        run's kernel.

        Raises ``InputError`` if the market data is broken; the tape then has a ``system.error``.
        """
        with money_context(), ambient_bus(self._kernel):
            await self._run(speed, stop, progress, pace_from)

    async def _run(
        self,
        speed: float | None,
        stop: Callable[[], bool],
        progress: Callable[[int], None],
        pace_from: Callable[[], bool],
    ) -> None:
        if self._recalled is not None:
            more = await self._begin_again(self._recalled, progress)
            if not more:
                return
        else:
            more = self._begin_anew()
        if more:
            while more and not self._stopping and not stop():
                try:
                    if speed is None or not pace_from():
                        more = self._turn()
                    else:
                        more = await self._paced(speed, stop)
                except InputError as error:
                    self._fail(error)
                    raise
                await self._wall.sleep(0)
                progress(self._last)
            if more or self._stopping:
                return
        self._finish("end of market data" if self._last < self._until else "duration reached")

    def _begin_anew(self) -> bool:
        """Feed ``run.started``. Returns whether there is market data."""
        first = next(self._market, None)
        start = first.ts_ingress if first is not None else 0
        if self._duration is not None:
            self._until = start + self._duration
        self._start(start)
        self._last = start
        if first is None:
            return False
        self._market = chain((first,), self._market)
        return True

    async def _begin_again(self, recalled: Recalled, progress: Callable[[int], None]) -> bool:
        """Restore the past. Returns False if the run is complete, or must stop."""
        for number, ts in enumerate(self._take_up(recalled.inputs())):
            if not number and self._duration is not None:
                self._until = ts + self._duration
            self._last = ts
            if number % _TURN == 0:
                await self._wall.sleep(0)
                progress(ts)
            if self._stopping:
                return False
        self._next_progress = (self._taken // _PROGRESS + 1) * _PROGRESS
        if self._next is not None:
            self._market, self._next = chain((self._next,), self._market), None
        if self.completed:
            return False
        if recalled.resumed is not None:
            self._resumed(recalled.resumed, self._last)
        self._halt_if_ordered()
        return True

    def _began(self, ts: int) -> None:
        if self._figures is not None:
            started = self._started
            self._feed(BacktestStarted(strategies=started.strategies, symbols=started.symbols, first_ts=ts))

    def _turn(self) -> bool:
        """Run a chunk at full speed. Returns False if there are no more events."""
        return all(self._take(islice(self._market, _CHUNK)) == _CHUNK for _ in range(_TURN // _CHUNK))

    def _take(self, events: Iterable[DomainEvent | CandleOpen]) -> int:
        """Feed market events, and what is due before each. Returns how many, or -1 if ``until`` is reached or the run
        must stop."""
        agenda, on_market, record, until = self._agenda, self._on_market, self._record, self._until
        feed = self._kernel.take
        taken = opens = 0
        try:
            for event in events:
                ts = event.ts_ingress
                if ts >= agenda.next_due:
                    self._run_due(min(ts, until))
                if self._stopping:
                    self._next = event  # a snapshot of the stopped run needs it
                    return -1
                if ts >= until:
                    self._last = until
                    return -1
                if isinstance(event, CandleOpen):
                    on_market(event)  # only the venue receives the opens of candles
                    self._kernel.step()
                    opens += 1
                    self._last = ts
                    continue
                if taken:
                    on_market(event)
                    feed(event, record)
                else:
                    began = self._wall.monotonic_ns()
                    on_market(event)
                    feed(event, record)
                    self.latencies_ns.append(self._wall.monotonic_ns() - began)
                taken += 1
                self._last = ts
        finally:
            self._taken += taken
            self._opens += opens
        if self._figures is not None and self._taken >= self._next_progress:
            # A chunk never spans two steps, so this comes right after the input that completes a step, at any speed.
            self._next_progress += _PROGRESS
            self._feed(BacktestProgressed(inputs=self._taken, reached_ts=self._last))
        return taken + opens

    async def _paced(self, speed: float, stop: Callable[[], bool]) -> bool:
        """Feed market events at their own time, for about a tenth of a second. Returns False if there are no more."""
        wall, agenda = self._wall, self._agenda
        if self._anchor is None:
            self._anchor = (wall.monotonic_ns(), self._last)
        wall_start, ts_start = self._anchor
        until_turn = wall.monotonic_ns() + 100_000_000
        while wall.monotonic_ns() < until_turn:
            event = self._next
            if event is None:
                event = self._next = next(self._market, None)
                if event is None:
                    return False
            due = min(event.ts_ingress, agenda.next_due, self._until)
            wait = (due - ts_start) / speed - (wall.monotonic_ns() - wall_start)
            if wait > 0:
                await wall.sleep(min(wait / 1e9, 0.1))
            if self._stopping or stop():
                break
            if wait > 100_000_000:
                continue  # not due yet: check the time and stop() again
            if agenda.next_due <= due < event.ts_ingress:
                self._run_due(due)
                self._last = max(self._last, due)
                continue
            self._next = None
            if self._take((event,)) < 1:
                return False
        return True

    def _finish(self, reason: str) -> None:
        """Feed the venue's last reports, then ``run.stopped``."""
        self._feed(FeedDisconnected(feed=self._feed_name, symbols=self._started.symbols, reason=reason))
        deadline = self._last + _SETTLE
        while (entry := self._agenda.pop(deadline, rank=RANK_VENUE)) is not None:
            self._run_entry(entry)
            self._kernel.run_pending()
            if self._stopping:
                return
        if self._figures is not None:
            if self._kernel.halted:
                self._feed(BacktestFailed(inputs=self._taken, reason="an error in the core halted trading"))
            else:
                self._feed(self._figures(self._taken))
        self._kernel.take(RunStopped(reason=reason, source="driver"))
        self.completed = True

    def _fail(self, error: InputError) -> None:
        """The market data is broken. It is broken again whenever the run is executed, so this may be on the tape."""
        reason = f"{type(error).__name__}: {error}"
        self._feed(SystemError(component="driver", error=type(error).__name__, message=str(error)))
        self._feed(FeedDisconnected(feed=self._feed_name, symbols=self._started.symbols, reason=reason))
        if self._figures is not None:
            self._feed(BacktestFailed(inputs=self._taken, reason=reason))
