"""The requests and reports of a paper venue in a past that is restored from the record."""

from __future__ import annotations

from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    PositionClosedEvent,
    PositionOpenedEvent,
    VenueCancelRefused,
    VenueFillReported,
    VenueLiquidationReported,
    VenueMarginCallReported,
    VenueOrderReported,
)

__all__ = ["VenuePast"]


class VenuePast:
    """Pass the events of the record to ``take``, in order.

    ``submitted``: the orders that the venue has received, by id. ``unanswered``: the requests without a report, in
    order. ``orders`` and ``trades``: the highest numbers that the venue has given to orders and trades. ``called``: the
    symbols whose position had a margin call, by account.
    """

    def __init__(self) -> None:
        self.submitted: dict[str, OrderSubmittedEvent] = {}
        self.orders = self.trades = 0
        self.called: dict[str, dict[str, None]] = {}
        self._unanswered: dict[str, OrderSubmittedEvent | OrderAmendRequestedEvent | OrderCancelRequestedEvent] = {}

    @property
    def unanswered(self) -> tuple[OrderSubmittedEvent | OrderAmendRequestedEvent | OrderCancelRequestedEvent, ...]:
        return tuple(self._unanswered.values())

    def take(self, event: DomainEvent) -> None:
        if isinstance(event, OrderSubmittedEvent | OrderAmendRequestedEvent | OrderCancelRequestedEvent):
            self._unanswered[event.event_id] = event
        elif isinstance(event, VenueOrderReported | VenueCancelRefused | VenueFillReported):
            request = self._unanswered.pop(event.causation_id, None)
            if isinstance(request, OrderSubmittedEvent):
                self.submitted[request.order_id] = request
        elif isinstance(event, VenueMarginCallReported):
            self.called.setdefault(event.account_id, {})[event.symbol] = None
        elif isinstance(event, PositionOpenedEvent | PositionClosedEvent):  # opened: also one that changed sides
            self.called.get(event.account_id, {}).pop(event.symbol, None)
        if isinstance(event, VenueFillReported | VenueLiquidationReported):
            self.trades = max(self.trades, _number(event.venue_trade_id))
        elif isinstance(event, VenueOrderReported):
            self.orders = max(self.orders, _number(event.venue_order_id))
            if event.status.is_final and not event.reason.startswith(("amend", "cancel refused")):
                self.submitted.pop(event.order_id, None)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
