"""What an account may do with its orders: place, test, cancel, replace, amend."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tickdeck.infrastructure.venue.commands import Place, Reduce
from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError, missing, refused
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.venue import Call, Operation, Security
from tickdeck.infrastructure.venue.exchange import Update
from tickdeck.infrastructure.venue.matching import (
    Execution,
    Market,
    MarketStatus,
    NewOrder,
    Order,
    OrderRefused,
    SelfTrade,
    Tif,
    Type,
)

__all__ = ["ORDER_OPERATIONS", "find_order", "new_order"]

Json = dict[str, Any]
_UP, _DOWN = Decimal(5), Decimal("0.2")


def place(call: Call) -> Json:
    request, kind = new_order(call)
    order, executions = _submit(call, request)
    return messages.order_answer(order, executions, kind, call.unit)


def place_test(call: Call) -> Json:
    request, _ = new_order(call)
    call.venue.exchange.engine.check(request)
    return {}


def cancel(call: Call) -> Json:
    return _cancel(call, call.params.client_id("newClientOrderId"))


def cancel_all(call: Call) -> list[Json]:
    symbol = call.market().symbol
    exchange = call.venue.exchange
    orders = exchange.engine.open_orders(call.owner, symbol)
    if not orders:
        raise ApiError(-2011, "Unknown order sent.")
    answers = []
    for order in orders:
        if not order.working:
            continue  # it ended with the other order of its list
        lists = exchange.engine.lists
        found = lists.by_number[order.list_number] if order.list_number >= 0 else None
        legs = lists.legs(found) if found is not None and found.paired else []
        cancel_id = exchange.new_client_id()
        exchange.cancel(order, call.now, cancel_id)
        if found is not None and legs:
            answers.append(messages.cancelled_list(found, legs, cancel_id, call.unit))
        else:
            answers.append(messages.cancelled(order, cancel_id, call.unit))
    return answers


def cancel_replace(call: Call) -> Json:
    """Cancel one order and place another. Half done is 409 and says which half."""
    mode = call.params.text("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise ApiError(-1102, "Mandatory parameter 'cancelReplaceMode' was not sent, was empty/null, or malformed.")
    call.market()
    if not ({"cancelOrderId", "cancelOrigClientOrderId"} & call.params.values.keys()):
        raise missing("cancelOrigClientOrderId")
    request, kind = new_order(call)
    values = dict(call.params.values)
    half = {"symbol": values["symbol"]}
    if "cancelOrderId" in values:
        half["orderId"] = values["cancelOrderId"]
    if "cancelOrigClientOrderId" in values:
        half["origClientOrderId"] = values["cancelOrigClientOrderId"]
    data: Json = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
    try:
        cancel_id = call.params.client_id("cancelNewClientOrderId")
        data["cancelResponse"] = _cancel(call._replace(params=Params(half)), cancel_id)
    except (ApiError, OrderRefused) as error:
        problem = error if isinstance(error, ApiError) else refused(error)
        data |= {"cancelResult": "FAILURE", "cancelResponse": {"code": problem.code, "msg": problem.text}}
        if mode == "STOP_ON_FAILURE":
            raise ApiError(-2022, "Order cancel-replace failed.", 400, data=data) from None
    try:
        order, executions = _submit(call, request)
    except (ApiError, OrderRefused) as error:
        problem = error if isinstance(error, ApiError) else refused(error)
        data |= {"newOrderResult": "FAILURE", "newOrderResponse": {"code": problem.code, "msg": problem.text}}
        failed = data["cancelResult"] == "FAILURE"
        text = "Order cancel-replace failed." if failed else "Order cancel-replace partially failed."
        raise ApiError(-2022 if failed else -2021, text, 400 if failed else 409, data=data) from None
    data |= {
        "newOrderResult": "SUCCESS",
        "newOrderResponse": messages.order_answer(order, executions, kind, call.unit),
    }
    if data["cancelResult"] == "FAILURE":
        raise ApiError(-2021, "Order cancel-replace partially failed.", 409, data=data)
    return data


def amend(call: Call) -> Json:
    """Reduce an order's quantity; it keeps its place. Without ``newClientOrderId`` it gets a new client id."""
    exchange, market = call.venue.exchange, call.market()
    quantity = call.params.decimal("newQty")
    if quantity is None:
        raise missing("newQty")
    order = find_order(call)
    if order is None or not order.working:
        raise ApiError(-2038, "Order does not exist or is not open.")
    if market.status is not MarketStatus.TRADING:
        raise ApiError(-1013, "Market is closed.")
    if order.amends >= messages.MAX_AMENDS:
        raise ApiError(-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
    before = order.client_id
    new_id = call.params.client_id("newClientOrderId") or exchange.new_client_id()
    exchange.submit(Reduce(call.owner, market.symbol, order.number, quantity, new_id), call.now)
    number = call.venue.exchange.engine.find(call.owner, market.symbol, number=order.number)
    assert number is order
    return {
        "transactTime": order.updated // call.unit,
        "executionId": order.amends,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.number,
            "orderListId": -1,
            "origClientOrderId": before,
            "clientOrderId": order.client_id,
            "price": messages.decimal_text(order.price),
            "qty": messages.decimal_text(order.quantity),
            "executedQty": messages.decimal_text(order.filled),
            "preventedQty": messages.decimal_text(order.prevented),
            "quoteOrderQty": messages.decimal_text(order.quote_quantity),
            "cumulativeQuoteQty": messages.decimal_text(order.spent),
            "status": order.status.value,
            "timeInForce": order.tif.value,
            "type": order.type.value,
            "side": "BUY" if order.is_buy else "SELL",
            "workingTime": order.created // call.unit,
            "selfTradePreventionMode": order.self_trade.value,
        },
    }


