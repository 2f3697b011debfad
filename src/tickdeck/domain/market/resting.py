"""Our resting orders on one side, by price and time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal
from typing import Protocol, TypeVar

from tickdeck.domain.values import Price, Side

__all__ = ["RestingOrders"]


class _Resting(Protocol):
    order_id: str
    limit: Price | None


OrderT = TypeVar("OrderT", bound=_Resting)


class RestingOrders(dict[Price, dict[str, OrderT]]):
    """Orders by limit price, and at the same price in the order in which they were added.

    The cost of adding and removing an order does not depend on the number of orders, except for the search for its
    price. The limit of an order must not change while it is in here.
    """

    __slots__ = ("_bids", "_ranks")

    def __init__(self, side: Side) -> None:
        super().__init__()
        self._bids = side is Side.BUY
        self._ranks: list[Decimal] = []  # the ranks of the prices, ascending: best price first

    def add(self, order: OrderT) -> None:
        price = _limit(order)
        level = self.get(price)
        if level is None:
            level = self[price] = {}
            insort(self._ranks, self._rank(price))
        level[order.order_id] = order

    def remove(self, order: OrderT) -> None:
        price = _limit(order)
        level = self[price]
        del level[order.order_id]
        if not level:
            del self[price]
            del self._ranks[bisect_left(self._ranks, self._rank(price))]

    def better_than(self, price: Price) -> Iterator[OrderT]:
        """The orders with a better limit than ``price``, best first. They may be removed during the iteration."""
        reached = self._ranks[: bisect_left(self._ranks, self._rank(price))]
        for rank in reached:
            yield from list(self[self._rank(rank)].values())

    def _rank(self, price: Price) -> Decimal:
        """A number that is lower for better prices: the best bid is the highest, the best ask the lowest. It is exact,
        and its own inverse."""
        return price.copy_negate() if self._bids else price

    def at(self, price: Price) -> list[OrderT]:
        """The orders with limit ``price``, oldest first."""
        return list(self.get(price, {}).values())


def _limit(order: _Resting) -> Price:
    assert order.limit is not None  # a market order does not rest
    return order.limit
