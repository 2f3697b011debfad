"""The 24-hour tickers."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.infrastructure.venue.dialects.binance.messages.market_data import Quote
from tickdeck.infrastructure.venue.dialects.binance.messages.text import Json
from tickdeck.infrastructure.venue.dialects.binance.messages.text import decimal_text as d
from tickdeck.infrastructure.venue.market_data import Candle, MarketHistory

__all__ = ["mini_ticker_event", "ticker_day", "ticker_event"]

ZERO = Decimal(0)


def ticker_day(symbol: str, history: MarketHistory, bid: Quote, ask: Quote, now: int, unit: int) -> Json:
    """``ticker/24hr``."""
    day = history.last_day(now)
    total: Candle | None = None
    for candle in day:
        if total is None:
            total = Candle(candle.open_at, candle.open, candle.high, candle.low, candle.close)
        total.absorb(candle)
    total = total or Candle(now, ZERO, ZERO, ZERO, ZERO)
    last = history.trades[-1] if history.trades else None
    change = total.close - total.open
    average = total.quote_volume / total.volume if total.volume else ZERO
    nothing = (ZERO, ZERO)
    return {
        "symbol": symbol,
        "priceChange": d(change),
        "priceChangePercent": f"{change / total.open * 100 if total.open else ZERO:.3f}",
        "weightedAvgPrice": d(average),
        "prevClosePrice": d(total.open),
        "lastPrice": d(total.close),
        "lastQty": d(last.quantity if last else ZERO),
        "bidPrice": d((bid or nothing)[0]),
        "bidQty": d((bid or nothing)[1]),
        "askPrice": d((ask or nothing)[0]),
        "askQty": d((ask or nothing)[1]),
        "openPrice": d(total.open),
        "highPrice": d(total.high),
        "lowPrice": d(total.low),
        "volume": d(total.volume),
        "quoteVolume": d(total.quote_volume),
        "openTime": (now - 86_400_000_000_000) // unit,
        "closeTime": now // unit,
        "firstId": total.first_trade,
        "lastId": total.last_trade,
        "count": total.trades,
    }


def mini_ticker_event(day: Json, at: int, unit: int) -> Json:
    """``<symbol>@miniTicker`` from ``ticker/24hr``."""
    return {
        "e": "24hrMiniTicker",
        "E": at // unit,
        "s": day["symbol"],
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }


_TICKER_KEYS = (
    *(("p", "priceChange"), ("P", "priceChangePercent"), ("w", "weightedAvgPrice"), ("x", "prevClosePrice")),
    *(("c", "lastPrice"), ("Q", "lastQty"), ("b", "bidPrice"), ("B", "bidQty"), ("a", "askPrice"), ("A", "askQty")),
    *(("o", "openPrice"), ("h", "highPrice"), ("l", "lowPrice"), ("v", "volume"), ("q", "quoteVolume")),
    *(("O", "openTime"), ("C", "closeTime"), ("F", "firstId"), ("L", "lastId"), ("n", "count")),
)


def ticker_event(day: Json, at: int, unit: int) -> Json:
    """``<symbol>@ticker`` from ``ticker/24hr``."""
    return {"e": "24hrTicker", "E": at // unit, "s": day["symbol"]} | {key: day[name] for key, name in _TICKER_KEYS}
