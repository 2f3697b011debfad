"""What a bus counts."""

from __future__ import annotations

import msgspec

from tickdeck.application.bus.subscriptions import SubscriptionStatistics

__all__ = ["BusStatistics"]


class BusStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a bus did since it was made.

    - ``published``: events dispatched, by type. ``handlers``: each subscription's calls, failures and, on a bus that
      measures, latencies.
    - ``failures``: handlers that raised (an edge's retries count once). ``dead_letters``: events that could not be
      delivered and wait to be sent again.
    - ``dropped``: events that were lost by a policy or found no room, by type. ``waiting``: at the ingress.
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
        return sum(self.published.values())
