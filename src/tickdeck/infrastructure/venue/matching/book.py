"""The resting orders of one symbol, by price and then by time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from tickdeck.infrastructure.venue.matching.orders import Order

__all__ = ["Book", "Level", "Side"]

ZERO = Decimal(0)
_SLACK = 16  # how many more orders that have left may stay in a queue than orders that rest


class Level:
    """The orders at one price, first come first served.

    An order that leaves stays in the queue until it reaches the front, or until there are too many such orders. So any
    order leaves in constant time, and orders hold no references to each other.
    """

    __slots__ = ("changed", "count", "is_bid", "orders", "price", "quantity")

    def __init__(self, is_bid: bool, price: Decimal) -> None:
        self.is_bid = is_bid
        self.price = price
        self.quantity = ZERO
        self.count = 0
        """The number of orders that rest here."""
        self.orders: deque[Order] = deque()
        self.changed = False
        """Whether it is among the book's ``changed`` levels."""

    def first(self) -> Order:
        """The oldest resting order. There must be one."""
        orders = self.orders
        while not orders[0].resting:
            orders.popleft()
        return orders[0]

    def resting(self) -> Iterator[Order]:
        """The resting orders, oldest first."""
        return (order for order in self.orders if order.resting)


class Side:
    """The levels of one side. The prices ascend; the best price of the bids is the last one, of the asks the first.

    ``levels`` also has levels that became empty since ``Book.take_changed`` was last called.
    """

    __slots__ = ("_changed", "best", "is_bids", "levels", "prices")

    def __init__(self, is_bids: bool, changed: list[Level]) -> None:
        self.is_bids = is_bids
        self.levels: dict[Decimal, Level] = {}
        self.prices: list[Decimal] = []
        self.best: Level | None = None
        self._changed = changed

    def add(self, order: Order, price: Decimal) -> None:
        """Put an order at the end of the queue at its price."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level(self.is_bids, price)
        if not level.count:
            insort(self.prices, price)
            best = self.best
            if best is None or (price > best.price if self.is_bids else price < best.price):
                self.best = level
        order.resting = True
        level.orders.append(order)
        level.count += 1
        level.quantity += order.remaining
        if not level.changed:
            level.changed = True
            self._changed.append(level)

    def remove(self, order: Order, price: Decimal) -> None:
        """Remove an order. Its remaining quantity must still be the one in the level."""
        level = self.levels[price]
        order.resting = False
        level.count -= 1
        if level.count:
            level.quantity -= order.remaining
            if len(level.orders) > 2 * level.count + _SLACK:
                level.orders = deque(level.resting())
        else:
            level.quantity = ZERO
            level.orders.clear()
            prices = self.prices
            del prices[bisect_left(prices, price)]
            if level is self.best:
                self.best = self.levels[prices[-1 if self.is_bids else 0]] if prices else None
        if not level.changed:
            level.changed = True
            self._changed.append(level)

    def reduce(self, price: Decimal, quantity: Decimal) -> None:
        """Subtract ``quantity`` from a level whose orders all stay."""
        level = self.levels[price]
        level.quantity -= quantity
        if not level.changed:
            level.changed = True
            self._changed.append(level)

    def from_best(self) -> Iterator[Level]:
        """The levels, starting with the best price."""
        return (self.levels[price] for price in (reversed(self.prices) if self.is_bids else self.prices))


class Book:
    """Both sides of a symbol. ``changed`` lists the levels that changed since ``take_changed`` was last called."""

    __slots__ = ("asks", "bids", "changed")

    def __init__(self) -> None:
        self.changed: list[Level] = []
        self.bids = Side(True, self.changed)
        self.asks = Side(False, self.changed)

    def take_changed(self) -> list[tuple[bool, Decimal, Decimal]]:
        """The levels that changed since the last call as (is a bid, price, quantity now)."""
        rows = []
        for level in self.changed:
            level.changed = False
            rows.append((level.is_bid, level.price, level.quantity))
            if not level.count:
                del (self.bids if level.is_bid else self.asks).levels[level.price]
        self.changed.clear()
        return rows
