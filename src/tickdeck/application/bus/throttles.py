"""Counts of what the throttles of a bus suppress."""

from __future__ import annotations

from collections import Counter

from tickdeck.application.bus.overflow import Throttler
from tickdeck.application.bus.subscriptions import Subscription

__all__ = ["Throttles"]


class Throttles:
    """The throttles of a bus's subscriptions."""

    def __init__(self) -> None:
        self._running: dict[Throttler, None] = {}
        self._ended: Counter[str] = Counter()

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
