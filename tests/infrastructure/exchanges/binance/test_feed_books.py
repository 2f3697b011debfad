"""Binance's order books without a socket: snapshots, updates, and breaks in their sequence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from binance_feed_kit import T0, S, Venue, delta, snapshot

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines import MarketDataEngine
from tickdeck.domain.events import (
    BookResynced,
    GapDetected,
    OrderBookDeltaEvent,
    OrderBookEvent,
)
from tickdeck.domain.market import OrderBook, Resynced
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder
from tickdeck.infrastructure.exchanges.binance.market_data import (
    Fetch,
    MarketDataProtocol,
)


def test_a_book_is_fetched_with_its_first_update_and_joins_the_updates() -> None:
    venue = Venue()
    venue.hear(delta(10, 12), delta(13, 15))
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(13))
    book = OrderBook("BTCUSDT")
    outcomes = []
    for event in venue.events():
        if isinstance(event, OrderBookDeltaEvent):
            outcomes.append(book.apply_delta(event))
        elif isinstance(event, OrderBookEvent):
            outcomes.append(book.apply_snapshot(event))

    assert fetch[1:] == ("depth", "BTCUSDT", 0, 0)
    assert outcomes == [None, None, Resynced(15)]


def test_a_snapshot_just_before_the_first_update_is_taken() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(9))

    assert any(isinstance(event, OrderBookEvent) for event in venue.events())


def test_a_snapshot_older_than_the_updates_is_fetched_again() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(8))
    assert not any(isinstance(event, OrderBookEvent) for event in venue.events())

    venue.pass_time(S)
    (again,) = venue.fetches()
    venue.protocol.fetched(again.number, venue.now, snapshot(12))
    assert any(isinstance(event, OrderBookEvent) for event in venue.events())


def test_a_break_in_the_updates_is_passed_on_and_repaired_by_a_snapshot() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    venue.protocol.fetched(venue.fetches()[0].number, venue.now, snapshot(11))
    venue.hear(delta(20, 22))
    (fetch,) = venue.fetches()
    venue.hear(delta(23, 24))
    venue.protocol.fetched(fetch.number, venue.now, snapshot(21))
    bus = InMemoryEventBus()
    engine = MarketDataEngine(bus)
    with bus.collect(GapDetected) as gaps, bus.collect(BookResynced) as resyncs:
        for event in venue.events():
            bus.publish(event)

    assert [(gap.expected, gap.received) for gap in gaps] == [(13, 20)]
    assert [resync.last_update_id for resync in resyncs] == [12, 24]
    assert engine.market("BTCUSDT").book.usable


def test_a_book_that_its_owner_cannot_use_gets_a_snapshot_immediately() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    venue.protocol.fetched(venue.fetches()[0].number, venue.now, snapshot(11))
    venue.hear(delta(13, 14))
    venue.protocol.resync("BTCUSDT", venue.now)
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(13))
    venue.events()
    venue.pass_time(S)
    (again,) = venue.fetches()
    venue.protocol.fetched(again.number, venue.now, snapshot(14))

    assert [e.last_update_id for e in venue.events() if isinstance(e, OrderBookEvent)] == [14]


def test_a_book_that_breaks_repeatedly_does_not_use_up_the_limits() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    asked = 0
    for _ in range(1_000):  # 100 s
        for fetch in venue.fetches():
            asked += 1
            venue.protocol.fetched(fetch.number, venue.now, snapshot(12))
            venue.protocol.resync("BTCUSDT", venue.now)
        venue.pass_time(S // 10)

    assert 3 <= asked <= 16


@pytest.mark.parametrize("symbol", ["LRCBTC", "NKNUSDT"])
def test_the_recorded_books_are_rebuilt_without_a_mismatch(shared: Path, symbol: str) -> None:
    """The best prices of the rebuilt book are those that the venue's bookTicker shows for the same update."""
    folder = shared / "exchanges" / "binance"
    recorded = json.loads((folder / f"rec_depth_snapshot_{symbol}.json").read_text())
    protocol = MarketDataProtocol((symbol,), ("bookTicker", "depth@100ms"))
    decoder, book = FrameDecoder(), OrderBook(symbol)
    tickers = {}
    lines = (folder / f"rec_other_streams_{symbol}.jsonl").read_text().splitlines()
    for message in (json.loads(line)["msg"] for line in lines):
        if message["stream"].endswith("bookTicker"):
            tickers[message["data"]["u"]] = message["data"]
    protocol.start(T0)
    protocol.opened(1, T0)
    now, asked, compared = T0, False, 0
    for line in (folder / f"rec_depth_stream_{symbol}.jsonl").read_text().splitlines():
        record = json.loads(line)
        now += 1
        if not asked and record["recv_ts"] > recorded["recv_ts"]:
            fetches = [action for action in protocol.actions() if isinstance(action, Fetch)]
            fetch = next(action for action in fetches if action.what == "depth")
            protocol.fetched(fetch.number, now, json.dumps(recorded["response"]).encode())
            asked = True
        protocol.received(1, now, json.dumps(record["msg"], separators=(",", ":")).encode())
        for frame in protocol.frames():
            for event in decoder.decode(frame):
                if isinstance(event, OrderBookDeltaEvent):
                    assert book.apply_delta(event) is None
                elif isinstance(event, OrderBookEvent):
                    book.apply_snapshot(event)
        ticker = tickers.get(book.last_update_id)
        if book.usable and ticker is not None:
            compared += 1
            bid, ask = book.best_bid(), book.best_ask()
            assert bid is not None
            assert ask is not None
            assert [f"{n:f}" for n in (*bid, *ask)] == [ticker[key] for key in "bBaA"]

    assert book.usable
    assert compared >= 3
    assert protocol.statistics.gaps == 0
