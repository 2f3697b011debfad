"""The execution engine: approved intents become orders, and the venue's reports become conclusions about them."""

from __future__ import annotations

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.domain.events import (
    OrderAcceptedEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderAmendRequestedEvent,
    OrderCancelledEvent,
    OrderCancelRequestedEvent,
    OrderExpiredEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    RiskApprovedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import ZERO, Quantity, Side

__all__ = ["ExecutionEngine"]


class ExecutionEngine:
    """Keeps every order of the run, under its client order id.

    An id that was used is never submitted again. A report about an order that is not ours is counted in
    ``strangers`` and changes nothing. A report that cannot be true of its order raises, which halts trading: our
    books are wrong then.
    """

    component = "execution"
    hears = (RiskApprovedEvent, VenueOrderReported, VenueFillReported)
    publishes = (
        OrderSubmittedEvent,
        OrderAmendRequestedEvent,
        OrderCancelRequestedEvent,
        OrderAcceptedEvent,
        OrderAmendedEvent,
        OrderAmendRejectedEvent,
        OrderPartiallyFilledEvent,
        OrderFilledEvent,
        OrderCancelledEvent,
        OrderRejectedEvent,
        OrderExpiredEvent,
        OrderUnknownEvent,
    )

    def __init__(self, bus: InMemoryEventBus, nonce: str) -> None:
        self._bus = bus
        self._nonce = nonce
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self.strangers = 0
        for event_type, handler in (
            (RiskApprovedEvent, self.on_approved),
            (VenueOrderReported, self.on_report),
            (VenueFillReported, self.on_report),
        ):
            bus.subscribe(event_type, handler, priority=PRIORITY[self.component], component=self.component)

    def on_approved(self, approved: RiskApprovedEvent) -> None:
        intent = approved.intent
        if intent.action == "cancel":
            order = self.orders.get(intent.order_id)
            if order is not None and order.is_open and order.strategy_id == approved.strategy_id:
                self._bus.publish(
                    OrderCancelRequestedEvent(
                        order_id=order.order_id,
                        symbol=order.symbol,
                        account_id=order.account_id,
                        strategy_id=order.strategy_id,
                    )
                )
            return
        if intent.action == "amend":
            order = self.orders.get(intent.order_id)
            if order is not None and order.is_open and intent.limit is not None:  # risk has filled the intent in
                self._bus.publish(order.request_amend(intent.quantity, intent.limit))
            return
        assert intent.side is not None  # the event's own check
        order_id = intent.order_id or client_order_id(self._nonce, approved.event_id)
        if order_id in self.orders:
            return
        submitted = OrderSubmittedEvent(
            order_id=order_id,
            symbol=intent.symbol,
            account_id=approved.account_id,
            strategy_id=approved.strategy_id,
            side=intent.side,
            quantity=intent.quantity,
            limit=intent.limit,
            time_in_force=intent.time_in_force,
        )
        self.orders[order_id] = self._open[order_id] = Order(submitted)
        self._bus.publish(submitted)

    def on_report(self, report: VenueOrderReported | VenueFillReported) -> None:
        order = self.orders.get(report.order_id)
        if order is None:
            self.strangers += 1
            return
        conclusions = order.apply_fill(report) if isinstance(report, VenueFillReported) else order.apply_report(report)
        if order.is_open:
            self._open[order.order_id] = order  # also again: a fill revokes a rejection
        else:
            self._open.pop(order.order_id, None)
        self._bus.publish_all(conclusions)

    def open_orders(self, strategy_id: str, symbol: str | None = None) -> tuple[str, ...]:
        """Ids of a strategy's orders that are not at their end, oldest first."""
        return tuple(
            order.order_id
            for order in self._open.values()
            if order.strategy_id == strategy_id and symbol in (None, order.symbol)
        )

    def working(self, symbol: str, side: Side) -> Quantity:
        """What may still be filled at most of the open orders of one side of a symbol (base)."""
        return sum((o.exposure for o in self._open.values() if o.symbol == symbol and o.side is side), ZERO)
