"""What an account may ask: its orders, its fills, its balances."""

from __future__ import annotations

from typing import Any

from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.order_calls import find_order
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.venue import Call, Operation, Security
from tickdeck.infrastructure.venue.matching import FEE_DISCOUNT, Order

__all__ = ["ACCOUNT_OPERATIONS"]

Json = dict[str, Any]


def order_status(call: Call) -> Json:
    order = find_order(call)
    if order is None or _hidden(call, order):
        raise ApiError(-2013, "Order does not exist.")
    return messages.order_state(order, call.unit)


def open_orders(call: Call) -> list[Json]:
    symbol = call.market().symbol if "symbol" in call.params.values else None
    orders = call.venue.exchange.engine.open_orders(call.owner, symbol)
    return [messages.order_state(order, call.unit) for order in orders if not _hidden(call, order)]


def all_orders(call: Call) -> list[Json]:
    """From ``orderId`` on, or by time, else the newest."""
    symbol, params = call.market().symbol, call.params
    limit, first = params.limit(500, 1_000), params.integer("orderId")
    start, end = params.time("startTime"), params.time("endTime")
    orders = [o for o in call.venue.exchange.engine.orders(call.owner, symbol) if not _hidden(call, o)]
    if first is not None:
        orders = [order for order in orders if order.number >= first][:limit]
    elif start is not None:
        orders = [order for order in orders if order.created >= start and (end is None or order.created <= end)][:limit]
    else:
        orders = [order for order in orders if end is None or order.created <= end][-limit:]
    return [messages.order_state(order, call.unit) for order in orders]


def my_trades(call: Call) -> list[Json]:
    """From ``fromId`` on, or of one order, or by time, else the newest."""
    symbol, params = call.market().symbol, call.params
    limit, first, order = params.limit(500, 1_000), params.integer("fromId"), params.integer("orderId")
    start, end = params.time("startTime"), params.time("endTime")
    rows = [fill for fill in call.venue.exchange.fills.get(call.owner, ()) if fill.symbol == symbol]
    if order is not None:
        rows = [fill for fill in rows if fill.order == order]
    if start is not None:
        rows = [fill for fill in rows if fill.at >= start]
    if end is not None:
        rows = [fill for fill in rows if fill.at <= end]
    if first is not None:
        rows = [fill for fill in rows if fill.number >= first]
    rows = rows[:limit] if first is not None or start is not None else rows[-limit:]
    return [messages.fill_row(fill, call.unit) for fill in rows]


def account(call: Call) -> Json:
    owner, exchange = call.account, call.venue.exchange
    assert owner is not None
    balances = exchange.engine.balances.of(owner.name)
    leave_out = call.params.get("omitZeroBalances") == "true"
    assets = sorted({asset for m in exchange.engine.markets.values() for asset in (m.base, m.quote)} | balances.keys())
    rows = []
    for asset in assets:
        free, locked = balances.get(asset, (None, None))
        if leave_out and not free and not locked:
            continue
        rows.append({"asset": asset, "free": messages.decimal_text(free), "locked": messages.decimal_text(locked)})
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": "0.00100000",
            "taker": "0.00100000",
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        "canTrade": owner.can_trade,
        "canWithdraw": owner.can_withdraw,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.now // call.unit,
        "accountType": "SPOT",
        "balances": rows,
        "permissions": ["SPOT"],
        "uid": list(exchange.accounts).index(owner.name) + 1,
    }


def commission(call: Call) -> Json:
    market = call.market()
    maker, taker = messages.decimal_text(market.maker_fee), messages.decimal_text(market.taker_fee)
    nothing = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}
    return {
        "symbol": market.symbol,
        "standardCommission": nothing | {"maker": maker, "taker": taker},
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": bool(call.account and call.account.pays_fees_in),
            "enabledForSymbol": True,
            "discountAsset": (call.account and call.account.pays_fees_in) or "BNB",
            "discount": messages.decimal_text(FEE_DISCOUNT),
        },
    }


def order_limits(call: Call) -> list[Json]:
    in_10s, in_day = call.venue.limits.order_counts(call.owner, call.now)
    rows = [dict(row) for row in call.venue.limits.rates.as_json() if row["rateLimitType"] == "ORDERS"]
    return [row | {"count": in_10s if row["interval"] == "SECOND" else in_day} for row in rows]


def _hidden(call: Call, order: Order) -> bool:
    until = call.venue.hidden.get(order.number)
    if until is None:
        return False
    if call.now >= until:
        del call.venue.hidden[order.number]
        return False
    return True


def _open_weight(params: Params) -> int:
    return 6 if "symbol" in params.values else 80


ACCOUNT_OPERATIONS: dict[str, Operation] = {
    "GET order": Operation(order_status, 4, Security.SIGNED, kind="query"),
    "GET openOrders": Operation(open_orders, _open_weight, Security.SIGNED, kind="query"),
    "GET allOrders": Operation(all_orders, 20, Security.SIGNED),
    "GET myTrades": Operation(my_trades, 20, Security.SIGNED, kind="fills"),
    "GET account": Operation(account, 20, Security.SIGNED, kind="account"),
    "GET account/commission": Operation(commission, 20, Security.SIGNED),
    "GET rateLimit/order": Operation(order_limits, 40, Security.SIGNED),
}
"""By the method and the path under ``/api/v3/``."""
