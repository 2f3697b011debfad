"""Our orders, as we conclude from what we did and from what the venue reported."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.values import Money, OrderType, Price, Quantity, Side, TimeInForce

__all__ = [
    "OrderAcceptedEvent",
    "OrderAmendRejectedEvent",
    "OrderAmendRequestedEvent",
    "OrderAmendedEvent",
    "OrderCancelRejectedEvent",
    "OrderCancelRequestedEvent",
    "OrderCancelledEvent",
    "OrderEvent",
    "OrderExpiredEvent",
    "OrderFilledEvent",
    "OrderPartiallyFilledEvent",
    "OrderRejectedEvent",
    "OrderSubmittedEvent",
    "OrderUnknownEvent",
]


class OrderEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one order.

    ``order_id`` is ours: the client order id, made of the run's nonce and the id of the event that asked for the
    order, so the same decision can never make two orders.
    """

    priority: ClassVar[Priority] = Priority.P1
    order_id: str
    symbol: str
    account_id: str = "main"
    strategy_id: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.order_id

    @property
    def stream(self) -> str:
        return f"order/{self.account_id}/{self.order_id}"


class OrderSubmittedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """An order leaves for the venue. Emitted by the execution engine; the venue gateway acts on it when it is durable.

    ``quantity`` in base, ``limit`` in quote (``None``: a market order); both already on the instrument's grid.
    """

    event_type: ClassVar[str] = "order.submitted"
    side: Side
    quantity: Quantity
    limit: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise invalid(self, "quantity", "above 0")
        if self.limit is not None and self.limit <= 0:
            raise invalid(self, "limit", "above 0, or None for a market order")

    @property
    def order_type(self) -> OrderType:
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT


class OrderAcceptedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue works the order. Emitted by the execution engine from a venue's report."""

    event_type: ClassVar[str] = "order.accepted"
    venue_order_id: str = ""


class _Fill(OrderEvent, frozen=True, kw_only=True, gc=False):
    """``quantity`` (base) at ``price`` (quote) in this fill; ``filled`` and ``remaining`` of the order after it (base);
    ``average_price`` over all fills so far (quote, exact as far as the decimal context's precision goes)."""

    priority: ClassVar[Priority] = Priority.P0
    side: Side
    price: Price
    quantity: Quantity
    filled: Quantity
    remaining: Quantity
    average_price: Price
    fee: Money = Decimal(0)
    fee_currency: str = ""
    liquidity: str = "taker"
    venue_trade_id: str = ""

    def __post_init__(self) -> None:
        if self.price <= 0:
            raise invalid(self, "price", "above 0")
        if self.quantity <= 0:
            raise invalid(self, "quantity", "above 0")
        if self.liquidity not in ("maker", "taker"):
            raise invalid(self, "liquidity", "'maker' or 'taker'")


class OrderPartiallyFilledEvent(_Fill, frozen=True, kw_only=True, gc=False):
    """A part of the order was executed. Emitted by the execution engine, once for each of the venue's fills."""

    event_type: ClassVar[str] = "order.partially_filled"


class OrderFilledEvent(_Fill, frozen=True, kw_only=True, gc=False):
    """The last part of the order was executed. Emitted by the execution engine, once an order (and once more where
    an amend, whose word came late, had left something to fill)."""

    event_type: ClassVar[str] = "order.filled"


class OrderAmendRequestedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """We ask the venue to change an order. Emitted by the execution engine; the venue gateway acts on it.

    The order should then be one for ``quantity`` (base, with what is filled already) at ``limit`` (quote). ``revision``
    counts the requests of the order, from 1; the venue's answer names it."""

    event_type: ClassVar[str] = "order.amend_requested"
    revision: int
    quantity: Quantity
    limit: Price

    def __post_init__(self) -> None:
        for name in ("revision", "quantity", "limit"):
            if getattr(self, name) <= 0:
                raise invalid(self, name, "above 0")


class OrderAmendedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue changed the order. Emitted by the execution engine from a venue's report.

    From here on it is one for ``quantity`` (base) at ``limit`` (quote), of which ``filled`` was executed so far and
    ``remaining`` was not (base; 0 where the fills that complete the amended order came before this word: no
    ``order.filled`` follows then)."""

    event_type: ClassVar[str] = "order.amended"
    revision: int
    quantity: Quantity
    limit: Price
    filled: Quantity = Decimal(0)
    remaining: Quantity


class OrderAmendRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue did not change the order, which is as it was before. Emitted by the execution engine from a report."""

    event_type: ClassVar[str] = "order.amend_rejected"
    revision: int
    reason: str = ""


class OrderCancelRequestedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """We ask the venue to cancel. Emitted by the execution engine; the venue gateway acts on it."""

    event_type: ClassVar[str] = "order.cancel_requested"


class OrderCancelRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """A cancel was refused or could not be sent. The order is as it was before, and the cancel is tried again until the
    venue reports how the order ended. Emitted by the execution engine."""

    event_type: ClassVar[str] = "order.cancel_rejected"
    reason: str = ""


class OrderCancelledEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue cancelled the rest. Emitted by the execution engine. ``filled`` in base, before the cancel."""

    event_type: ClassVar[str] = "order.cancelled"
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue refused the order, or the gateway never sent it. Emitted by the execution engine, only on a report
    that says so."""

    event_type: ClassVar[str] = "order.rejected"
    reason: str = ""


class OrderExpiredEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue ended the order by its time in force, or a market order found nothing more to take. Emitted by the
    execution engine.

    ``filled`` in base, before the end."""

    event_type: ClassVar[str] = "order.expired"
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderUnknownEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """Nobody knows whether the venue has the order. Emitted by the execution engine when sending it failed in doubt;
    the order is never sent again, and only the venue's evidence ends the state."""

    event_type: ClassVar[str] = "order.unknown"
    reason: str = ""
