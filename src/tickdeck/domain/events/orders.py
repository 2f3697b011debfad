"""Events of our orders, concluded from our own actions and the venue's reports.

Each event contains the full state of the order after the event. A consumer needs no other event.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.streams import OfOrder
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
]


class OrderEvent(OfOrder, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one order.

    ``order_id`` is our client order id. It is derived from the run's nonce and the id of the event that asked for the
    order, so the same decision can never create two orders. ``user_id`` is the owner of the account; empty if there is
    none.

    ``side``, ``quantity`` (base), ``limit`` (quote; null for a market order), ``status``, ``filled`` and ``remaining``
    (base) describe the order after this event. ``average_price`` covers all fills so far (quote per base, 28
    significant digits; null before the first fill). In fills and amend requests, ``quantity`` has another meaning,
    which is described there. A ``reduce_only`` order may only make a position smaller. ``reserved`` is the amount of
    ``reserved_currency`` that the rest of the order reserves, without fees: quote for a buy, base for a sell. It is 0
    for a market buy, because its price is not known yet.

    Events of an earlier version lack most of these fields; they are null.
    """

    priority: ClassVar[Priority] = Priority.P1
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


class OrderSubmittedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """An order is sent to the venue. Emitted by the execution engine; the venue gateway sends the order as soon as this
    event is durable.

    ``quantity`` is in base, ``limit`` in quote (``None`` for a market order). Both are already rounded to the steps of
    the instrument.

    An order with a ``stop`` (quote) waits until the price reaches it, and becomes a market order; if it also has a
    ``limit``, it rests there as a target until then. ``protects`` is the id of the protection whose position the order
    closes, empty for all other orders.
    """

    event_type: ClassVar[str] = "order.submitted"
    version: ClassVar[int] = 3
    side: Side
    quantity: Quantity
    status: OrderStatus = OrderStatus.SUBMITTED
    filled: Quantity = Decimal(0)
    time_in_force: TimeInForce = TimeInForce.GTC
    stop: Price | None = None
    protects: str = ""

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise invalid(self, "quantity", "above 0")
        if self.stop is not None and self.stop <= 0:
            raise invalid(self, "stop", "above 0, or None")
        if self.limit is not None and self.limit <= 0:
            raise invalid(self, "limit", "above 0, or None for a market order")

    @property
    def order_type(self) -> OrderType:
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT


class OrderAcceptedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue accepted the order. Emitted by the execution engine, from a report of the venue."""

    event_type: ClassVar[str] = "order.accepted"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.ACCEPTED
    venue_order_id: str = ""


class _Fill(OrderEvent, frozen=True, kw_only=True, gc=False):
    """``quantity`` (base) and ``price`` (quote) describe this fill; ``order_quantity`` (base) is the quantity of the
    order. ``fee`` is in ``fee_currency``. If a fill arrives after the order was cancelled or expired and does not
    complete it, ``status`` remains ``cancelled`` or ``expired``."""

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
    """A part of the order was filled. Emitted by the execution engine, once per fill of the venue."""

    event_type: ClassVar[str] = "order.partially_filled"
    version: ClassVar[int] = 2


class OrderFilledEvent(_Fill, frozen=True, kw_only=True, gc=False):
    """The order is completely filled. Emitted by the execution engine, once per order. It may come once more if an
    amend that was confirmed late left a remainder to fill."""

    event_type: ClassVar[str] = "order.filled"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.FILLED


class OrderAmendRequestedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """We ask the venue to change an order. Emitted by the execution engine; the venue gateway acts on it.

    ``quantity`` (base, including what is already filled) and ``limit`` (quote) are the new values. All other fields
    describe the order as it is. ``revision`` counts the amend requests of the order, starting at 1; the venue's answer
    has the same number.
    """

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
    """The venue changed the order. Emitted by the execution engine, from a report of the venue.

    ``quantity`` (base) and ``limit`` (quote) are the new values. ``filled`` and ``remaining`` (base) are the parts that
    are and are not filled. ``remaining`` is 0 if fills that complete the amended order arrived before this event. In
    that case no ``order.filled`` follows.
    """

    event_type: ClassVar[str] = "order.amended"
    version: ClassVar[int] = 2
    revision: int
    quantity: Quantity
    limit: Price
    filled: Quantity = Decimal(0)
    remaining: Quantity


class OrderAmendRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue refused to change the order, which remains as it was. Emitted by the execution engine, from a report of
    the venue."""

    event_type: ClassVar[str] = "order.amend_rejected"
    version: ClassVar[int] = 2
    revision: int
    reason: str = ""


class OrderCancelRequestedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """We ask the venue to cancel an order. Emitted by the execution engine; the venue gateway acts on it."""

    event_type: ClassVar[str] = "order.cancel_requested"
    version: ClassVar[int] = 2


class OrderCancelRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """A cancel was refused or could not be sent. The order remains as it was, and the cancel is retried until the venue
    reports how the order ended. Emitted by the execution engine."""

    event_type: ClassVar[str] = "order.cancel_rejected"
    reason: str = ""


class OrderCancelledEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue cancelled the rest of the order. Emitted by the execution engine.

    ``filled`` (base) is what was filled before the cancel: the larger of our count and the venue's count.
    """

    event_type: ClassVar[str] = "order.cancelled"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.CANCELLED
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderRejectedEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue rejected the order, or the gateway never sent it. Emitted by the execution engine.

    ``concluded``: no report says so. We concluded it, because no source at the venue knows the order
    (``venue.order_not_found``) or a person settled it. If the venue reports the order after all, it is open again:
    ``order.accepted`` or another event follows, and an alert.
    """

    event_type: ClassVar[str] = "order.rejected"
    version: ClassVar[int] = 3
    status: OrderStatus = OrderStatus.REJECTED
    filled: Quantity = Decimal(0)
    reason: str = ""
    concluded: bool = False


class OrderExpiredEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """The venue ended the order because of its time in force, or because a market order found no more liquidity.
    Emitted by the execution engine.

    ``filled`` (base) is what was filled before the end: the larger of our count and the venue's count.
    """

    event_type: ClassVar[str] = "order.expired"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.EXPIRED
    filled: Quantity = Decimal(0)
    reason: str = ""


class OrderUnknownEvent(OrderEvent, frozen=True, kw_only=True, gc=False):
    """It is unknown whether the venue received the order. Emitted by the execution engine when sending failed without a
    clear result. The order is never sent again. A report of the venue ends this state, or the evidence that the venue
    never received the order, or the command ``settle`` of a person."""

    event_type: ClassVar[str] = "order.unknown"
    version: ClassVar[int] = 2
    status: OrderStatus = OrderStatus.UNKNOWN
    filled: Quantity = Decimal(0)
    reason: str = ""


# -- from version 1 ---------------------------------------------------------------------------------------------


def _submitted_from_1(fields: Fields) -> Fields:
    return {**fields, "remaining": fields["quantity"]}


def _unchanged(fields: Fields) -> Fields:
    """Fields that version 1 did not have get their defaults: null, or the status that belongs to the type."""
    return fields


upcast(OrderSubmittedEvent.event_type, 1, _submitted_from_1, keeps_stream=True)
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
    upcast(_cls.event_type, 1, _unchanged, keeps_stream=True)
upcast(OrderRejectedEvent.event_type, 2, _unchanged, keeps_stream=True)
upcast(OrderSubmittedEvent.event_type, 2, _unchanged, keeps_stream=True)
