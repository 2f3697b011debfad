"""Trades, books and candles, as stream events and as rows of answers."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tickdeck.infrastructure.venue.dialects.binance.intervals import NAMES
from tickdeck.infrastructure.venue.dialects.binance.messages.text import Json
from tickdeck.infrastructure.venue.dialects.binance.messages.text import decimal_text as d
from tickdeck.infrastructure.venue.market_data import AggregateTrade, Candle, MarketTrade

__all__ = [
    "Quote",
    "agg_trade_event",
    "aggregate_trade",
    "book_ticker",
    "depth_event",
    "kline_event",
    "kline_row",
    "levels",
    "public_trade",
    "trade_event",
]

ZERO = Decimal(0)
Quote = tuple[Decimal, Decimal] | None
"""The best price of one side with its quantity."""
Levels = Iterable[tuple[Decimal, Decimal]]


def trade_event(trade: MarketTrade, symbol: str, unit: int) -> Json:
    """``<symbol>@trade``."""
    at = trade.at // unit
    return {
        "e": "trade",
        "E": at,
        "s": symbol,
        "t": trade.number,
        "p": d(trade.price),
        "q": d(trade.quantity),
        "T": at,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def agg_trade_event(trade: AggregateTrade, symbol: str, unit: int) -> Json:
    """``<symbol>@aggTrade``."""
    return {"e": "aggTrade", "E": trade.at // unit, "s": symbol, **aggregate_trade(trade, unit)}


def aggregate_trade(trade: AggregateTrade, unit: int) -> Json:
    """A row of ``aggTrades``."""
    return {
        "a": trade.number,
        "p": d(trade.price),
        "q": d(trade.quantity),
        "f": trade.first,
        "l": trade.last,
        "T": trade.at // unit,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def public_trade(trade: MarketTrade, unit: int) -> Json:
    """A row of ``trades``."""
    return {
        "id": trade.number,
        "price": d(trade.price),
        "qty": d(trade.quantity),
        "quoteQty": d(trade.price * trade.quantity),
        "time": trade.at // unit,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def book_ticker(symbol: str, update_id: int, bid: Quote, ask: Quote) -> Json:
    """``<symbol>@bookTicker``: no event type and no time. An empty side is 0."""
    (bid_price, bid_quantity), (ask_price, ask_quantity) = bid or (ZERO, ZERO), ask or (ZERO, ZERO)
    return {
        "u": update_id,
        "s": symbol,
        "b": d(bid_price),
        "B": d(bid_quantity),
        "a": d(ask_price),
        "A": d(ask_quantity),
    }


def levels(rows: Levels) -> list[list[str]]:
    """Levels as [price, quantity]."""
    return [[d(price), d(quantity)] for price, quantity in rows]


def depth_event(symbol: str, first: int, last: int, bids: Levels, asks: Levels, at: int, unit: int) -> Json:
    """``<symbol>@depth``: absolute quantities of the levels that changed; 0 removes one."""
    return {
        "e": "depthUpdate",
        "E": at // unit,
        "s": symbol,
        "U": first,
        "u": last,
        "b": levels(bids),
        "a": levels(asks),
    }


def kline_event(symbol: str, width: int, candle: Candle, closed: bool, at: int, unit: int) -> Json:
    """``<symbol>@kline_<interval>``."""
    return {
        "e": "kline",
        "E": at // unit,
        "s": symbol,
        "k": {
            "t": candle.open_at // unit,
            "T": (candle.open_at + width) // unit - 1,
            "s": symbol,
            "i": NAMES[width],
            "f": candle.first_trade,
            "L": candle.last_trade,
            "o": d(candle.open),
            "c": d(candle.close),
            "h": d(candle.high),
            "l": d(candle.low),
            "v": d(candle.volume),
            "n": candle.trades,
            "x": closed,
            "q": d(candle.quote_volume),
            "V": d(candle.taker_volume),
            "Q": d(candle.taker_quote_volume),
            "B": "0",
        },
    }


def kline_row(candle: Candle, width: int, unit: int) -> list[object]:
    """A row of ``klines``."""
    return [
        candle.open_at // unit,
        d(candle.open),
        d(candle.high),
        d(candle.low),
        d(candle.close),
        d(candle.volume),
        (candle.open_at + width) // unit - 1,
        d(candle.quote_volume),
        candle.trades,
        d(candle.taker_volume),
        d(candle.taker_quote_volume),
        "0",
    ]
