"""The throttles of a bus: which events they let pass, and how many they suppress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tickdeck.application.bus.handlers import holds
from tickdeck.application.bus.overflow import Throttler
from tickdeck.application.bus.subscriptions import Subscription
from tickdeck.application.clock import WallClock
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["Throttles"]


class Throttles:
    """The throttles of a bus's subscriptions. ``by_receipt``: they use the time of receipt, as on a tape; otherwise the
    event's own time, or that of ``clock`` if the event has none."""

    def __init__(self, clock: WallClock | None, *, by_receipt: bool) -> None:
        self._clock = clock
        self._by_receipt = by_receipt
        self._running: dict[Throttler, None] = {}
        self._ended: Counter[str] = Counter()

    def admitted(self, throttler: Throttler, where: Callable[[Any], bool] | None) -> Callable[[Any], bool]:
        """``where``, and that ``throttler`` lets the event pass."""

        def passes(event: DomainEvent) -> bool:
            if where is not None and not holds(where, event):
                return False
            ts = event.ts_ingress if self._by_receipt else event.ts or event.ts_ingress
            if not ts:  # the bus stamps nothing
                if self._clock is None:
                    raise ConfigError("Throttle needs a time: give the event a ts, or the bus a clock (clock=...)")
                ts = self._clock.monotonic_ns()
            return throttler.admit(event, ts)

        return passes

    def watch(self, subscription: Subscription, throttler: Throttler | None) -> Subscription:
        """Count the events that ``throttler`` suppresses, and keep the counts after the subscription ends."""
        if throttler is None:
            return subscription
        self._running[throttler] = None
        end_before = subscription.ended

        def end() -> None:
            end_before()
            del self._running[throttler]
            self._ended.update(throttler.statistics().suppressed)

        subscription.ended = end
        return subscription

    def suppressed(self) -> Counter[str]:
        """How many events were suppressed, by type."""
        counts = self._ended.copy()
        for throttler in self._running:
            counts.update(throttler.statistics().suppressed)
        return counts
