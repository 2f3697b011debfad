"""What was traded in a symbol between two snapshots of its market."""

from __future__ import annotations

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity

__all__ = ["SnapshotWindow"]


class SnapshotWindow:
    """The trades since a snapshot, and when the next one is due: with the first market data at or after the next
    multiple of ``interval`` (ns) on the run's clock.

    ``volume`` in base, ``notional`` in quote; ``last`` is the newest trade, also from before the window.
    """

    __slots__ = ("_interval", "due", "last", "notional", "since", "trades", "volume")

    def __init__(self, interval: int, now: int) -> None:
        self._interval = interval
        self.last: TradeEvent | None = None
        self.start(now)

    def start(self, now: int) -> None:
        """A window begins at ``now`` (ns)."""
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
        """Average price by volume (quote), to the decimal context's precision; ``None`` without trades."""
        return self.notional / self.volume if self.volume else None
