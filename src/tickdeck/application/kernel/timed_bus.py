"""A bus on which handlers can set timers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from threading import get_ident

from tickdeck.application.arguments import check_whole
from tickdeck.application.bus import InMemoryEventBus, handling_on
from tickdeck.application.kernel.timers import Timers
from tickdeck.domain.events import DomainEvent, TimerCancelled, TimerSet
from tickdeck.errors import ConfigError

__all__ = ["TimedBus"]


class TimedBus(InMemoryEventBus):
    """The part of a kernel that sets and cancels timers."""

    fires_timers = True
    """Whether timers fire by an agenda. Otherwise a record fires them."""
    _executed_again = True
    """Whether a resumed run produces all inputs again, except those from edges and other threads."""
    _timers: Timers

    def set_timer(self, due: int, name: str, owner: str = "") -> int:
        """Schedule a ``timer.fired`` input with ``name`` and ``owner`` at ``due`` (ns UTC, on the run's clock), before
        all other inputs of that time. Returns the timer's id. If ``due`` has passed, it fires before the next input.

        In a handler, this publishes ``timer.set``; the timer is set when that event is dispatched, so a handler that
        raises sets no timer. Before the first input there is no such event.

        Raises ``ConfigError`` in an edge and in another thread, because a resumed run does not call these again and
        would miss the timer. Publish an event there, and set the timer in a handler of that event.
        """
        self._check_timer_call("set_timer")
        if type(due) is not int:
            raise ConfigError(f"timer {name!r}: due is {due!r}; give whole nanoseconds, as an int")
        timers = self._timers
        timer_id = timers.next_id() if self._busy or self._executed_again else timers.next_id_outside()
        self._publish_timer(TimerSet(timer_id=timer_id, name=name, owner=owner, due=due))
        return timer_id

    def cancel_timer(self, timer_id: int) -> None:
        """Cancel a timer. In a handler, this publishes ``timer.cancelled``. Does nothing if the timer has fired or was
        cancelled. Raises ``ConfigError`` in the same cases as ``set_timer``."""
        check_whole("cancel_timer", "timer_id", timer_id)
        self._check_timer_call("cancel_timer")
        if self._is_timer_pending(timer_id):
            self._publish_timer(TimerCancelled(timer_id=timer_id))

    def _check_timer_call(self, call: str) -> None:
        if self._owner and get_ident() != self._owner:
            self._claim(call)
        if self._executed_again and not self._busy and handling_on(self) is not None:
            raise ConfigError(
                f"{call} in an edge: a resumed run does not call the edge again, so its timers would differ; publish "
                "an event, and call it in a handler of that event"
            )

    @property
    def timers(self) -> tuple[int, ...]:
        """The ids of the timers that will fire, in order of creation."""
        return self._timers.ids()

    def restore_timers(self, events: Iterable[DomainEvent]) -> None:
        """Take over the timers of an earlier process from its ``timer.*`` events, in order."""
        self._timers.restore(events)

    def _publish_timer(self, event: TimerSet | TimerCancelled) -> None:
        if self._busy:
            self._staged.append(event)
        else:
            self._timers.apply(event)

    def _is_timer_pending(self, timer_id: int) -> bool:
        """The last published event about the timer decides, dispatched or not."""
        for event in chain(reversed(self._staged), reversed(self._queue)):
            if isinstance(event, TimerSet | TimerCancelled) and event.timer_id == timer_id:
                return isinstance(event, TimerSet)
        return timer_id in self._timers
