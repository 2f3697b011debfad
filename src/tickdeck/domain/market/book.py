"""The local order book of one symbol, maintained by the venue's sequence rule.

Binance spot ("How to manage a local order book correctly"): buffer the deltas that arrive before the snapshot. Drop
those that the snapshot already contains (``u <= lastUpdateId``). The first remaining delta must have ``U <=
lastUpdateId + 1 <= u``; otherwise the snapshot is too old and you need another one. From then on, each delta must begin
at most one id after the end of the previous one. A later begin means that something was lost.

If the venue names the previous delta (Binance futures, ``pu``), that link is the rule instead, because the ids of one
symbol are not contiguous there: ``pu`` must equal the last id, and for the first delta after a snapshot it must not be
greater than the snapshot's id.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from tickdeck.domain.events import OrderBookDeltaEvent, OrderBookEvent
from tickdeck.domain.values import Level

__all__ = ["MAX_WAITING", "Crossed", "Gap", "OrderBook", "Resynced"]

MAX_WAITING = 10_000
"""How many deltas to buffer while waiting for a snapshot. At 10 a second this is more than a quarter of an hour."""


class Gap(NamedTuple):
    """The chain of deltas broke, and the book is unusable from here on.

    ``expected`` and ``received`` are first update ids, or ids of the previous delta if the venue links deltas that way.
    """

    expected: int
    received: int


class Crossed(NamedTuple):
    """The best bid reached the best ask, so the record is wrong. The book is empty and unusable from here
    until a later snapshot. ``last_update_id`` is the update that crossed it.
    """

    last_update_id: int


class Resynced(NamedTuple):
    """A snapshot joined the deltas. The book is usable and stands at ``last_update_id``."""

    last_update_id: int


class OrderBook:
    """The levels of one symbol, and whether they can be trusted.

    A book that is not ``usable`` is empty, because its levels may be wrong. Every method is
    deterministic and changes nothing but the book. The caller passes the events of one symbol in the venue's order and
    publishes what the two ``apply_*`` methods return.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last_update_id = 0
        """The venue's id of the last update applied; 0 before the first snapshot. A gap does not reset it."""
        self.usable = False
        self._bids = _Side()
        self._asks = _Side()
        self._waiting: deque[OrderBookDeltaEvent] = deque(maxlen=MAX_WAITING)
        """Deltas that wait for a snapshot. They are contiguous: those before a gap are of no use to any snapshot."""
        self._at_snapshot = False
        """True if nothing has been applied since the last snapshot."""

    @property
    def seen(self) -> bool:
        """True if there was a snapshot, or if an update waits for one."""
        return self.usable or bool(self.last_update_id or self._waiting)

    def apply_snapshot(self, snapshot: OrderBookEvent) -> Resynced | None:
        """Start from ``snapshot`` and apply the deltas that wait for it.

        Returns ``Resynced`` if the book became usable. Returns ``None`` if the snapshot is older than the book and was
        ignored, if it is too old for the waiting deltas, or if it refreshed a usable book.
        """
        last = snapshot.last_update_id
        if self.usable and last <= self.last_update_id:
            return None
        newer = [delta for delta in self._waiting if delta.last_update_id > last]
        if newer and _gap(newer[0], last, at_snapshot=True) is not None:
            return None
        self._bids.replace(snapshot.bids)
        self._asks.replace(snapshot.asks)
        self.last_update_id = last
        self._at_snapshot = True
        self._waiting.clear()
        for delta in newer:
            self._apply(delta)
        if self.usable:
            return None
        self.usable = True
        return Resynced(self.last_update_id)

    def apply_delta(self, delta: OrderBookDeltaEvent) -> Gap | None:
        """Apply ``delta`` if it continues the book; ignore it if the book already contains it.

        Returns ``Gap`` if something is missing in between. The book is then empty and unusable, and this delta is the
        first to wait for a snapshot. An unusable book buffers every further delta and returns ``None``.
        """
        if not self.usable:
            self._wait(delta)
            return None
        if delta.last_update_id <= self.last_update_id:
            return None
        gap = _gap(delta, self.last_update_id, at_snapshot=self._at_snapshot)
        if gap is None:
            self._apply(delta)
            return None
        self._empty()
        self._waiting.append(delta)
        return gap

    def best_bid(self) -> Level | None:
        """The highest bid as (price in quote, quantity in base), or ``None``."""
        prices = self._bids.prices
        return (prices[-1], self._bids.quantities[prices[-1]]) if prices else None

    def best_ask(self) -> Level | None:
        """The lowest ask as (price in quote, quantity in base), or ``None``."""
        prices = self._asks.prices
        return (prices[0], self._asks.quantities[prices[0]]) if prices else None

    def bids(self, depth: int | None = None) -> list[Level]:
        """The ``depth`` best bids, from the highest price down; all of them by default."""
        quantities = self._bids.quantities
        return [(price, quantities[price]) for price in islice(reversed(self._bids.prices), depth)]

    def asks(self, depth: int | None = None) -> list[Level]:
        """The ``depth`` best asks, from the lowest price up; all of them by default."""
        quantities = self._asks.quantities
        return [(price, quantities[price]) for price in islice(self._asks.prices, depth)]

    def is_crossed(self) -> bool:
        """True if the best bid is at or above the best ask. No venue shows such a book, so the record is wrong."""
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

    def empty_if_crossed(self) -> Crossed | None:
        """Empty a book that is crossed, and make it unusable until a later snapshot. Call it after each update, before
        anyone looks at the book. Returns ``Crossed`` if it was.
        """
        if not self.is_crossed():
            return None
        self._empty()
        return Crossed(self.last_update_id)

    def lose(self) -> bool:
        """Forget everything, because updates may have been missed: the book is unusable until the next snapshot.
        Returns whether it was usable."""
        was_usable = self.usable
        self._empty()
        self._waiting.clear()
        return was_usable

    def _empty(self) -> None:
        self.usable = False
        self._bids.replace(())
        self._asks.replace(())

    def _apply(self, delta: OrderBookDeltaEvent) -> None:
        self._bids.update(delta.bids)
        self._asks.update(delta.asks)
        self.last_update_id = delta.last_update_id
        self._at_snapshot = False

    def _wait(self, delta: OrderBookDeltaEvent) -> None:
        waiting = self._waiting
        if waiting:
            last = waiting[-1].last_update_id
            if delta.last_update_id <= last:
                return
            if _gap(delta, last, at_snapshot=False) is not None:
                waiting.clear()
        waiting.append(delta)


