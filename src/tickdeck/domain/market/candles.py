"""Candles from public trades or from finer candles: one builder for each symbol and timeframe."""

from __future__ import annotations

from tickdeck.domain.events import CandleEvent, TradeEvent
from tickdeck.domain.market.timeframe import Timeframe
from tickdeck.domain.values import ZERO, Price, Quantity
from tickdeck.errors import ConfigError

__all__ = ["CandleBuilder", "CandleResampler"]


_AHEAD_NS = 60_000_000_000
"""How far the venue's clock may be ahead of ours."""
_MIN_STRAYS = 10
"""How many old trades in one candle show that it is in the future."""


class CandleBuilder:
    """Builds candles of ``timeframe`` from the trades of ``symbol``, by the exchange's time.

    A candle is closed by the first trade at or after its end. A period without trades has no candle. A late trade,
    whose time is before the current candle, counts in the current candle, because a closed candle never changes. The
    first candle contains the trades from the first one seen, and the last candle is not published while it is open.

    A trade whose clock is far ahead does not stop the candles. It opens a candle in the future. The candle moves back
    to the present with the next trade that we receive more than a minute before the candle's start, or when most of its
    trades (at least ten) are that much older. The trade with the wrong time stays in the candle.
    """

    __slots__ = (
        "_begin",
        "_close",
        "_closed_end",
        "_end",
        "_gap",
        "_high",
        "_low",
        "_next_gap",
        "_open",
        "_strays",
        "_too_early",
        "_trades",
        "_volume",
        "symbol",
        "timeframe",
    )

    def __init__(self, symbol: str, timeframe: Timeframe) -> None:
        if timeframe.ns <= 0 >= timeframe.months:
            raise ConfigError(f"candles of {symbol}: the duration is {timeframe.ns} ns; it must be above 0")
        self.symbol: str = symbol
        self.timeframe: Timeframe = timeframe
        self._begin: int = 0  # ns UTC
        self._end: int = 0  # ns UTC, exclusive
        self._closed_end: int = 0  # the end of the last closed candle
        self._too_early: int = 0  # a trade before this may show that the current candle is in the future
        self._strays: int = 0  # how many there were
        self._trades: int = 0  # 0 only before the first trade
        self._open: Price = ZERO
        self._high: Price = ZERO
        self._low: Price = ZERO
        self._close: Price = ZERO
        self._volume: Quantity = ZERO
        self._gap = self._next_gap = False  # whether trades of this candle, of the next one are missing

    def on_gap(self, trade: TradeEvent | None = None) -> None:
        """Trades before ``trade``, which comes next, are missing; without it, trades before the next one may be
        missing. Marks each candle to which they may belong."""
        self._gap = True
        self._next_gap = trade is None or trade.ts >= self._end

    def on_trade(self, trade: TradeEvent) -> CandleEvent | None:
        """Add a trade of the builder's symbol. Returns the candle that it closed, or ``None``.

        ``ts`` of the candle is its end. ``volume`` is the exact sum of the quantities (base).
        """
        price = trade.price
        if trade.ts < self._end:
            if trade.ts < self._too_early and self._in_the_future(trade):
                self._place(max(trade.ts, self._closed_end))
            if price > self._high:
                self._high = price
            elif price < self._low:
                self._low = price
            self._close = price
            self._volume += trade.quantity
            self._trades += 1
            return None
        closed = None
        if self._trades:
            closed = self._candle()
            self._closed_end = self._end
        self._gap, self._next_gap = self._next_gap, False
        self._place(trade.ts)
        self._open = self._high = self._low = self._close = price
        self._volume = trade.quantity
        self._trades = 1
        return closed

    def _place(self, ts: int) -> None:
        """Move the current candle to the period that contains ``ts``."""
        self._begin, self._end = self.timeframe.bounds(ts)
        self._too_early = self._begin - _AHEAD_NS
        self._strays = 0

    def _in_the_future(self, trade: TradeEvent) -> bool:
        """Whether the current candle is in the future, as shown by ``trade``, which is from well before its start."""
        self._strays += 1
        return 0 < trade.ts_ingress < self._too_early or (
            self._strays >= _MIN_STRAYS and 2 * self._strays >= self._trades
        )

    def _candle(self) -> CandleEvent:
        return CandleEvent(
            symbol=self.symbol,
            interval=self._end - self._begin,
            open_ts=self._begin,
            close_ts=self._end,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            trades=self._trades,
            gap=self._gap,
            ts=self._end,
        )


class CandleResampler:
    """Combines finer candles of ``symbol`` into candles of ``timeframe``.

    A candle is closed by the finer candle that ends with it. If that one is missing, the next one closes it. The first
    candle contains what was traded from the first finer candle seen, and the last candle is not published while it is
    open.
    """

    __slots__ = (
        "_begin",
        "_close",
        "_end",
        "_gap",
        "_high",
        "_low",
        "_next_gap",
        "_open",
        "_trades",
        "_volume",
        "symbol",
        "timeframe",
    )

    def __init__(self, symbol: str, timeframe: Timeframe) -> None:
        self.symbol: str = symbol
        self.timeframe: Timeframe = timeframe
        self._begin: int = 0
        self._end: int = 0  # 0 while there is no open candle
        self._open: Price = ZERO
        self._high: Price = ZERO
        self._low: Price = ZERO
        self._close: Price = ZERO
        self._volume: Quantity = ZERO
        self._trades: int = 0
        self._gap = self._next_gap = False

    def on_gap(self) -> None:
        """Finer candles before the next one are missing. Marks each candle to which they may belong."""
        self._gap = self._next_gap = True

    def on_candle(self, candle: CandleEvent) -> list[CandleEvent]:
        """Add a finer candle. Returns the candles that it closed: none, one, or two after a gap. ``ts`` of each is its
        end."""
        closed = []
        if self._end and candle.open_ts >= self._end:
            closed.append(self._take())
        if not self._end:
            self._begin, self._end = self.timeframe.bounds(candle.open_ts)
            self._open, self._high, self._low = candle.open, candle.high, candle.low
            self._volume, self._trades = ZERO, 0
            self._gap = self._next_gap and candle.open_ts > self._begin
        self._next_gap = False
        self._gap = self._gap or candle.gap
        self._high = max(self._high, candle.high)
        self._low = min(self._low, candle.low)
        self._close = candle.close
        self._volume += candle.volume
        self._trades += candle.trades
        if candle.close_ts >= self._end:
            closed.append(self._take())
        return closed

    def close(self) -> CandleEvent | None:
        """Close the open candle as it is, because coarser candles follow. Returns ``None`` if there is none."""
        return self._take() if self._end else None

    def _take(self) -> CandleEvent:
        end, self._end = self._end, 0
        return CandleEvent(
            symbol=self.symbol,
            interval=end - self._begin,
            open_ts=self._begin,
            close_ts=end,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            trades=self._trades,
            gap=self._gap,
            ts=end,
        )
