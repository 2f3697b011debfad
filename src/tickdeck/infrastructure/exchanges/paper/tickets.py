"""What the paper venue knows about the orders that it accepted or rejected."""

from __future__ import annotations

from tickdeck.domain.events import OrderSubmittedEvent
from tickdeck.domain.market import WorkingOrder
from tickdeck.domain.values import ZERO, Money, OrderStatus, Price, Quantity
from tickdeck.infrastructure.exchanges.paper.account import PaperAccount

__all__ = ["EndedTicket", "Ticket", "Tickets"]

_CLOSED_KEPT = 10_000
"""The number of ended orders that the venue remembers."""


class Ticket:
    """What the venue knows about one order of ``account``."""

    __slots__ = (
        *("account", "account_id", "currency", "filled", "order", "request"),
        *("status", "symbol", "unit", "user_id", "venue_order_id", "worst"),
    )

    def __init__(self, request: OrderSubmittedEvent, account: PaperAccount) -> None:
        self.request = request
        self.symbol = request.symbol
        self.account_id = request.account_id
        self.user_id = request.user_id
        self.account = account
        self.status = OrderStatus.REJECTED
        self.order: WorkingOrder | None = None
        self.venue_order_id = ""
        self.filled: Quantity = ZERO
        self.currency = ""
        self.unit: Money = ZERO  # locked, of `currency`, for each unit of base that remains
        self.worst: Price = ZERO  # of a buy: what a unit may cost without its fee


class EndedTicket:
    """What the venue remembers of an order that has ended: what it answers to a late request. ``had_terms``: it was
    not refused before the venue knew how to work it."""

    __slots__ = ("account_id", "filled", "had_terms", "status", "symbol", "user_id", "venue_order_id")

    def __init__(self, ticket: Ticket) -> None:
        self.symbol = ticket.symbol
        self.account_id = ticket.account_id
        self.user_id = ticket.user_id
        self.status = ticket.status
        self.filled = ticket.filled
        self.venue_order_id = ticket.venue_order_id
        self.had_terms = ticket.order is not None


class Tickets:
    """The venue's tickets by order id: all open ones, and what is remembered of the newest that have ended."""

    def __init__(self) -> None:
        self._open: dict[str, Ticket] = {}
        self._ended: dict[str, EndedTicket] = {}  # the one that ended first is first

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def get(self, order_id: str) -> Ticket | EndedTicket | None:
        """The ticket of an order, ``None`` if the venue does not know the order."""
        return self._open.get(order_id) or self._ended.get(order_id)

    def get_open(self, order_id: str) -> Ticket | None:
        """The ticket of an order that has not ended; ``None`` for any other."""
        return self._open.get(order_id)

    def open(self, request: OrderSubmittedEvent, account: PaperAccount) -> Ticket:
        """A new ticket for an order of ``account``."""
        ticket = self._open[request.order_id] = Ticket(request, account)
        return ticket

    def close(self, ticket: Ticket) -> None:
        """Remember how an order has ended, and forget the one that ended longest ago. What the caller changes in
        ``ticket`` afterwards is not remembered."""
        order_id = ticket.request.order_id
        del self._open[order_id]
        self._ended[order_id] = EndedTicket(ticket)
        if len(self._ended) > _CLOSED_KEPT:
            del self._ended[next(iter(self._ended))]