def _gap(delta: OrderBookDeltaEvent, last: int, *, at_snapshot: bool) -> Gap | None:
    """What is missing between update ``last`` and ``delta``, which ends after it; ``None`` if nothing is."""
    previous = delta.previous_update_id
    if previous:
        # The delta contains every change after `previous`. A snapshot may have been taken in its middle. Applying again
        # what the snapshot already contains is harmless, because quantities are absolute.
        joins = previous <= last if at_snapshot else previous == last
        return None if joins else Gap(last, previous)
    first = delta.first_update_id
    return None if first <= last + 1 else Gap(last + 1, first)


class _Side:
    """One side of the book: the quantity at each price, and the prices in ascending order.

    Most updates change the quantity of an existing level, which is one dict assignment. Only a level that appears or
    disappears costs a binary search and a shift of the price list.
    """

    __slots__ = ("prices", "quantities")

    def __init__(self) -> None:
        self.quantities: dict[Decimal, Decimal] = {}
        self.prices: list[Decimal] = []

    def replace(self, levels: Iterable[Level]) -> None:
        self.quantities = {price: quantity for price, quantity in dict(levels).items() if quantity}
        self.prices = sorted(self.quantities)

    def update(self, levels: Iterable[Level]) -> None:
        quantities, prices = self.quantities, self.prices
        for price, quantity in levels:
            if quantity:
                known = len(quantities)
                quantities[price] = quantity
                if len(quantities) != known:
                    insort(prices, price)
            elif quantities.pop(price, None) is not None:
                del prices[bisect_left(prices, price)]
