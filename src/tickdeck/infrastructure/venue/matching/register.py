"""The orders that the venue remembers: all open ones, and the newest finished ones."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.infrastructure.venue.matching.desk import Desk
from tickdeck.infrastructure.venue.matching.orders import HOUSE, Order

__all__ = ["OrderRegister"]

_ROOM = 1_000  # finished orders are forgotten in groups of this size


class OrderRegister:
    """Orders by their number. ``keep`` finished orders of clients stay available. ``desks`` are the markets by symbol,
    whose seats know the orders by client id."""

    def __init__(self, desks: dict[str, Desk], keep: int) -> None:
        self.by_number: dict[int, Order] = {}
        self._desks = desks
        self.finished: list[int] = []
        self._keep = keep
        self.on_forgotten: Callable[[int], object] = lambda number: None
        """Called with the list number of each order that is forgotten."""

    def find(self, account: str, symbol: str, client_id: str) -> Order | None:
        """The newest remembered order with the client id."""
        desk = self._desks.get(symbol)
        seat = desk.seats.get(account) if desk is not None else None
        return seat.by_client.get(client_id) if seat is not None else None

    def rename(self, order: Order, client_id: str) -> None:
        """Give an order another client id. The old one does not find it any more."""
        by_client = self._desks[order.symbol].seats[order.account].by_client
        if by_client.get(order.client_id) is order:
            del by_client[order.client_id]
        order.client_id = client_id
        by_client[client_id] = order

    def finish(self, order: Order) -> None:
        """Keep a finished order of a client for queries. Those of other traders are never queried, so they are
        forgotten.
        """
        if order.account[:1] == HOUSE:
            self._forget(order.number)
            return
        self.finished.append(order.number)
        if len(self.finished) > self._keep + _ROOM:
            for number in self.finished[:_ROOM]:
                self._forget(number)
            del self.finished[:_ROOM]

    def _forget(self, number: int) -> None:
        gone = self.by_number.pop(number)
        if gone.list_number >= 0:
            self.on_forgotten(gone.list_number)
        by_client = self._desks[gone.symbol].seats[gone.account].by_client
        if by_client.get(gone.client_id) is gone:
            del by_client[gone.client_id]
