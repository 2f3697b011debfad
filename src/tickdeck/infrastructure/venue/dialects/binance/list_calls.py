"""Order lists: what an account may do with them, and ask about them.

Only OCO: two orders where a fill of one cancels the other. Parameters and errors: rest-api.md and errors.md.
"""

from __future__ import annotations

from typing import Any

from tickdeck.infrastructure.venue.commands import PlaceList
from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.order_calls import new_order
from tickdeck.infrastructure.venue.dialects.binance.params import Params
from tickdeck.infrastructure.venue.dialects.binance.venue import Call, Operation, Security
from tickdeck.infrastructure.venue.exchange import Update
from tickdeck.infrastructure.venue.matching import Execution, NewOrder, OrderList, Type

__all__ = ["LIST_OPERATIONS"]

Json = dict[str, Any]
_TYPES = ("LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_NAMES = {
    "type": "Type",
    "price": "Price",
    "stopPrice": "StopPrice",
    "timeInForce": "TimeInForce",
    "newClientOrderId": "ClientOrderId",
    "icebergQty": "IcebergQty",
    "trailingDelta": "TrailingDelta",
    "pegPriceType": "PegPriceType",
}


def place_oco(call: Call) -> Json:
    venue, params = call.venue, call.params
    above, kind = _leg(call, "above")
    below, _ = _leg(call, "below")
    _check_sides(above, below)
    venue.limits.check_orders(call.owner, call.now, 2)
    if (ordered := venue.refusals.get(above.symbol)) is not None:
        raise ordered
    client_id = params.client_id("listClientOrderId") or venue.exchange.new_client_id()
    seen: list[Execution] = []

    def watch(update: Update) -> None:
        seen.extend(update.executions)

    venue.exchange.listeners.insert(0, watch)
    try:
        first = venue.exchange.submit(PlaceList((above, below), client_id), call.now)
    finally:
        venue.exchange.listeners.remove(watch)
    assert first is not None
    found = venue.exchange.engine.lists.by_number[first.list_number]
    hidden = venue.faults.happens("stale_query")
    for number in found.orders:
        venue.limits.add_order(call.owner, call.now)
        if hidden is not None:
            venue.hidden[number] = call.now + hidden.duration_ns
    return messages.list_answer(found, venue.exchange.engine.lists.legs(found), seen, kind, call.unit)


def cancel_list(call: Call) -> Json:
    """Cancel both orders, or the one that still works."""
    engine = call.venue.exchange.engine
    symbol = call.market().symbol
    if (ordered := call.venue.refusals.get(symbol)) is not None:
        raise ordered
    found = _find(call, "listClientOrderId")
    if found is None or found.done or found.symbol != symbol:
        raise ApiError(-2011, "Unknown order sent.")
    cancel_id = call.params.client_id("newClientOrderId") or call.venue.exchange.new_client_id()
    legs = engine.lists.legs(found)
    call.venue.exchange.cancel(next(leg for leg in legs if leg.working), call.now, cancel_id)
    return messages.cancelled_list(found, legs, cancel_id, call.unit)


def list_status(call: Call) -> Json:
    found = _find(call, "origClientOrderId")
    if found is None:
        raise ApiError(-2013, "Order does not exist.")
    return _state(call, found)


def open_lists(call: Call) -> list[Json]:
    mine = call.venue.exchange.engine.lists.of(call.owner)
    return [_state(call, found) for found in mine if not found.done]


def all_lists(call: Call) -> list[Json]:
    """From ``fromId`` on, or by time, else the newest."""
    limit, first = call.params.limit(500, 1_000), call.params.integer("fromId")
    start, end = call.params.time("startTime"), call.params.time("endTime")
    if first is not None and (start is not None or end is not None):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    mine = [
        found
        for found in call.venue.exchange.engine.lists.of(call.owner)
        if (first is None or found.number >= first)
        and (start is None or found.created >= start)
        and (end is None or found.created <= end)
    ]
    chosen = mine[-limit:] if first is None and start is None else mine[:limit]
    return [_state(call, found) for found in chosen]


def _state(call: Call, found: OrderList) -> Json:
    return messages.list_state(found, call.venue.exchange.engine.lists.legs(found), call.unit)


def _find(call: Call, name: str) -> OrderList | None:
    """The list that ``orderListId`` or the parameter ``name`` names; where both are given, they must agree."""
    number, client_id = call.params.integer("orderListId"), call.params.get(name)
    if number is None and not client_id:
        raise ApiError(-1102, f"Param '{name}' or 'orderListId' must be sent, but both were empty/null!")
    found = call.venue.exchange.engine.lists.find(call.owner, number, client_id)
    return None if found is not None and client_id and found.client_id != client_id else found


def _leg(call: Call, side: str) -> tuple[NewOrder, str]:
    """The order that the parameters of one side describe, and the kind of answer that is wanted."""
    if call.params.text(f"{side}Type") not in _TYPES:
        raise ApiError(-1158, "Order type not supported in OCO.")
    names = {name: f"{side}{suffix}" for name, suffix in _NAMES.items()}
    return new_order(call._replace(params=Params(call.params.values, names)))


def _check_sides(above: NewOrder, below: NewOrder) -> None:
    """Raises ``ApiError`` if an order is on the wrong side. A sell takes its profit above, a buy below."""
    if above.type is Type.LIMIT_MAKER and below.type is Type.LIMIT_MAKER:
        raise ApiError(-1168, "At least one OCO order must be contingent.")
    target, stop = (below, above) if above.is_buy else (above, below)
    if stop.type is Type.LIMIT_MAKER:
        raise (
            ApiError(-1165, "A limit order in a buy OCO must be below.")
            if above.is_buy
            else ApiError(-1166, "A limit order in a sell OCO must be above.")
        )
    if stop.type in (Type.TAKE_PROFIT, Type.TAKE_PROFIT_LIMIT):
        raise (
            ApiError(-1198, "A take profit order in a buy OCO must be below.")
            if above.is_buy
            else ApiError(-1199, "A take profit order in a sell OCO must be above.")
        )
    if target.type in (Type.STOP_LOSS, Type.STOP_LOSS_LIMIT):
        raise (
            ApiError(-1196, "A stop loss order in a buy OCO must be above.")
            if above.is_buy
            else ApiError(-1197, "A stop loss order in a sell OCO must be below.")
        )


LIST_OPERATIONS: dict[str, Operation] = {
    "POST orderList/oco": Operation(place_oco, 1, Security.SIGNED, acts=True, counts_order=True, kind="place"),
    "DELETE orderList": Operation(cancel_list, 1, Security.SIGNED, acts=True, kind="cancel"),
    "GET orderList": Operation(list_status, 4, Security.SIGNED, kind="query"),
    "GET openOrderList": Operation(open_lists, 6, Security.SIGNED, kind="query"),
    "GET allOrderList": Operation(all_lists, 20, Security.SIGNED),
}
"""By the method and the path under ``/api/v3/``."""
