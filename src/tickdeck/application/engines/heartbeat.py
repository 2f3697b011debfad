"""The heartbeat engine: shows that the core is alive, and how far it has come."""

from __future__ import annotations

from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, RunStarted, SystemHeartbeat, TimerFired

__all__ = ["HeartbeatEngine"]

_OWNER = "engine/heartbeat"  # owner of its timers; no strategy can have this name


class HeartbeatEngine:
    """Publishes a heartbeat every ``interval`` (ns of the run's clock). The first one comes one interval after the
    start."""

    component = "heartbeat"
    hears = (RunStarted, TimerFired)
    publishes = (SystemHeartbeat,)

    def __init__(self, kernel: Kernel, interval: int) -> None:
        self._kernel = kernel
        self._interval = interval
        self._number = 0
        priority = PRIORITY[self.component]
        kernel.subscribe(RunStarted, self.on_started, priority=priority, component=self.component)
        kernel.subscribe(
            TimerFired,
            self.on_timer,
            where=lambda timer: timer.owner == _OWNER,
            priority=priority,
            component=self.component,
        )

    def on_started(self, started: RunStarted) -> None:
        self._beat_at(started.ts_ingress + self._interval)

    def on_timer(self, timer: TimerFired) -> None:
        self._number += 1
        kernel = self._kernel
        kernel.publish(SystemHeartbeat(number=self._number, inputs=kernel.inputs, events=kernel.seq))
        self._beat_at(timer.due + self._interval)

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record."""
        if isinstance(event, SystemHeartbeat):
            self._number = event.number

    def _beat_at(self, due: int) -> None:
        self._kernel.set_timer(due, "heartbeat", _OWNER)
