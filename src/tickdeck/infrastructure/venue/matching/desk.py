"""A market with its book, its working orders and its counters."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.infrastructure.venue.matching.book import Book
from tickdeck.infrastructure.venue.matching.market import Market
from tickdeck.infrastructure.venue.matching.orders import Order

__all__ = ["Desk"]


class Desk:
    """The engine's own state of one market. ``trades`` counts its trades."""

    __slots__ = ("book", "market", "touched", "trades", "working")

    def __init__(self, market: Market) -> None:
        self.market = market
        self.book = Book()
        self.working: dict[str, dict[int, Order]] = {}  # by account and number
        self.trades = 0
        self.touched: dict[tuple[bool, Decimal], None] = {}  # (is a bid, price) of levels since the last look
