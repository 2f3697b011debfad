"""Candles from public trades: one builder for each symbol and interval."""

from __future__ import annotations

from tickdeck.domain.events import CandleEvent, TradeEvent
from tickdeck.domain.values import ZERO, Price, Quantity
from tickdeck.errors import ConfigError

__all__ = ["CandleBuilder"]


class CandleBuilder:
    """Gathers trades of ``symbol`` into candles of ``interval_ns``, aligned to the epoch (UTC), by the exchange's time.

    A candle is closed by the first trade at or after its end. One in which nothing traded does not exist: silence is
    not filled with copies of the last price. A trade that comes late, with a time before the current candle, counts
    in the current one, since a closed candle is never taken back. The first candle holds what was traded from the
    first trade seen, and the last one is not published while it is open.
    """

    __slots__ = ("_close", "_end", "_high", "_low", "_open", "_trades", "_volume", "interval_ns", "symbol")

    def __init__(self, symbol: str, interval_ns: int) -> None:
        if interval_ns <= 0:
            raise ConfigError(f"candles of {symbol}: interval_ns is {interval_ns}; give nanoseconds above 0")
        self.symbol: str = symbol
        self.interval_ns: int = interval_ns
        self._end: int = 0  # ns UTC, exclusive
        self._trades: int = 0  # 0 only before the first trade
        self._open: Price = ZERO
        self._high: Price = ZERO
        self._low: Price = ZERO
        self._close: Price = ZERO
        self._volume: Quantity = ZERO

    def on_trade(self, trade: TradeEvent) -> CandleEvent | None:
        """Count a trade of the builder's symbol; returns the candle that it closed, else ``None``.

        The candle's ``ts`` is its end. Volume is the exact sum of the trades' quantities (base).
        """
        price = trade.price
        if trade.ts < self._end:
            if price > self._high:
                self._high = price
            elif price < self._low:
                self._low = price
            self._close = price
            self._volume += trade.quantity
            self._trades += 1
            return None
        closed = self._candle() if self._trades else None
        self._end = trade.ts - trade.ts % self.interval_ns + self.interval_ns
        self._open = self._high = self._low = self._close = price
        self._volume = trade.quantity
        self._trades = 1
        return closed

    def _candle(self) -> CandleEvent:
        return CandleEvent(
            symbol=self.symbol,
            interval=self.interval_ns,
            open_ts=self._end - self.interval_ns,
            close_ts=self._end,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            trades=self._trades,
            ts=self._end,
        )
