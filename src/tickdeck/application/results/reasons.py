"""Why risk refused orders, why the venue rejected them, and why copies failed."""

from __future__ import annotations

import re
from collections import Counter

from tickdeck.domain.events import OrderRejectedEvent, RiskLimitBreachedEvent, TradeFailedEvent

__all__ = ["Reasons"]

_FIGURES = re.compile(r"\d[\d.]*")
_MOST_OFTEN = 3
_MOST_REASONS = 100


class Reasons:
    """Counts the reasons of refusals, rejections and copies that failed, at most 100 different ones of each."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def on_refused(self, breach: RiskLimitBreachedEvent) -> None:
        self._refused[breach.limit] += 1

    def on_rejected(self, rejected: OrderRejectedEvent) -> None:
        _count(self._rejected, rejected.reason)

    def on_failed(self, failed: TradeFailedEvent) -> None:
        _count(self._failed, failed.reason.removeprefix("risk refused it: "))

    @property
    def refused(self) -> dict[str, int]:
        """The three limits that refused most often, the most frequent first."""
        return dict(self._refused.most_common(_MOST_OFTEN))

    @property
    def rejected(self) -> dict[str, int]:
        """The three most frequent reasons for which orders were rejected, the most frequent first."""
        return dict(self._rejected.most_common(_MOST_OFTEN))

    @property
    def failed(self) -> dict[str, int]:
        """The three most frequent reasons for which copies failed, the most frequent first."""
        return dict(self._failed.most_common(_MOST_OFTEN))


def _count(reasons: Counter[str], text: str) -> None:
    # Figures differ from order to order, so they and what follows a colon are left out.
    reason = _FIGURES.sub("...", text.partition(":")[0]) or "no reason given"
    if reason not in reasons and len(reasons) >= _MOST_REASONS:
        reason = "other reasons"
    reasons[reason] += 1
