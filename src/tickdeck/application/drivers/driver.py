"""What every driver does: begin the run, run what is due, and stop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import force_setattr

from tickdeck.application.clock import WallClock
from tickdeck.application.kernel import RANK_OBSERVER, RANK_VENUE, Agenda, Kernel
from tickdeck.domain.events import CommandReceived, DomainEvent, FeedConnected, RunResumed, RunStarted, RunStopped

__all__ = ["RESUME", "Driver", "Recalled"]

RESUME = "resume"
"""The source of ``run.resumed``. It is not reserved, because a later resume takes the event from the record."""

_TIMED = 65_536  # how many timings to remember: the newest
_STANDSTILL = 1_000_000  # ns of the run's clock; too many timers and reports within it mean that the clock stands still
_CASCADES = 10  # how many cascades of the maximum length fit into that time


class Recalled(NamedTuple):
    """The part of a resumed run's past that is restored from the record instead of being executed.

    ``inputs()`` restores one input with its effects at each step, and returns it. ``resumed`` is published when the
    whole past was restored; its times are set then. ``None``: the record has it already.
    """

    inputs: Callable[[], Iterator[DomainEvent]]
    resumed: RunResumed | None


class Driver(ABC):
    """Feeds a kernel. Subclasses decide where the next market event comes from and when it is taken.

    - ``begin(ts)`` runs after ``run.started``. ``feed`` names the stream of market data.
    - ``observe(ts)`` is called at the start, and again after as many ns of the run's clock as it returns.
    - ``halt``: a command that is carried out at the start, or where a resumed run continues.

    If more than ten times ``kernel.max_cascade`` timers and reports are due within a millisecond, the clock stands
    still: the driver then feeds the command ``halt``, once.
    """

    def __init__(
        self,
        kernel: Kernel,
        agenda: Agenda,
        *,
        wall: WallClock,
        started: RunStarted,
        begin: Callable[[int], None],
        feed: str,
        observe: Callable[[int], int] | None = None,
        halt: CommandReceived | None = None,
    ) -> None:
        self._kernel = kernel
        self._agenda = agenda
        self._wall = wall
        self._started = started
        self._begin = begin
        self._feed_name = feed
        self._observe = observe
        self._halt = halt
        self._taken = 0  # market data
        self._stopping = False
        self._crowd = (0, 0)  # where a millisecond of the run's clock began, and how much was due in it
        self._stood_still = False
        self.latencies_ns: deque[int] = deque(maxlen=_TIMED)
        """Durations of cascades for a sample of the inputs: one in 16 at full speed, all of a paced run."""
        self.completed = False
        self.has_taken_up = True
        """Whether the past that is not executed again was restored completely."""

    def request_stop(self) -> None:
        """End the run after the current cascade. A signal handler may call this at any time."""
        self._stopping = True

    @property
    def is_stopping(self) -> bool:
        """Whether somebody has asked the run to stop."""
        return self._stopping

    @property
    def market_events(self) -> int:
        """How many inputs of market data were taken."""
        return self._taken

    def _take_up(self, inputs: Iterator[DomainEvent]) -> Iterator[int]:
        """Restore a past from the record, and yield the time (ns) of each input."""
        self.has_taken_up = False
        for event in inputs:
            if isinstance(event, RunStarted):
                self._observe_from(event.ts_ingress)
            elif isinstance(event, RunStopped):
                self.completed = True
            self._taken += event.is_market_data
            yield event.ts_ingress
        self.has_taken_up = True

    @abstractmethod
    def continue_with(self, recalled: Recalled) -> None:
        """Continue a run whose state was put into this driver: take up ``recalled`` instead of beginning."""

    def _resumed(self, resumed: RunResumed, now: int) -> None:
        """Publish ``run.resumed`` at ``now`` (ns UTC)."""
        since = self._kernel.clock.now()
        self._kernel.publish(msgspec.structs.replace(resumed, since=since, ts_ingress=now, source=RESUME))

    def _halt_if_ordered(self) -> None:
        if self._halt is not None:
            self._kernel.publish(self._halt)

    def _start(self, ts: int) -> None:
        """Feed ``run.started`` at ``ts``, begin the venue and start the observers."""
        started = self._started
        self._kernel.take(
            RunStarted(
                strategies=started.strategies,
                symbols=started.symbols,
                seed=started.seed,
                ts=ts,
                ts_ingress=ts,
                source="driver",
            )
        )
        self._begin(ts)
        self._kernel.run_pending()
        self._began(ts)
        self._feed(FeedConnected(feed=self._feed_name, symbols=started.symbols))
        self._halt_if_ordered()
        self._observe_from(ts)

    def _observe_from(self, ts: int) -> None:
        if self._observe is not None:
            self._agenda.at(ts, partial(self._look, ts), RANK_OBSERVER)

    def _began(self, ts: int) -> None:  # noqa: B027 (not every driver has something to do then)
        """Called after ``run.started``, before the market data."""

    def _run_due(self, now: int) -> None:
        """Process everything due up to ``now``, in order; simultaneous inputs are taken by lane."""
        agenda, kernel = self._agenda, self._kernel
        instant = 0
        while not self._stopping:
            if agenda.next > (instant, RANK_VENUE) and kernel.run_next():
                continue  # one at a time, because a timer set for this very instant comes before the next
            entry = agenda.pop(now)
            if entry is None:
                return
            instant = max(instant, entry[0])
            self._run_entry(entry)

    def _run_entry(self, entry: tuple[int, Callable[[], None]]) -> None:
        """Run a due action. Too many close together halt trading. Otherwise a venue without latency and a strategy that
        answers each report with an order would continue forever."""
        due, action = entry
        began, count = self._crowd
        self._crowd = (began, count + 1) if due - began < _STANDSTILL else (due, 1)
        most = _CASCADES * self._kernel.max_cascade
        if count >= most and not self._stood_still:
            self._stood_still = True
            reason = f"the clock stands still: more than {most:,} timers and reports were due within a millisecond"
            self._feed(CommandReceived(command="halt", reason=reason))
        before = self._kernel.inputs
        action()
        if self._kernel.inputs == before:
            self._kernel.step()

    def _look(self, now: int) -> None:
        assert self._observe is not None
        due = now + self._observe(now)
        self._agenda.at(due, partial(self._look, due), RANK_OBSERVER)

    def _feed(self, event: DomainEvent) -> None:
        """Feed the driver's own event, at the time of the last input."""
        event = event.__copy__()
        force_setattr(event, "source", "driver")
        self._kernel.take(event)
