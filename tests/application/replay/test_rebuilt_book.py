"""A run's order book, rebuilt from its record."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.replay import rebuild_book
from tickdeck.domain.events import OrderBookDeltaEvent, OrderBookEvent, RunStarted

LEVEL = ((Decimal(1), Decimal(2)),)


def snapshot(last: int, ts: int, symbol: str = "B") -> OrderBookEvent:
    return OrderBookEvent(symbol=symbol, last_update_id=last, bids=LEVEL, asks=(), ts=ts - 1, ts_ingress=ts)


def delta(first: int, last: int, ts: int, symbol: str = "B") -> OrderBookDeltaEvent:
    return OrderBookDeltaEvent(
        symbol=symbol,
        first_update_id=first,
        last_update_id=last,
        asks=((Decimal(3), Decimal(4)),),
        ts=ts - 1,
        ts_ingress=ts,
    )


def test_snapshot_and_deltas_of_the_symbol_make_the_book():
    record = [RunStarted(ts=1), snapshot(5, 2), delta(6, 7, 3), snapshot(99, 4, "other"), delta(100, 101, 5, "other")]

    found = rebuild_book(record, "B")

    assert (found.ts, found.updates, found.broken_at) == (3, 2, None)
    assert found.book.usable
    assert (found.book.best_bid(), found.book.best_ask()) == ((Decimal(1), Decimal(2)), (Decimal(3), Decimal(4)))
    assert found.book.last_update_id == 7


def test_a_gap_says_when_it_broke_the_book():
    found = rebuild_book([snapshot(5, 2), delta(6, 7, 3), delta(9, 10, 4), delta(11, 12, 5)], "B")

    assert not found.book.usable
    assert (found.broken_at, found.ts) == (4, 5)


def test_a_snapshot_after_the_gap_mends_the_book():
    found = rebuild_book([snapshot(5, 2), delta(9, 10, 4), snapshot(10, 6)], "B")

    assert found.book.usable
    assert found.broken_at is None


def test_without_updates_there_is_no_book():
    found = rebuild_book([RunStarted()], "B")

    assert (found.ts, found.updates, found.book.usable) == (0, 0, False)
