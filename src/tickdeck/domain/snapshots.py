"""The trades of a symbol between two market snapshots."""

from __future__ import annotations

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity

__all__ = ["SnapshotWindow"]


class SnapshotWindow:
    """The trades since the last snapshot, and when the next snapshot is due: with the first market data at or after the
    next multiple of ``interval`` (ns) of the run's clock.

    ``volume`` is in base, ``notional`` in quote. ``last`` is the newest trade, which may be from before the window.
    """

    __slots__ = ("_interval", "due", "last", "notional", "since", "trades", "volume")

    def __init__(self, interval: int, now: int) -> None:
        self._interval = interval
        self.last: TradeEvent | None = None
        self.start(now)

    def start(self, now: int) -> None:
        """Start a window at ``now`` (ns)."""
        self.since: int = now
        self.due: int = now - now % self._interval + self._interval
        self.volume: Quantity = ZERO
        self.notional: Money = ZERO
        self.trades: int = 0

    def add(self, trade: TradeEvent) -> None:
        self.last = trade
        self.trades += 1
        self.volume = EXACT.add(self.volume, trade.quantity)
        self.notional = EXACT.fma(trade.price, trade.quantity, self.notional)

    @property
    def vwap(self) -> Price | None:
        """The volume-weighted average price (quote), with the precision of the decimal context; ``None`` without
        trades."""
        return self.notional / self.volume if self.volume else None
