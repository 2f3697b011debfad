"""The timers of a run: those that are set, and the inputs that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tickdeck.application.kernel.agenda import RANK_TIMER, Agenda
from tickdeck.domain.events import DomainEvent, TimerCancelled, TimerFired, TimerSet

__all__ = ["TIMER_EVENTS", "TIMER_SOURCE", "Timers"]

TIMER_SOURCE = "timer"
"""The source of ``timer.fired``."""
TIMER_EVENTS = frozenset((TimerSet, TimerCancelled))
"""The classes of events that set and cancel timers when they are dispatched."""


class Timers:
    """``fire(event)`` takes each timer that is due as an input. Without an ``agenda``, timers are only counted, because
    the record will fire them."""

    def __init__(self, agenda: Agenda | None, fire: Callable[[TimerFired], None]) -> None:
        self._agenda = agenda
        self.fire = fire
        self._numbered = 0
        self._numbered_outside = 0
        self.changed: Callable[[], object] = lambda: None
        """Called when a timer was set."""
        self._pending: dict[int, int] = {}  # timer id -> number on the agenda
        self._recorded: dict[int, TimerSet] = {}  # of a past that is being restored; not on the agenda yet

    def next_id(self) -> int:
        self._numbered += 1
        return self._numbered

    def next_id_outside(self) -> int:
        """The id of a timer that is not set in a handler. It is negative, so that handlers that are executed again
        number their timers as before.
        """
        self._numbered_outside -= 1
        return self._numbered_outside

    def restore(self, events: Iterable[DomainEvent]) -> None:
        """Take over the timers of an earlier process from its ``timer.*`` events, in order."""
        for event in events:
            self.remember(event)
        self.set_remembered()

    def remember(self, event: DomainEvent) -> None:
        """Take note of a recorded ``timer.*`` event."""
        if isinstance(event, TimerSet):
            self._recorded[event.timer_id] = event
            self.count(event)
        elif isinstance(event, TimerCancelled | TimerFired):
            self._recorded.pop(event.timer_id, None)

    def count(self, event: TimerSet) -> None:
        """Number later timers after this one."""
        self._numbered = max(self._numbered, event.timer_id)
        self._numbered_outside = min(self._numbered_outside, event.timer_id)

    def set_remembered(self, owner: str | None = None) -> None:
        """Set the remembered timers that have not fired and were not cancelled; with ``owner`` only its own."""
        for event in [timer for timer in self._recorded.values() if owner in (None, timer.owner)]:
            del self._recorded[event.timer_id]
            self.apply(event)

    def forget(self, timer_id: int) -> None:
        """The record fired the timer."""
        number = self._pending.pop(timer_id, None)
        if number is not None and self._agenda is not None:
            self._agenda.cancel(number)

    def __contains__(self, timer_id: int) -> bool:
        """Whether the timer will fire."""
        return timer_id in self._pending

    def ids(self) -> tuple[int, ...]:
        """The ids of the timers that will fire, in order of creation."""
        return tuple(self._pending)

    def apply(self, event: TimerSet | TimerCancelled) -> None:
        """Set or cancel a timer, as the event says."""
        if isinstance(event, TimerCancelled):
            self.forget(event.timer_id)
            return
        if self._agenda is None:
            return
        fired = TimerFired(
            timer_id=event.timer_id,
            name=event.name,
            owner=event.owner,
            due=event.due,
            ts=event.due,
            ts_ingress=event.due,
            source=TIMER_SOURCE,
            causation_id=event.causation_id,
            correlation_id=event.correlation_id,
        )
        self._pending[event.timer_id] = self._agenda.at(event.due, partial(self._fall_due, fired), RANK_TIMER)
        self.changed()

    def _fall_due(self, fired: TimerFired) -> None:
        self._pending.pop(fired.timer_id, None)
        self.fire(fired)
