"""The order book of a run at a given time."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tickdeck.domain.events import DomainEvent, OrderBookDeltaEvent, OrderBookEvent
from tickdeck.domain.market import Gap, OrderBook

__all__ = ["BookAt", "rebuild_book"]


class BookAt(msgspec.Struct, frozen=True):
    """``book`` after ``updates`` snapshots and deltas; ``ts`` is the receive time of the last one (ns UTC; 0 if none).

    If the book is not usable, ``broken_at`` is the receive time of the delta that broke it, or ``None`` if no snapshot
    ever made it usable.
    """

    book: OrderBook
    ts: int
    updates: int
    broken_at: int | None


def rebuild_book(record: Iterable[DomainEvent], symbol: str) -> BookAt:
    """Build ``symbol``'s book from ``record`` by the rules that a run applies."""
    book = OrderBook(symbol)
    ts = updates = 0
    broken_at = None
    for event in record:
        if isinstance(event, OrderBookEvent) and event.symbol == symbol:
            book.apply_snapshot(event)
        elif isinstance(event, OrderBookDeltaEvent) and event.symbol == symbol:
            if isinstance(book.apply_delta(event), Gap):
                broken_at = event.ts_ingress
        else:
            continue
        if book.empty_if_crossed():
            broken_at = event.ts_ingress
        ts = event.ts_ingress
        updates += 1
    return BookAt(book, ts, updates, None if book.usable else broken_at)
