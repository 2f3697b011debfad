"""Orders as the parameters of a request. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tickdeck.application.ports import OrderPair, OrderRequest
from tickdeck.domain.values import Side, TimeInForce
from tickdeck.errors import NotSupported, RequestRefused
from tickdeck.infrastructure.exchanges.binance.wire import quoted

__all__ = ["named", "order_query", "pair_params", "text"]

_SIDE = {Side.BUY: "BUY", Side.SELL: "SELL"}
_POST_ONLY = TimeInForce.POST_ONLY
_TIME_IN_FORCE = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}


def order_query(order: OrderRequest, self_trade_prevention: str | None = None) -> str:
    """The parameters of a new order, percent-encoded: every order waits for this, and a dict takes four times as long.
    Raises ``NotSupported``."""
    if order.stop is not None:
        if order.limit is not None:
            raise NotSupported("binance: a stop and a limit are a pair of orders; use place_pair")
        kind = f"STOP_LOSS&stopPrice={order.stop:f}"
    elif order.limit is None:
        if order.time_in_force is _POST_ONLY:
            raise NotSupported("binance: a market order cannot be post-only")
        kind = "MARKET"
    elif order.time_in_force is _POST_ONLY:
        kind = f"LIMIT_MAKER&price={order.limit:f}"
    else:
        kind = f"LIMIT&timeInForce={_TIME_IN_FORCE[order.time_in_force]}&price={order.limit:f}"
    prevention = "" if self_trade_prevention is None else f"&selfTradePreventionMode={quoted(self_trade_prevention)}"
    return (
        f"symbol={quoted(order.symbol)}&side={_SIDE[order.side]}&type={kind}&quantity={order.quantity:f}"
        f"&newClientOrderId={quoted(order.client_order_id)}{prevention}&newOrderRespType=FULL"
    )


def pair_params(pair: OrderPair) -> dict[str, Any]:
    """The parameters of a new OCO. The target of a sell is above the stop, that of a buy below."""
    target, stop = ("above", "below") if pair.side is Side.SELL else ("below", "above")
    params = {
        "symbol": pair.symbol,
        "listClientOrderId": pair.client_order_id,
        "side": pair.side.value.upper(),
        "quantity": text(pair.quantity),
        f"{target}Type": "LIMIT_MAKER",
        f"{target}ClientOrderId": pair.target_id,
        f"{target}Price": text(pair.target),
        f"{stop}Type": "STOP_LOSS",
        f"{stop}ClientOrderId": pair.stop_id,
        f"{stop}StopPrice": text(pair.stop),
    }
    if pair.stop_limit is not None:
        params |= {f"{stop}Type": "STOP_LOSS_LIMIT", f"{stop}Price": text(pair.stop_limit), f"{stop}TimeInForce": "GTC"}
    return params


def named(client_order_id: str, venue_order_id: str) -> dict[str, str]:
    """The parameters that name an order. Raises ``RequestRefused`` if there are none."""
    if not client_order_id and not venue_order_id:
        raise RequestRefused("binance: name the order by client_order_id or venue_order_id")
    found = {"orderId": venue_order_id} if venue_order_id else {}
    return found | ({"origClientOrderId": client_order_id} if client_order_id else {})


def text(number: Decimal) -> str:
    """A number in plain digits."""
    return f"{number:f}"
