"""What the paper venue knows about the orders that it accepted or rejected."""

from __future__ import annotations

from collections import deque

from tickdeck.domain.events import OrderSubmittedEvent
from tickdeck.domain.market import WorkingOrder
from tickdeck.domain.values import ZERO, Money, OrderStatus, Price, Quantity
from tickdeck.infrastructure.exchanges.paper.account import PaperAccount

__all__ = ["Ticket", "Tickets"]

_CLOSED_KEPT = 10_000
"""The number of ended orders that the venue remembers."""


class Ticket:
    """What the venue knows about one order of ``account``."""

    __slots__ = ("account", "currency", "filled", "order", "request", "status", "unit", "venue_order_id", "worst")

    def __init__(self, request: OrderSubmittedEvent, account: PaperAccount) -> None:
        self.request = request
        self.account = account
        self.status = OrderStatus.REJECTED
        self.order: WorkingOrder | None = None
        self.venue_order_id = ""
        self.filled: Quantity = ZERO
        self.currency = ""
        self.unit: Money = ZERO  # locked, of `currency`, for each unit of base that remains
        self.worst: Price = ZERO  # of a buy: what a unit may cost without its fee


class Tickets:
    """The venue's tickets by order id: all open ones, and the newest of those that have ended."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._closed: deque[str] = deque()  # ids of the orders that have ended, oldest first

    def __len__(self) -> int:
        return len(self._tickets)

    def get(self, order_id: str) -> Ticket | None:
        """The ticket of an order, ``None`` if the venue does not know the order."""
        return self._tickets.get(order_id)

    def open(self, request: OrderSubmittedEvent, account: PaperAccount) -> Ticket:
        """A new ticket for an order of ``account``."""
        ticket = self._tickets[request.order_id] = Ticket(request, account)
        return ticket

    def close(self, ticket: Ticket) -> None:
        """Remember an order that has ended, and forget the one that ended longest ago."""
        self._closed.append(ticket.request.order_id)
        if len(self._closed) > _CLOSED_KEPT:
            del self._tickets[self._closed.popleft()]
