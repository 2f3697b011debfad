"""The order book of a run, as it was at an instant."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tickdeck.domain.events import DomainEvent, OrderBookDeltaEvent, OrderBookEvent
from tickdeck.domain.market import Gap, OrderBook

__all__ = ["BookAt", "rebuild_book"]


class BookAt(msgspec.Struct, frozen=True):
    """``book`` after ``updates`` snapshots and deltas, the last taken at ``ts`` of the run's clock (ns UTC; 0: none).

    Where the book is not usable, ``broken_at`` is when the delta came that broke it; ``None`` where no
    snapshot ever made it usable.
    """

    book: OrderBook
    ts: int
    updates: int
    broken_at: int | None


def rebuild_book(record: Iterable[DomainEvent], symbol: str) -> BookAt:
    """Keep ``symbol``'s book over ``record``, by the same rule as a run does."""
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
        ts = event.ts_ingress
        updates += 1
    return BookAt(book, ts, updates, None if book.usable else broken_at)
