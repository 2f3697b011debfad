"""Orders, and the venue's reports and fills about them."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.domain.events import (
    OrderSubmittedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import OrderStatus, Side

S = OrderStatus


def new_order(quantity: str = "1", limit: str | None = "100") -> Order:
    return Order(
        OrderSubmittedEvent(
            order_id="o-1",
            symbol="BTCUSDT",
            account_id="main",
            strategy_id="ema-cross",
            side=Side.BUY,
            quantity=Decimal(quantity),
            limit=None if limit is None else Decimal(limit),
        )
    )


def report(status: OrderStatus, filled: str = "0", **fields: object) -> VenueOrderReported:
    return VenueOrderReported(order_id="o-1", symbol="BTCUSDT", status=status, filled=Decimal(filled), **fields)


def fill(trade_id: str, quantity: str, price: str = "100", **fields: object) -> VenueFillReported:
    values = {"order_id": "o-1", "symbol": "BTCUSDT", "side": Side.BUY, **fields}
    return VenueFillReported(venue_trade_id=trade_id, quantity=Decimal(quantity), price=Decimal(price), **values)


def apply(order: Order, message: VenueOrderReported | VenueFillReported) -> list:
    return order.apply_fill(message) if isinstance(message, VenueFillReported) else order.apply_report(message)


def state(order: Order) -> tuple:
    amended = order.quantity, order.limit, order.revision
    return order.status, order.filled, order.notional, order.venue_filled, order.missing, order.exposure, *amended
