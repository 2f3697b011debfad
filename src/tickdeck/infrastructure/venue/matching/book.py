"""The resting orders of one symbol, by price and then by time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

from tickdeck.infrastructure.venue.matching.orders import Order

__all__ = ["Book", "Level"]

ZERO = Decimal(0)


class Level:
    """The orders at one price, first come first served: a linked list, so that any order leaves in constant time."""

    __slots__ = ("first", "last", "price", "quantity")

    def __init__(self, price: Decimal) -> None:
        self.price = price
        self.quantity = ZERO
        self.first: Order | None = None
        self.last: Order | None = None


class Side:
    """The levels of one side. The prices ascend; the best price of the bids is the last one, of the asks the first."""

    __slots__ = ("best", "is_bids", "levels", "prices")

    def __init__(self, is_bids: bool) -> None:
        self.is_bids = is_bids
        self.levels: dict[Decimal, Level] = {}
        self.prices: list[Decimal] = []
        self.best: Level | None = None

    def add(self, order: Order, price: Decimal) -> None:
        """Put an order at the end of the queue at its price."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level(price)
            insort(self.prices, price)
            self._find_best()
        last = level.last
        if last is None:
            level.first = order
        else:
            last.next = order
            order.previous = last
        level.last = order
        level.quantity += order.remaining

    def remove(self, order: Order, price: Decimal) -> None:
        """Take an order out; its remaining quantity must still be the one in the level."""
        level = self.levels[price]
        before, after = order.previous, order.next
        if before is None:
            level.first = after
        else:
            before.next = after
        if after is None:
            level.last = before
        else:
            after.previous = before
        order.previous = order.next = None
        if level.first is None:
            del self.levels[price]
            del self.prices[bisect_left(self.prices, price)]
            self._find_best()
        else:
            level.quantity -= order.remaining

    def _find_best(self) -> None:
        prices = self.prices
        self.best = self.levels[prices[-1 if self.is_bids else 0]] if prices else None

    def from_best(self) -> Iterator[Level]:
        """The levels, from the best price on."""
        return (self.levels[price] for price in (reversed(self.prices) if self.is_bids else self.prices))


class Book:
    """Both sides of a symbol."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Side(is_bids=True)
        self.asks = Side(is_bids=False)
