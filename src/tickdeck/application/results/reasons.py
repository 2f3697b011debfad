"""Why risk refused orders, and why the venue rejected them."""

from __future__ import annotations

import re
from collections import Counter

from tickdeck.domain.events import OrderRejectedEvent, RiskLimitBreachedEvent

__all__ = ["Reasons"]

_FIGURES = re.compile(r"\d[\d.]*")
_MOST_OFTEN = 3
_MOST_REASONS = 100


class Reasons:
    """Counts the reasons of refusals and rejections, at most 100 different ones."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def on_refused(self, breach: RiskLimitBreachedEvent) -> None:
        self._refused[breach.limit] += 1

    def on_rejected(self, rejected: OrderRejectedEvent) -> None:
        # Figures differ from order to order, so they and what follows a colon are left out.
        reason = _FIGURES.sub("...", rejected.reason.partition(":")[0]) or "no reason given"
        if reason not in self._rejected and len(self._rejected) >= _MOST_REASONS:
            reason = "other reasons"
        self._rejected[reason] += 1

    @property
    def refused(self) -> dict[str, int]:
        """The three limits that refused most often, the most frequent first."""
        return dict(self._refused.most_common(_MOST_OFTEN))

    @property
    def rejected(self) -> dict[str, int]:
        """The three most frequent reasons for which orders were rejected, the most frequent first."""
        return dict(self._rejected.most_common(_MOST_OFTEN))
