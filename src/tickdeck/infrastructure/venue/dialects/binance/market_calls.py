"""What anyone may ask: time, exchange information, the book, trades, candles and tickers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.intervals import INTERVALS
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, BinanceVenue, Call, Operation
from tickdeck.infrastructure.venue.matching import Market

__all__ = ["MARKET_OPERATIONS", "renew_depth_cache"]

Json = dict[str, Any]


def ping(_: Call) -> Json:
    return {}


def time(call: Call) -> Json:
    return {"serverTime": call.now // call.unit}


def exchange_info(call: Call) -> Json:
    markets = call.venue.exchange.engine.markets
    chosen = _symbols(call) or list(markets)
    return {
        "timezone": "UTC",
        "serverTime": call.now // MS,
        "rateLimits": call.venue.limits.rates.as_json(),
        "exchangeFilters": [],
        "symbols": [messages.symbol_info(markets[symbol]) for symbol in chosen],
    }


def depth(call: Call) -> Json:
    symbol = call.market().symbol
    limit = call.params.limit(100, 5_000)
    cache = call.venue.depth_cache
    book: Any = cache.served(symbol, call.now) if cache is not None else None
    if book is None:
        book = _snapshot(call.venue, symbol, limit)
    return {"lastUpdateId": book["lastUpdateId"], "bids": book["bids"][:limit], "asks": book["asks"][:limit]}


def _snapshot(venue: BinanceVenue, symbol: str, limit: int = 5_000) -> Json:
    bids, asks = venue.exchange.engine.depth(symbol, limit)
    return {
        "lastUpdateId": venue.exchange.history[symbol].update_id,
        "bids": messages.levels(bids),
        "asks": messages.levels(asks),
    }


def renew_depth_cache(venue: BinanceVenue, now: int) -> None:
    """Take snapshots for a venue that serves them late; called as time passes."""
    if venue.depth_cache is not None:
        for symbol in venue.exchange.engine.markets:
            venue.depth_cache.take(symbol, now, lambda s=symbol: _snapshot(venue, s))  # type: ignore[misc]


def trades(call: Call) -> list[Json]:
    history = call.venue.exchange.history[call.market().symbol]
    limit = call.params.limit(500, 1_000)
    return [messages.public_trade(trade, call.unit) for trade in list(history.trades)[-limit:]]


def historical_trades(call: Call) -> list[Json]:
    history = call.venue.exchange.history[call.market().symbol]
    limit, first = call.params.limit(500, 1_000), call.params.integer("fromId")
    rows = list(history.trades)
    rows = rows[-limit:] if first is None else [trade for trade in rows if trade.number >= first][:limit]
    return [messages.public_trade(trade, call.unit) for trade in rows]


def aggregate_trades(call: Call) -> list[Json]:
    history = call.venue.exchange.history[call.market().symbol]
    limit, first = call.params.limit(500, 1_000), call.params.integer("fromId")
    start, end = call.params.time("startTime"), call.params.time("endTime")
    rows = list(history.aggregates)
    if first is not None:
        rows = [row for row in rows if row.number >= first][:limit]
    elif start is not None:
        rows = [row for row in rows if row.at >= start and (end is None or row.at <= end)][:limit]
    else:
        rows = [row for row in rows if end is None or row.at <= end][-limit:]
    return [messages.aggregate_trade(row, call.unit) for row in rows]


def klines(call: Call) -> list[list[object]]:
    history = call.venue.exchange.history[call.market().symbol]
    width = INTERVALS.get(call.params.text("interval"))
    if width is None:
        raise ApiError(-1120, "Invalid interval.")
    limit = call.params.limit(500, 1_000)
    start, end = call.params.time("startTime"), call.params.time("endTime")
    rows = history.candles(width, limit=limit, start=start, end=end)
    return [messages.kline_row(row, width, call.unit) for row in rows]


def average_price(call: Call) -> Json:
    history = call.venue.exchange.history[call.market().symbol]
    volume = quote = Decimal(0)
    for candle in history.last_day(call.now)[-5:]:
        volume += candle.volume
        quote += candle.quote_volume
    last = history.trades[-1].at if history.trades else call.now
    return {
        "mins": 5,
        "price": messages.decimal_text(quote / volume if volume else Decimal(0)),
        "closeTime": last // call.unit,
    }


def ticker_price(call: Call) -> Any:
    def row(market: Market) -> Json:
        trades = call.venue.exchange.history[market.symbol].trades
        return {"symbol": market.symbol, "price": messages.decimal_text(trades[-1].price if trades else None)}

    return _per_symbol(call, row)


def ticker_book(call: Call) -> Any:
    def row(market: Market) -> Json:
        ticker = messages.book_ticker(market.symbol, 0, *call.venue.exchange.engine.best(market.symbol))
        names = {"s": "symbol", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}
        return {names[key]: value for key, value in ticker.items() if key != "u"}

    return _per_symbol(call, row)


def ticker_day(call: Call) -> Any:
    def row(market: Market) -> Json:
        exchange = call.venue.exchange
        history, best = exchange.history[market.symbol], exchange.engine.best(market.symbol)
        return messages.ticker_day(market.symbol, history, *best, call.now, call.unit)

    return _per_symbol(call, row)


def _per_symbol(call: Call, row: Any) -> Any:
    markets = call.venue.exchange.engine.markets
    if "symbol" in call.params.values:
        return row(call.market())
    return [row(markets[symbol]) for symbol in _symbols(call) or markets]


def _symbols(call: Call) -> list[str]:
    """The symbols of ``symbol`` or ``symbols``, a JSON list; empty if neither is given."""
    params, markets = call.params, call.venue.exchange.engine.markets
    if "symbol" in params.values:
        return [call.market().symbol]
    text = params.get("symbols")
    if not text:
        return []
    names = [name.strip().strip('"') for name in text.strip("[]").split(",")]
    if any(name not in markets for name in names):
        raise ApiError(-1121, "Invalid symbol.")
    if len(set(names)) < len(names):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")
    return names


def _depth_weight(params: Params) -> int:
    text = params.values.get("limit", "100")
    limit = int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else 100
    for most, weight in ((100, 5), (500, 25), (1_000, 50)):
        if limit <= most:
            return weight
    return 250


def _by_symbol(one: int, all_of_them: int) -> Any:
    return lambda params: one if "symbol" in params.values else all_of_them


MARKET_OPERATIONS: dict[str, Operation] = {
    "ping": Operation(ping, 1),
    "time": Operation(time, 1, kind="time"),
    "exchangeInfo": Operation(exchange_info, 20, kind="rules"),
    "depth": Operation(depth, _depth_weight, kind="depth"),
    "trades": Operation(trades, 25),
    "historicalTrades": Operation(historical_trades, 25),
    "aggTrades": Operation(aggregate_trades, 4),
    "klines": Operation(klines, 2),
    "uiKlines": Operation(klines, 2),
    "avgPrice": Operation(average_price, 2),
    "ticker/price": Operation(ticker_price, _by_symbol(2, 4)),
    "ticker/bookTicker": Operation(ticker_book, _by_symbol(2, 4)),
    "ticker/24hr": Operation(ticker_day, _by_symbol(2, 80)),
}
"""By the path under ``/api/v3/``."""
