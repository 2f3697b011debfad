"""The public data of a market: its trades, its candles, and the ids of its book updates."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice

import msgspec

__all__ = ["AggregateTrade", "Candle", "HistoryState", "MarketHistory", "MarketTrade"]

ZERO = Decimal(0)
_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_SECONDS_KEPT, _MINUTES_KEPT = 3_600, 100_000


class MarketTrade(msgspec.Struct, frozen=True, gc=False):
    """A public trade. ``at`` is ns UTC, ``price`` in quote, ``quantity`` in base."""

    number: int
    price: Decimal
    quantity: Decimal
    at: int
    buyer_is_maker: bool
    buyer_order: int
    seller_order: int


class AggregateTrade(msgspec.Struct, gc=False):
    """The trades of one taker at one price, combined."""

    number: int
    price: Decimal
    quantity: Decimal
    first: int
    last: int
    at: int
    buyer_is_maker: bool
    taker: int


class Candle(msgspec.Struct, gc=False):
    """A candle that begins at ``open_at`` (ns UTC). Prices and ``quote_volume`` are in quote, ``volume`` in base;
    ``taker_*`` is what aggressive buyers bought.
    """

    open_at: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    trades: int = 0
    taker_volume: Decimal = ZERO
    taker_quote_volume: Decimal = ZERO
    first_trade: int = -1
    last_trade: int = -1

    def add(self, trade: MarketTrade) -> None:
        """Add a trade."""
        price, quantity = trade.price, trade.quantity
        notional = price * quantity
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += quantity
        self.quote_volume += notional
        self.trades += 1
        if not trade.buyer_is_maker:
            self.taker_volume += quantity
            self.taker_quote_volume += notional
        if self.first_trade < 0:
            self.first_trade = trade.number
        self.last_trade = trade.number

    def absorb(self, later: Candle) -> None:
        """Extend it by the following candle."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.trades += later.trades
        self.taker_volume += later.taker_volume
        self.taker_quote_volume += later.taker_quote_volume
        if self.first_trade < 0:
            self.first_trade = later.first_trade
        self.last_trade = later.last_trade if later.last_trade >= 0 else self.last_trade


class HistoryState(msgspec.Struct, frozen=True):
    """A market's history as a value."""

    update_id: int
    aggregated: int
    trades: list[MarketTrade]
    aggregates: list[AggregateTrade]
    seconds: list[Candle]
    minutes: list[Candle]


_TRADES = 50_000


class MarketHistory:
    """The newest 50,000 trades, and the candles, of one market."""

    def __init__(self) -> None:
        self.trades: deque[MarketTrade] = deque(maxlen=_TRADES)
        self.aggregates: deque[AggregateTrade] = deque(maxlen=_TRADES)
        self.update_id = 0
        """Counts the changes of levels in the book."""
        self._aggregated = 0
        self._seconds: OrderedDict[int, Candle] = OrderedDict()
        self._minutes: OrderedDict[int, Candle] = OrderedDict()

    def state(self) -> HistoryState:
        """The history as a value. It shares its rows with the history, so encode it before the next trade."""
        return HistoryState(
            update_id=self.update_id,
            aggregated=self._aggregated,
            trades=list(self.trades),
            aggregates=list(self.aggregates),
            seconds=list(self._seconds.values()),
            minutes=list(self._minutes.values()),
        )

    @classmethod
    def of(cls, state: HistoryState) -> MarketHistory:
        """The history with this state."""
        history = cls()
        history.update_id, history._aggregated = state.update_id, state.aggregated
        history.trades.extend(state.trades)
        history.aggregates.extend(state.aggregates)
        history._seconds.update((candle.open_at, candle) for candle in state.seconds)
        history._minutes.update((candle.open_at, candle) for candle in state.minutes)
        return history

    def add(self, trade: MarketTrade, taker: int) -> AggregateTrade:
        """Record a trade. Returns the aggregate that it belongs to."""
        self.trades.append(trade)
        for candles, width, kept in (
            (self._seconds, _SECOND_NS, _SECONDS_KEPT),
            (self._minutes, _MINUTE_NS, _MINUTES_KEPT),
        ):
            open_at = trade.at - trade.at % width
            candle = candles.get(open_at)
            if candle is None:
                price = trade.price
                candle = candles[open_at] = Candle(open_at, price, price, price, price)
                if len(candles) > kept:
                    candles.popitem(last=False)
            candle.add(trade)
        last = self.aggregates[-1] if self.aggregates else None
        if last is not None and last.taker == taker and last.price == trade.price and last.at == trade.at:
            last.quantity += trade.quantity
            last.last = trade.number
            return last
        self._aggregated += 1
        aggregate = AggregateTrade(
            self._aggregated,
            trade.price,
            trade.quantity,
            trade.number,
            trade.number,
            trade.at,
            trade.buyer_is_maker,
            taker,
        )
        self.aggregates.append(aggregate)
        return aggregate

    def candles(
        self, width: int, *, limit: int = 500, start: int | None = None, end: int | None = None
    ) -> list[Candle]:
        """Candles of ``width`` (ns), oldest first: those from ``start`` on, otherwise the newest. A period without
        trades within the history has a candle without volume, as on the real venue.
        """
        source = self._seconds if width < _MINUTE_NS else self._minutes
        found: list[Candle] = []
        for small in list(source.values()):
            open_at = aligned(small.open_at, width)
            if (start is not None and open_at < start) or (end is not None and open_at > end):
                continue
            while found and found[-1].open_at + width < open_at and len(found) < 1_000_000:
                close = found[-1].close
                found.append(Candle(found[-1].open_at + width, close, close, close, close))
            if not found or found[-1].open_at != open_at:
                found.append(Candle(open_at, small.open, small.high, small.low, small.close))
            found[-1].absorb(small)
        return found[:limit] if start is not None else found[-limit:]

    def candle_at(self, width: int, now: int) -> Candle | None:
        """The candle of ``width`` (ns) that is open at ``now``; ``None`` before the first trade."""
        open_at = aligned(now, width)
        source = self._seconds if width < _MINUTE_NS else self._minutes
        total: Candle | None = None
        previous: Candle | None = None
        for small in reversed(source.values()):
            if small.open_at >= open_at + width:
                continue
            if small.open_at < open_at:
                previous = small
                break
            if total is None:
                total = msgspec.structs.replace(small, open_at=open_at)
            else:
                earlier = msgspec.structs.replace(small, open_at=open_at)
                earlier.absorb(total)
                total = earlier
        if total is None and previous is not None:
            close = previous.close
            return Candle(open_at, close, close, close, close)
        return total

    def last_day(self, now: int) -> list[Candle]:
        """The candles of the last 24 hours, one per minute, oldest first."""
        since = now - 24 * 60 * _MINUTE_NS
        newest: Iterable[Candle] = islice(reversed(self._minutes.values()), 24 * 60 + 1)
        return [candle for candle in newest if candle.open_at > since][::-1]


_WEEK_NS = 7 * 24 * 60 * _MINUTE_NS
_MONDAY_NS = 4 * 24 * 60 * _MINUTE_NS  # 1970-01-01 was a Thursday


def aligned(at: int, width: int) -> int:
    """When the candle of ``width`` (ns) that contains ``at`` begins. Weeks begin on Monday."""
    if width == _WEEK_NS:
        return at - (at - _MONDAY_NS) % width
    return at - at % width
