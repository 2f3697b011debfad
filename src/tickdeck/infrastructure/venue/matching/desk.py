"""A market with its book, and the orders and balances of each account in it."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.infrastructure.venue.matching.balances import Balances, Holding
from tickdeck.infrastructure.venue.matching.book import Book
from tickdeck.infrastructure.venue.matching.market import Market
from tickdeck.infrastructure.venue.matching.orders import FEE_ACCOUNT, Order

__all__ = ["Desk", "Seat"]


class Seat:
    """An account in one market: its balances of both assets, and its orders.

    One look-up gives everything that placing an order needs.
    """

    __slots__ = ("base", "by_client", "quote", "working")

    def __init__(self, base: Holding, quote: Holding) -> None:
        self.base = base
        self.quote = quote
        self.working: dict[int, Order] = {}
        """The open orders by number, oldest first."""
        self.by_client: dict[str, Order] = {}
        """The newest remembered order of each client id."""


class Desk:
    """The engine's own state of one market. ``trades`` counts its trades. ``stops`` are the waiting stop orders by
    number, oldest first."""

    __slots__ = ("_balances", "book", "fees", "last_price", "market", "seats", "stops", "trades")

    def __init__(self, market: Market, balances: Balances) -> None:
        self._balances = balances
        self.book = Book()
        self.seats: dict[str, Seat] = {}
        self.trades = 0
        self.last_price: Decimal | None = None
        self.stops: dict[int, Order] = {}
        self.market = market
        self.fees = self._new_seat(FEE_ACCOUNT)

    def seat(self, account: str) -> Seat:
        """The account's seat, created on first use."""
        seat = self.seats.get(account)
        if seat is None:
            seat = self.seats[account] = self._new_seat(account)
        return seat

    def _new_seat(self, account: str) -> Seat:
        market, holding = self.market, self._balances.holding
        return Seat(holding(account, market.base), holding(account, market.quote))
