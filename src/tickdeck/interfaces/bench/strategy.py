"""The strategy of the backtest rows, as a user would write it."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import TradeEvent

__all__ = ["TickEmaCross", "Watching"]


class TickEmaCross(Strategy):
    """Two smoothed trade prices (10 % and 1 %), compared at every 50th trade: long while the fast one is above."""

    quantity: Decimal = Decimal("0.01")
    every: int = 50

    def on_start(self) -> None:
        self.seen = 0
        self.fast = self.slow = 0.0
        self.above: bool | None = None

    def on_trade(self, trade: TradeEvent) -> None:
        price = float(trade.price)
        if not self.seen:
            self.fast = self.slow = price
        self.seen += 1
        self.fast += 0.10 * (price - self.fast)
        self.slow += 0.01 * (price - self.slow)
        if self.seen % self.every == 0:
            above = self.fast > self.slow
            if self.above is not None and above is not self.above:
                self.turn(trade.symbol, above)
            self.above = above

    def turn(self, symbol: str, above: bool) -> None:
        held = self.position(symbol).quantity
        if above:
            self.buy(symbol, self.quantity)
        elif held > 0:
            self.sell(symbol, held)


class Watching(TickEmaCross):
    """The same without orders: what they add is their cost."""

    def turn(self, symbol: str, above: bool) -> None: ...
