"""The messages of the dialect, field by field, as documentation samples and recorded traffic show them.

Decimals have eight places. Times are ``unit`` ns each: 1,000,000 for milliseconds, 1,000 for microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from tickdeck.infrastructure.venue.dialects.binance.intervals import NAMES
from tickdeck.infrastructure.venue.exchange import Fill
from tickdeck.infrastructure.venue.market_data import AggregateTrade, Candle, MarketHistory, MarketTrade
from tickdeck.infrastructure.venue.matching import (
    Balance,
    Execution,
    ExecutionKind,
    Market,
    Order,
    SelfTrade,
    Status,
    Tif,
    Type,
)

__all__ = [
    "account_position",
    "agg_trade_event",
    "aggregate_trade",
    "balance_update",
    "book_ticker",
    "cancelled",
    "decimal_text",
    "depth_event",
    "execution_report",
    "fill_row",
    "kline_event",
    "kline_row",
    "mini_ticker_event",
    "order_answer",
    "order_state",
    "public_trade",
    "symbol_info",
    "ticker_day",
    "trade_event",
]

Json = dict[str, Any]
ZERO = Decimal(0)
_ZERO = "0.00000000"
_OPEN = (Status.NEW, Status.PARTIALLY_FILLED)
MAX_AMENDS = 10


def decimal_text(value: Decimal | None) -> str:
    """Eight places, never an exponent."""
    return f"{value:.8f}" if value is not None else _ZERO


d = decimal_text


def _tif(order: Order) -> str:
    return Tif.GTC.value if order.type is not Type.LIMIT else order.tif.value


# -- orders -----------------------------------------------------------------------------------------------------------


def order_answer(order: Order, executions: Iterable[Execution], kind: str, unit: int) -> Json:
    """The answer to a placement: ``kind`` is ACK, RESULT or FULL."""
    answer: Json = {
        "symbol": order.symbol,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": order.created // unit,
    }
    if kind == "ACK":
        return answer
    executions = [e for e in executions if e.order is order]
    status, filled, spent = order.status, order.filled, order.spent
    answer |= {
        "price": d(order.price),
        "origQty": d(order.quantity),
        "executedQty": d(filled),
        "origQuoteOrderQty": d(order.quote_quantity),
        "cummulativeQuoteQty": d(spent),
        "status": status.value,
        "timeInForce": _tif(order),
        "type": order.type.value,
        "side": "BUY" if order.is_buy else "SELL",
        "workingTime": order.created // unit,
    }
    if kind == "FULL":
        answer["fills"] = [
            {
                "price": d(e.price),
                "qty": d(e.quantity),
                "commission": d(e.commission),
                "commissionAsset": e.commission_asset,
                "tradeId": e.trade_id,
            }
            for e in executions
            if e.kind is ExecutionKind.TRADE
        ]
    answer["selfTradePreventionMode"] = order.self_trade.value
    return answer


def order_state(order: Order, unit: int) -> Json:
    """An order as queries show it."""
    state: Json = {
        "symbol": order.symbol,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": d(order.price),
        "origQty": d(order.quantity),
        "executedQty": d(order.filled),
        "cummulativeQuoteQty": d(order.spent),
        "status": order.status.value,
        "timeInForce": _tif(order),
        "type": order.type.value,
        "side": "BUY" if order.is_buy else "SELL",
        "stopPrice": _ZERO,
        "icebergQty": _ZERO,
        "time": order.created // unit,
        "updateTime": order.updated // unit,
        "isWorking": True,
        "workingTime": order.created // unit,
        "origQuoteOrderQty": d(order.quote_quantity),
        "selfTradePreventionMode": order.self_trade.value,
    }
    if order.prevented:
        state["preventedQuantity"] = d(order.prevented)
    if order.status is Status.EXPIRED:
        state["expiryReason"] = expiry_reason(order)
    return state


def expiry_reason(order: Order) -> str:
    """Why an order expired, by what it is."""
    if order.type is Type.MARKET:
        return "INSUFFICIENT_LIQUIDITY"
    if order.tif is Tif.IOC:
        return "UNFILLED_IOC_QUANTITY_EXPIRED"
    return "UNFILLED_FOK_ORDER_EXPIRED" if order.tif is Tif.FOK else "EXCHANGE_CANCELED"


def cancelled(order: Order, cancel_id: str, unit: int) -> Json:
    """The answer to a cancellation: ``clientOrderId`` is the id of the cancellation."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": order.updated // unit,
        "price": d(order.price),
        "origQty": d(order.quantity),
        "executedQty": d(order.filled),
        "origQuoteOrderQty": d(order.quote_quantity),
        "cummulativeQuoteQty": d(order.spent),
        "status": order.status.value,
        "timeInForce": _tif(order),
        "type": order.type.value,
        "side": "BUY" if order.is_buy else "SELL",
        "selfTradePreventionMode": order.self_trade.value,
    }


