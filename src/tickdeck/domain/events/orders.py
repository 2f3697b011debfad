"""Our orders, as we conclude from what we did and from what the venue reported.

Each event is complete in itself: besides what happened it carries the order as it is after the event, so that a
notifier or a journal needs no other event.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.upcast import Fields, upcast
from tickdeck.domain.values import Money, OrderStatus, OrderType, Price, Quantity, Side, TimeInForce

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
    "order_stream",
]


class OrderEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one order.

    ``order_id`` is ours: the client order id, made of the run's nonce and the id of the event that asked for the
    order, so the same decision can never make two orders. ``user_id`` owns the account, empty where nobody is named.

    ``side``, ``quantity`` (base), ``limit`` (quote; null for a market order), ``status``, ``filled`` and ``remaining``
    (base) are the order's after this event. ``average_price`` is over all fills so far (quote per base, 28 significant
    digits; null before the first). In fills and amend requests ``quantity`` says something else: see there.
    ``reduce_only``: the order may only make a position smaller. ``reserved`` of ``reserved_currency`` is what the rest
    of the order holds back, without fees: of a buy its price in quote, of a sell its base; 0 for a market buy, whose
    price nobody knows yet.

    A tape of an earlier version lacks most of this; what it does not tell is null.
    """

    priority: ClassVar[Priority] = Priority.P1
    order_id: str
    symbol: str
    account_id: str = "main"
    user_id: str = ""
    strategy_id: str = ""
    side: Side | None = None
    quantity: Quantity | None = None
    limit: Price | None = None
    status: OrderStatus | None = None
    filled: Quantity | None = None
    remaining: Quantity | None = None
    average_price: Price | None = None
    reduce_only: bool = False
    reserved: Money = Decimal(0)
    reserved_currency: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.order_id

    @property
    def stream(self) -> str:
        return order_stream(self.account_id, self.order_id)


def order_stream(account_id: str, order_id: str) -> str:
    """The stream of an order: our conclusions about it and the venue's reports."""
    return f"order/{account_id}/{order_id}"


class OrderSubmittedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """An order leaves for the venue. Emitted by the execution engine; the venue gateway acts on it when it is durable.

    ``quantity`` in base, ``limit`` in quote (``None``: a market order); both already on the instrument's grid.
    """

    event_type: ClassVar[str] = "order.submitted"
    version: ClassVar[int] = 2
    side: Side
    quantity: Quantity
    status: OrderStatus = OrderStatus.SUBMITTED
    filled: Quantity = Decimal(0)
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
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.ACCEPTED
    venue_order_id: str = ""


class _Fill(OrderEvent, frozen=True, kw_only=True, gc=False):
    """``quantity`` (base) at ``price`` (quote) are this fill's; ``order_quantity`` (base) is the order's. ``fee`` in
    ``fee_currency``. ``status`` is still ``cancelled`` or ``expired`` where a fill comes after the end and does not
    complete the order."""

    priority: ClassVar[Priority] = Priority.P0
    side: Side
    price: Price
    quantity: Quantity
    order_quantity: Quantity | None = None
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
    version: ClassVar[int] = 2


class OrderFilledEvent(_Fill, frozen=True, kw_only=True, gc=False):
    """The last part of the order was executed. Emitted by the execution engine, once an order (and once more where an
    amend that was confirmed late had left something to fill)."""

    event_type: ClassVar[str] = "order.filled"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.FILLED


class OrderAmendRequestedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """We ask the venue to change an order. Emitted by the execution engine; the venue gateway acts on it.

    ``quantity`` (base, with what is filled already) and ``limit`` (quote) are what the order should have instead; the
    other fields are the order's as it is. ``revision`` counts the requests of the order, from 1; the venue's answer
    names it."""

    event_type: ClassVar[str] = "order.amend_requested"
    version: ClassVar[int] = 2
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
    ``remaining`` was not (base; 0 where the fills that complete the amended order came before this event: no
    ``order.filled`` follows then)."""

    event_type: ClassVar[str] = "order.amended"
    version: ClassVar[int] = 2
    revision: int
    quantity: Quantity
    limit: Price
    filled: Quantity = Decimal(0)
    remaining: Quantity


class OrderAmendRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue did not change the order, which is as it was before. Emitted by the execution engine from a report."""

    event_type: ClassVar[str] = "order.amend_rejected"
    version: ClassVar[int] = 2
    revision: int
    reason: str = ""


class OrderCancelRequestedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """We ask the venue to cancel. Emitted by the execution engine; the venue gateway acts on it."""

    event_type: ClassVar[str] = "order.cancel_requested"
    version: ClassVar[int] = 2


class OrderCancelRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """A cancel was refused or could not be sent. The order is as it was before, and the cancel is tried again until the
    venue reports how the order ended. Emitted by the execution engine."""

    event_type: ClassVar[str] = "order.cancel_rejected"
    reason: str = ""


class OrderCancelledEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue cancelled the rest. Emitted by the execution engine.

    ``filled`` (base) is what was executed before the cancel, as we or the venue count it: the larger of both."""

    event_type: ClassVar[str] = "order.cancelled"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.CANCELLED
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue refused the order, or the gateway never sent it. Emitted by the execution engine, only on a report
    that says so."""

    event_type: ClassVar[str] = "order.rejected"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.REJECTED
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderExpiredEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue ended the order by its time in force, or a market order found nothing more to take. Emitted by the
    execution engine.

    ``filled`` (base) is what was executed before the end, as we or the venue count it: the larger of both."""

    event_type: ClassVar[str] = "order.expired"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.EXPIRED
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderUnknownEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """Nobody knows whether the venue has the order. Emitted by the execution engine when sending it failed in doubt;
    the order is never sent again, and only the venue's evidence ends the state."""

    event_type: ClassVar[str] = "order.unknown"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.UNKNOWN
    filled: Quantity = Decimal(0)
    reason: str = ""


# -- from version 1 ---------------------------------------------------------------------------------------------


def _submitted_from_1(fields: Fields) -> Fields:
    return {**fields, "remaining": fields["quantity"]}


def _unchanged(fields: Fields) -> Fields:
    """What version 1 did not tell gets its default: the status that the type says, or null."""
    return fields


upcast(OrderSubmittedEvent.event_type, 1, _submitted_from_1)
for _cls in (
    OrderAcceptedEvent,
    OrderPartiallyFilledEvent,
    OrderFilledEvent,
    OrderAmendRequestedEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderCancelRequestedEvent,
    OrderCancelledEvent,
    OrderRejectedEvent,
    OrderExpiredEvent,
    OrderUnknownEvent,
):
    upcast(_cls.event_type, 1, _unchanged)
