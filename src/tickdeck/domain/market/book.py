"""The local order book of one symbol, kept by the venue's sequence rule.

Binance's rule (its "how to manage a local order book correctly"), spot: keep the deltas that come before the
snapshot; of these drop what the snapshot already holds (``u <= lastUpdateId``); the first one left must have
``U <= lastUpdateId + 1 <= u``, or the snapshot is too old and another one is needed. From there on each delta must
begin at most one after the end of the one before; one that begins later means that something was lost.

Where the venue names the delta before (Binance futures, ``pu``), that link is the rule instead, since the ids of one
symbol are not contiguous there: ``pu`` must equal the last id, and of the first delta after a snapshot it must not
lie after the snapshot.
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

__all__ = ["MAX_WAITING", "Gap", "OrderBook", "Resynced"]

MAX_WAITING = 10_000
"""So many deltas are kept for a snapshot to join them (at 10 a second: more than a quarter of an hour)."""


class Gap(NamedTuple):
    """The chain of deltas broke: the book is unusable from here on.

    ``expected`` and ``received`` are first update ids; where the venue links deltas by their predecessor, ids of that.
    """

    expected: int
    received: int


class Resynced(NamedTuple):
    """A snapshot joined the deltas: the book is usable, and stands at ``last_update_id``."""

    last_update_id: int


class OrderBook:
    """The levels of one symbol, and whether they can be trusted.

    A book that is not ``usable`` is empty: nobody can trade on levels that may be wrong. Every method is
    deterministic and without side effects beyond the book. The caller hands over one symbol's events in the order of
    the venue, and publishes what the two ``apply_*`` methods return.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last_update_id = 0
        """The venue's id of the last update that was applied; kept through a gap, 0 before the first snapshot."""
        self.usable = False
        self._bids = _Side()
        self._asks = _Side()
        self._waiting: deque[OrderBookDeltaEvent] = deque(maxlen=MAX_WAITING)
        """Deltas for a snapshot to join; unbroken, as those before a hole in them are of no use to any snapshot."""
        self._at_snapshot = False
        """Nothing was applied since the last snapshot."""

    @property
    def seen(self) -> bool:
        """There was a snapshot, or an update that waits for one."""
        return self.usable or bool(self.last_update_id or self._waiting)

    def apply_snapshot(self, snapshot: OrderBookEvent) -> Resynced | None:
        """Start from ``snapshot`` and apply the deltas that waited for it.

        ``Resynced`` where the book became usable. ``None`` where the snapshot is older than the book (it is ignored),
        is too old for the deltas that wait (they go on waiting), or refreshed a book that was usable anyway.
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
        """Apply ``delta`` where it continues the book; ignore it where the book already holds it.

        ``Gap`` where something between is missing: the book is empty and unusable from then on, and this delta is the
        first that waits for a snapshot. An unusable book keeps every further delta waiting and returns ``None``.
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
        self.usable = False
        self._bids.replace(())
        self._asks.replace(())
        self._waiting.append(delta)
        return gap

    def best_bid(self) -> Level | None:
        """The highest bid as (price in quote, quantity in base); ``None`` where there is none."""
        prices = self._bids.prices
        return (prices[-1], self._bids.quantities[prices[-1]]) if prices else None

    def best_ask(self) -> Level | None:
        """The lowest ask as (price in quote, quantity in base); ``None`` where there is none."""
        prices = self._asks.prices
        return (prices[0], self._asks.quantities[prices[0]]) if prices else None

    def bids(self, depth: int | None = None) -> list[Level]:
        """The ``depth`` best bids (all by default), from the highest price down."""
        quantities = self._bids.quantities
        return [(price, quantities[price]) for price in islice(reversed(self._bids.prices), depth)]

    def asks(self, depth: int | None = None) -> list[Level]:
        """The ``depth`` best asks (all by default), from the lowest price up."""
        quantities = self._asks.quantities
        return [(price, quantities[price]) for price in islice(self._asks.prices, depth)]

    def is_crossed(self) -> bool:
        """The best bid is at or above the best ask, which no venue's book is: the record is wrong."""
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

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
    """What lies between update ``last`` and a ``delta`` that ends after it; ``None`` where nothing does."""
    previous = delta.previous_update_id
    if previous:
        # The delta holds every change after `previous`. A snapshot may have been taken in its middle; applying once
        # more what the snapshot holds already is harmless, as quantities are absolute.
        joins = previous <= last if at_snapshot else previous == last
        return None if joins else Gap(last, previous)
    first = delta.first_update_id
    return None if first <= last + 1 else Gap(last + 1, first)


class _Side:
    """One side's levels: the quantity at each price, and the prices in ascending order.

    Most updates change the quantity of a level that exists, which is one dict assignment; only a level that appears or
    goes costs a binary search and the shift of a list of pointers.
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
