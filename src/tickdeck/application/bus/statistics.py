"""The counters of a bus."""

from __future__ import annotations

import msgspec

from tickdeck.application.bus.subscriptions import SubscriptionStatistics

__all__ = ["BusStatistics"]


class BusStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a bus has done since it was created.

    - ``published``: dispatched events, by type. ``handlers``: each subscription's calls, failures and, on a bus that
      measures, latencies.
    - ``failures``: handlers that raised (an edge's retries count once). ``dead_letters``: undelivered events that can
      be sent again.
    - ``dropped``: events that a policy dropped or that found no room, by type. ``waiting``: at the ingress.
      ``discarded``: published while the bus was disabled.
    """

    published: dict[str, int]
    handlers: tuple[SubscriptionStatistics, ...]
    failures: int
    dead_letters: int
    dropped: dict[str, int]
    waiting: int
    discarded: int

    @property
    def total(self) -> int:
        """How many events were published."""
        return sum(self.published.values())