def find_order(call: Call) -> Order | None:
    """The order that ``orderId`` or ``origClientOrderId`` names: by the number first, and then both must match."""
    symbol = call.market().symbol
    number, client_id = call.params.integer("orderId"), call.params.get("origClientOrderId")
    if number is None and not client_id:
        raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!", 400)
    if number is None:
        return call.venue.exchange.engine.find(call.owner, symbol, client_id=client_id)
    order = call.venue.exchange.engine.find(call.owner, symbol, number=number) if number else None
    if order is not None and client_id and order.client_id != client_id:
        raise ApiError(-2039, "The client order ID and the order ID do not belong to the same order.")
    return order


def _cancel(call: Call, cancel_id: str) -> Json:
    order = find_order(call)
    ordered = call.venue.refusals.get(call.params.text("symbol"))
    if ordered is not None:
        raise ordered
    if order is None or not order.working:
        raise ApiError(-2011, "Unknown order sent.")
    only = call.params.get("cancelRestrictions")
    if only and only not in ("ONLY_NEW", "ONLY_PARTIALLY_FILLED"):
        raise ApiError(-1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.")
    if only and only != (wanted := f"ONLY_{order.status.value}"):
        raise ApiError(-2011, f"Order was not canceled due to cancel restrictions: it is {wanted}.")
    exchange = call.venue.exchange
    cancel_id = cancel_id or exchange.new_client_id()
    exchange.cancel(order, call.now, cancel_id)
    return messages.cancelled(order, cancel_id, call.unit)


def _submit(call: Call, request: NewOrder) -> tuple[Order, list[Execution]]:
    venue = call.venue
    ordered = venue.refusals.get(request.symbol)
    if ordered is not None:
        raise ordered
    seen: list[Execution] = []

    def watch(update: Update) -> None:
        seen.extend(update.executions)

    venue.exchange.listeners.insert(0, watch)
    try:
        order = venue.exchange.submit(Place(request), call.now)
    finally:
        venue.exchange.listeners.remove(watch)
    assert order is not None
    venue.limits.add_order(call.owner, call.now)
    hidden = venue.faults.happens("stale_query")
    if hidden is not None:
        venue.hidden[order.number] = call.now + hidden.duration_ns
    return order, seen


def new_order(call: Call) -> tuple[NewOrder, str]:
    """The order that a request describes, and the kind of answer it wants. Raises ``ApiError``."""
    params, market = call.params, call.market()
    account = call.account
    if account is not None and not account.can_trade:
        raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    side, kind = _choice(params, "side", ("BUY", "SELL"), -1117, "Invalid side."), params.text("type")
    if kind not in Type.__members__:
        raise ApiError(-1116, "Invalid orderType.")
    order_type, tif = Type(kind), Tif.GTC
    if order_type.has_price and order_type is not Type.LIMIT_MAKER:
        tif = Tif(_choice(params, "timeInForce", tuple(Tif), -1115, "Invalid timeInForce."))
        params.forbid("quoteOrderQty")
    else:
        params.forbid("timeInForce")
    if order_type is not Type.MARKET:
        params.forbid("quoteOrderQty")
    if not order_type.has_price:
        params.forbid("price")
    params.forbid("icebergQty", "trailingDelta", "pegPriceType")  # this venue does not have them
    stop_price = params.decimal("stopPrice")
    if not order_type.is_stop:
        params.forbid("stopPrice")
    elif stop_price is None:
        raise missing(params.sent_as("stopPrice"))
    elif not stop_price:
        raise ApiError(-1013, "Invalid stopPrice.")
    quantity, price = params.decimal("quantity"), params.decimal("price")
    by_quote = params.decimal("quoteOrderQty")
    if kind == Type.MARKET:
        if (quantity is None) == (by_quote is None):
            raise missing(params.sent_as("quantity"))
    elif quantity is None:
        raise missing(params.sent_as("quantity"))
    elif price is None and order_type.has_price:
        raise missing(params.sent_as("price"))
    if quantity is not None and not quantity:
        raise ApiError(-1013, "Invalid quantity.")
    if price is not None and not price:
        raise ApiError(-1013, "Invalid price.")
    answer = params.get("newOrderRespType") or ("FULL" if order_type in (Type.LIMIT, Type.MARKET) else "ACK")
    if answer not in ("ACK", "RESULT", "FULL"):
        raise ApiError(-1102, "Mandatory parameter 'newOrderRespType' was not sent, was empty/null, or malformed.")
    mode = params.get("selfTradePreventionMode") or SelfTrade.EXPIRE_MAKER.value
    if mode not in SelfTrade.__members__:
        raise ApiError(-1013, "This symbol does not allow the specified self-trade prevention mode.")
    if price is not None:
        _check_price(call, market, side == "BUY", price)
    request = NewOrder(
        account=call.owner,
        symbol=market.symbol,
        is_buy=side == "BUY",
        type=order_type,
        quantity=quantity,
        quote_quantity=by_quote,
        price=price,
        tif=tif,
        client_id=params.client_id("newClientOrderId") or call.venue.exchange.new_client_id(),
        self_trade=SelfTrade(mode),
        stop_price=stop_price,
    )
    return request, answer


def _check_price(call: Call, market: Market, is_buy: bool, price: Decimal) -> None:
    """PERCENT_PRICE_BY_SIDE, around the average of the last five minutes."""
    candles = call.venue.exchange.history[market.symbol].last_day(call.now)[-5:]
    volume = sum((candle.volume for candle in candles), Decimal(0))
    if not volume:
        return
    average = sum((candle.quote_volume for candle in candles), Decimal(0)) / volume
    if not average * _DOWN <= price <= average * _UP:
        raise ApiError(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")


def _choice(params: Params, name: str, legal: tuple[str, ...], code: int, text: str) -> str:
    value = params.text(name)
    if value not in legal:
        raise ApiError(code, text)
    return value


ORDER_OPERATIONS: dict[str, Operation] = {
    "POST order": Operation(place, 1, Security.SIGNED, acts=True, counts_order=True, kind="place"),
    "POST order/test": Operation(place_test, 1, Security.SIGNED),
    "DELETE order": Operation(cancel, 1, Security.SIGNED, acts=True, kind="cancel"),
    "DELETE openOrders": Operation(cancel_all, 1, Security.SIGNED, acts=True, kind="cancel"),
    "POST order/cancelReplace": Operation(
        cancel_replace, 1, Security.SIGNED, acts=True, counts_order=True, kind="replace"
    ),
    "PUT order/amend/keepPriority": Operation(amend, 4, Security.SIGNED, acts=True, kind="amend"),
}
"""By the method and the path under ``/api/v3/``."""
