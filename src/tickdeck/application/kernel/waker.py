"""Fires the timers of a bus that has no driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from tickdeck.application.clock import LiveClock
from tickdeck.application.kernel.agenda import NEVER, Agenda

__all__ = ["Waker"]

_LONGEST_SLEEP_S = 60.0
"""The time of day may be set forward while we sleep."""


class Waker:
    """Calls ``fire()`` in the running event loop when the next entry of ``agenda`` is due by ``clock.time_ns()``.

    Without a running loop it does nothing. Whoever owns the bus then fires what is due before each input.
    """

    def __init__(self, clock: LiveClock, agenda: Agenda, fire: Callable[[], None]) -> None:
        self.clock = clock
        self.agenda = agenda
        self._fire = fire
        self._task: asyncio.Task[None] | None = None
        self._until = NEVER

    def wake_in_time(self) -> None:
        """A timer was set, or the loop has changed: make sure that the loop wakes up for the next one."""
        due = self.agenda.next_due
        if due == NEVER:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        task = self._task
        if task is not None and not task.done() and task.get_loop() is loop:
            if self._until <= due:
                return
            task.cancel()
        self._until = due
        # In an empty context: the timer does not belong to the request that happened to set it.
        self._task = loop.create_task(self._wait(), name="tickdeck-timers", context=Context())

    def stop(self) -> None:
        """Fire nothing more. The timers stay on the tape."""
        task, self._task = self._task, None
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.cancel()

    async def _wait(self) -> None:
        while (due := self.agenda.next_due) != NEVER:
            self._until = due
            left = (due - self.clock.time_ns()) / 1e9
            await self.clock.sleep(min(max(left, 0.0), _LONGEST_SLEEP_S))
            if self.agenda.next_due <= self.clock.time_ns():
                try:
                    self._fire()
                except Exception as error:  # noqa: BLE001 (the loop reports it, as for a callback)
                    asyncio.get_running_loop().call_exception_handler(
                        {"message": "a timer of the bus could not fire", "exception": error}
                    )
                    return
