"""The orders that the venue remembers: all that are open, and the newest finished ones."""

from __future__ import annotations

from tickdeck.infrastructure.venue.matching.orders import HOUSE, Order

__all__ = ["OrderRegister"]

_ROOM = 1_000  # finished orders are forgotten in groups of this size


class OrderRegister:
    """Orders by their number and by their client id. ``keep`` finished orders of clients stay available."""

    def __init__(self, keep: int) -> None:
        self.by_number: dict[int, Order] = {}
        self.by_client: dict[tuple[str, str, str], Order] = {}
        """The newest order by account, symbol and client id."""
        self._finished: list[int] = []
        self._keep = keep

    def add(self, order: Order) -> None:
        """Remember a new order."""
        self.by_number[order.number] = order
        self.by_client[order.account, order.symbol, order.client_id] = order

    def rename(self, order: Order, client_id: str) -> None:
        """Give an order another client id. It no longer answers to the old one."""
        key = (order.account, order.symbol, order.client_id)
        if self.by_client.get(key) is order:
            del self.by_client[key]
        order.client_id = client_id
        self.by_client[order.account, order.symbol, client_id] = order

    def finish(self, order: Order) -> None:
        """Keep a finished order of a client for queries. Those of other traders are forgotten: nobody asks for them."""
        if order.account[:1] == HOUSE:
            self._forget(order.number)
            return
        self._finished.append(order.number)
        if len(self._finished) > self._keep + _ROOM:
            for number in self._finished[:_ROOM]:
                self._forget(number)
            del self._finished[:_ROOM]

    def _forget(self, number: int) -> None:
        gone = self.by_number.pop(number)
        key = (gone.account, gone.symbol, gone.client_id)
        if self.by_client.get(key) is gone:
            del self.by_client[key]