def fill_row(fill: Fill, unit: int) -> Json:
    """A row of ``myTrades``."""
    return {
        "symbol": fill.symbol,
        "id": fill.number,
        "orderId": fill.order,
        "orderListId": -1,
        "price": d(fill.price),
        "qty": d(fill.quantity),
        "quoteQty": d(fill.price * fill.quantity),
        "commission": d(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": fill.at // unit,
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


# -- the private stream -----------------------------------------------------------------------------------------------


def execution_report(execution: Execution, cancel_id: str, unit: int) -> Json:
    """``executionReport``. On a cancellation ``c`` is the id of the cancellation and ``C`` the order's."""
    order, kind = execution.order, execution.kind
    is_trade, is_cancel = kind is ExecutionKind.TRADE, kind is ExecutionKind.CANCELED
    at = execution.at // unit
    report: Json = {
        "e": "executionReport",
        "E": at,
        "s": order.symbol,
        "c": cancel_id if is_cancel and cancel_id else order.client_id,
        "S": "BUY" if order.is_buy else "SELL",
        "o": order.type.value,
        "f": _tif(order),
        "q": d(order.quantity),
        "p": d(order.price),
        "P": _ZERO,
        "F": _ZERO,
        "g": -1,
        "C": order.client_id if is_cancel else "",
        "x": kind.value,
        "X": execution.status.value,
        "r": "NONE",
        "i": order.number,
        "l": d(execution.quantity) if is_trade else _ZERO,
        "z": d(execution.filled),
        "L": d(execution.price) if is_trade else _ZERO,
        "n": d(execution.commission) if is_trade else "0",
        "N": execution.commission_asset if is_trade else None,
        "T": at,
        "t": execution.trade_id if is_trade else -1,
        "I": execution.number,
        "w": execution.status in _OPEN,
        "m": execution.is_maker,
        "M": is_trade,
        "O": order.created // unit,
        "Z": d(execution.spent),
        "Y": d(execution.price * execution.quantity) if is_trade else _ZERO,
        "Q": d(order.quote_quantity),
        "W": order.created // unit,
        "V": order.self_trade.value,
    }
    if kind is ExecutionKind.TRADE_PREVENTION and execution.counter is not None:
        counter = execution.counter
        report |= {
            "v": execution.number,
            "A": d(order.prevented),
            "B": d(execution.quantity),
            "u": 1,
            "U": counter.number,
            "Cs": counter.symbol,
            "pl": d(execution.quantity),
            "pL": d(execution.price),
            "pY": d(execution.price * execution.quantity),
        }
    if kind is ExecutionKind.EXPIRED and execution.status is Status.EXPIRED:
        report["eR"] = expiry_reason(order)
    return report


def account_position(balances: dict[str, Balance], assets: Iterable[str], at: int, unit: int) -> Json:
    """``outboundAccountPosition`` with the balances of ``assets``."""
    nothing = Balance(ZERO, ZERO)
    rows = [(asset, balances.get(asset, nothing)) for asset in assets]
    return {
        "e": "outboundAccountPosition",
        "E": at // unit,
        "u": at // unit,
        "B": [{"a": asset, "f": d(balance.free), "l": d(balance.locked)} for asset, balance in rows],
    }


def balance_update(asset: str, change: Decimal, at: int, unit: int) -> Json:
    """``balanceUpdate``: a deposit or a withdrawal."""
    return {"e": "balanceUpdate", "E": at // unit, "a": asset, "d": d(change), "T": at // unit}


# -- market data ------------------------------------------------------------------------------------------------------


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


Quote = tuple[Decimal, Decimal] | None


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


Levels = Iterable[tuple[Decimal, Decimal]]


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


# -- exchange information ---------------------------------------------------------------------------------------------


def symbol_info(market: Market) -> Json:
    """A symbol of ``exchangeInfo``."""
    modes = [mode.value for mode in SelfTrade]
    return {
        "symbol": market.symbol,
        "status": market.status.value,
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [kind.value for kind in Type],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(market),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": modes,
    }


def _filters(market: Market) -> Sequence[Json]:
    most = d(market.max_quantity)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": d(market.min_price),
            "maxPrice": d(market.max_price),
            "tickSize": d(market.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": d(market.min_quantity),
            "maxQty": most,
            "stepSize": d(market.step_size),
        },
        {"filterType": "MARKET_LOT_SIZE", "minQty": _ZERO, "maxQty": most, "stepSize": _ZERO},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": d(market.min_notional),
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": market.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": MAX_AMENDS},
    ]
