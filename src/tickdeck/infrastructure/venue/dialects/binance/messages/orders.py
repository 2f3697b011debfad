"""Orders and fills, as answers to requests."""

from __future__ import annotations

from collections.abc import Iterable

from tickdeck.infrastructure.venue.dialects.binance.messages.text import ZERO_TEXT, Json
from tickdeck.infrastructure.venue.dialects.binance.messages.text import decimal_text as d
from tickdeck.infrastructure.venue.exchange import Fill
from tickdeck.infrastructure.venue.matching import Execution, ExecutionKind, Order, Status, Tif, Type

__all__ = [
    "cancelled",
    "expiry_reason",
    "fill_row",
    "order_answer",
    "order_state",
    "time_in_force",
    "working_time",
]


_TIMED = (Type.LIMIT, Type.STOP_LOSS_LIMIT, Type.TAKE_PROFIT_LIMIT)


def working_time(order: Order, unit: int) -> int:
    """When the order came to the book; -1 while it waits for its stop price."""
    return order.working_since // unit if order.working_since else -1


def time_in_force(order: Order) -> str:
    """The time in force that messages show; GTC for every type that has none."""
    return order.tif.value if order.type in _TIMED else Tif.GTC.value


def order_answer(order: Order, executions: Iterable[Execution], kind: str, unit: int) -> Json:
    """The answer to a placement: ``kind`` is ACK, RESULT or FULL."""
    answer: Json = {
        "symbol": order.symbol,
        "orderId": order.number,
        "orderListId": order.list_number,
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
        "timeInForce": time_in_force(order),
        "type": order.type.value,
        "side": "BUY" if order.is_buy else "SELL",
        "workingTime": working_time(order, unit),
    }
    if order.stop_price is not None:
        answer["stopPrice"] = d(order.stop_price)
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
        "orderListId": order.list_number,
        "clientOrderId": order.client_id,
        "price": d(order.price),
        "origQty": d(order.quantity),
        "executedQty": d(order.filled),
        "cummulativeQuoteQty": d(order.spent),
        "status": order.status.value,
        "timeInForce": time_in_force(order),
        "type": order.type.value,
        "side": "BUY" if order.is_buy else "SELL",
        "stopPrice": d(order.stop_price),
        "icebergQty": ZERO_TEXT,
        "time": order.created // unit,
        "updateTime": order.updated // unit,
        "isWorking": not order.is_waiting,
        "workingTime": working_time(order, unit),
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
    if order.ended_by_list:
        return "OCO_TRIGGER"
    if order.price is None:
        return "INSUFFICIENT_LIQUIDITY"
    if order.tif is Tif.IOC:
        return "UNFILLED_IOC_QUANTITY_EXPIRED"
    return "UNFILLED_FOK_ORDER_EXPIRED" if order.tif is Tif.FOK else "EXCHANGE_CANCELED"


def cancelled(order: Order, cancel_id: str, unit: int) -> Json:
    """The answer to a cancellation: ``clientOrderId`` is the id of the cancellation."""
    stop = {"stopPrice": d(order.stop_price)} if order.stop_price is not None else {}
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.number,
        "orderListId": order.list_number,
        "clientOrderId": cancel_id,
        "transactTime": order.updated // unit,
        "price": d(order.price),
        "origQty": d(order.quantity),
        "executedQty": d(order.filled),
        "origQuoteOrderQty": d(order.quote_quantity),
        "cummulativeQuoteQty": d(order.spent),
        "status": order.status.value,
        "timeInForce": time_in_force(order),
        "type": order.type.value,
        "side": "BUY" if order.is_buy else "SELL",
        **stop,
        "selfTradePreventionMode": order.self_trade.value,
    }


def fill_row(fill: Fill, unit: int) -> Json:
    """A row of ``myTrades``."""
    return {
        "symbol": fill.symbol,
        "id": fill.number,
        "orderId": fill.order,
        "orderListId": fill.order_list,
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
