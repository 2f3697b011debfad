"""The readers and the book on real recorded data, against the facts that its index states."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tickdeck.domain.events import (
    CandleEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import Gap, OrderBook, Resynced
from tickdeck.infrastructure.readers import (
    InputFile,
    ReadNotes,
    detect_format,
    file_digest,
    merge,
    open_input,
    peek_symbols,
)

WITH_SNAPSHOT = [
    "binance-spot-BTCUSDT-20240808.raw.gz",
    "binance-spot-ETHUSDT-20240808.raw.gz",
    "binance-usdm-BTCUSDT-20240808.raw.gz",
    "binance-usdm-ETHUSDT-20240808.raw.gz",
]
CAPTURES = [*WITH_SNAPSHOT, "binance-spot-BTCUSDT-20240809.raw.gz", "binance-spot-ETHUSDT-20240809.raw.gz"]
BTC, ETH, FUTURES_BTC, FUTURES_ETH = WITH_SNAPSHOT
BTC_NEXT_DAY = "binance-spot-BTCUSDT-20240809.raw.gz"
FLAT = "trades-merged-20240808.csv.gz"


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "market-data"


@pytest.fixture(scope="module")
def index(data: Path) -> dict[str, dict[str, Any]]:
    files = json.loads((data / "index.json").read_text())["files"]
    return {entry["file"]: entry for entry in files}


@lru_cache(maxsize=2)
def read(path: Path) -> list[MarketEvent]:
    """All events of a capture. They are cached, because several tests use the same two."""
    return list(open_input(InputFile(path)))


def read_flat(data: Path, symbol: str, venue: str | None = None) -> list[TradeEvent]:
    events = open_input(InputFile(data / FLAT, symbol=symbol, venue=venue))
    return [event for event in events if isinstance(event, TradeEvent)]


def lines_of(path: Path) -> list[bytes]:
    with gzip.open(path) as file:
        return file.readlines()


def build_book(events: Iterable[MarketEvent], symbol: str) -> tuple[OrderBook, list[Gap | Resynced], int]:
    """(book, its results, how often it was crossed) after all of ``events``."""
    book = OrderBook(symbol)
    told: list[Gap | Resynced] = []
    crossed = 0
    for event in events:
        if isinstance(event, OrderBookEvent):
            change: Gap | Resynced | None = book.apply_snapshot(event)
        elif isinstance(event, OrderBookDeltaEvent):
            change = book.apply_delta(event)
        else:
            continue
        crossed += book.is_crossed()
        if change is not None:
            told.append(change)
    return book, told, crossed


def plain_book(path: Path) -> tuple[int, dict[str, dict[Decimal, Decimal]]]:
    """(last update id, side -> price -> quantity), computed independently from the JSON: the snapshot, then the
    updates.
    """
    messages = [json.loads(line.split(b" ", 1)[1]) for line in lines_of(path)]
    (snapshot,) = (message for message in messages if "lastUpdateId" in message)
    last = snapshot["lastUpdateId"]
    sides = {side: {Decimal(p): Decimal(q) for p, q in snapshot[side + "s"]} for side in ("bid", "ask")}
    for diff in (m["data"] for m in messages if "@depth" in m.get("stream", "") and m["data"]["u"] > last):
        for side in ("bid", "ask"):
            sides[side].update((Decimal(p), Decimal(q)) for p, q in diff[side[0]])
        last = diff["u"]
    return last, {side: {p: q for p, q in levels.items() if q} for side, levels in sides.items()}


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_gives_an_event_for_each_line(data: Path, index: dict[str, dict[str, Any]], name: str) -> None:
    facts = index[name]
    notes = ReadNotes()

    events = list(open_input(InputFile(data / name), notes=notes))

    counts = Counter(type(event) for event in events)
    stated = facts["verified"]["message_counts"]
    assert counts[TradeEvent] == stated["trade"]
    assert counts[TickEvent] == stated["bookTicker"]
    assert counts[OrderBookDeltaEvent] == stated["depth"]
    assert counts[OrderBookEvent] == (name in WITH_SNAPSHOT)
    assert len(events) == facts["rows"]
    assert notes.skipped == {}
    assert {event.symbol for event in events} == {facts["symbol"]}
    assert all(one.ts_ingress <= other.ts_ingress for one, other in pairwise(events))
    venue = "binance-usdm" if "-usdm-" in name else "binance"
    assert all(event.ts and event.source == venue for event in events)

    trades = [event for event in events if isinstance(event, TradeEvent)]
    ids = [trade.trade_id for trade in trades]
    assert ids == list(range(int(ids[0]), int(ids[0]) + len(ids)))
    prices = [float(trade.price) for trade in trades]
    assert [min(prices), max(prices)] == facts["verified"]["trade_price_min_max"]
    total = sum(trade.quantity for trade in trades)
    assert float(total) == pytest.approx(facts["verified"]["trade_qty_total"], abs=0.0001)  # stated to 4 places


@pytest.mark.parametrize(
    "name",
    [BTC, ETH, pytest.param(FUTURES_BTC, marks=pytest.mark.slow), pytest.param(FUTURES_ETH, marks=pytest.mark.slow)],
)
def test_the_book_of_a_capture_has_no_gap_and_equals_a_plain_reconstruction(data: Path, name: str) -> None:
    book, told, crossed = build_book(read(data / name), "any")

    last, sides = plain_book(data / name)
    assert [type(change) for change in told] == [Resynced]
    assert crossed == 0
    assert book.usable
    assert book.last_update_id == last
    assert book.bids() == sorted(sides["bid"].items(), reverse=True)
    assert book.asks() == sorted(sides["ask"].items())


def test_a_capture_without_a_snapshot_never_gives_a_usable_book(data: Path) -> None:
    book, told, _ = build_book(read(data / BTC_NEXT_DAY), "BTCUSDT")

    assert (book.usable, told, book.best_bid()) == (False, [], None)


def test_two_captures_played_in_order_continue_without_a_gap(data: Path) -> None:
    events = list(merge([read(data / BTC), read(data / BTC_NEXT_DAY)]))

    book, told, crossed = build_book(events, "BTCUSDT")

    ids = [event.trade_id for event in events if isinstance(event, TradeEvent)]
    deltas = [event for event in events if isinstance(event, OrderBookDeltaEvent)]
    assert ids == list(range(int(ids[0]), int(ids[0]) + 9757 + 10147))
    assert [type(change) for change in told] == [Resynced]
    assert (book.usable, book.last_update_id, crossed) == (True, deltas[-1].last_update_id, 0)


def test_two_symbols_merge_in_order_of_receive_time(data: Path) -> None:
    merged = list(merge([read(data / BTC), read(data / ETH)]))

    assert len(merged) == 41249 + 33618
    assert all(one.ts_ingress <= other.ts_ingress for one, other in pairwise(merged))
    for name, symbol in ((BTC, "BTCUSDT"), (ETH, "ETHUSDT")):
        assert [event for event in merged if event.symbol == symbol] == read(data / name)


def without(lines: list[bytes], cut: range) -> Iterator[bytes]:
    return (line for number, line in enumerate(lines) if number not in cut)


def test_removed_lines_cause_a_gap_and_a_later_snapshot_ends_it(data: Path, tmp_path: Path) -> None:
    lines = lines_of(data / BTC)
    whole, _, _ = build_book(read(data / BTC), "BTCUSDT")
    # The second snapshot is the book as it was at line 30,000; it arrives 400 lines later.
    middle, _, _ = build_book(read(data / BTC)[:30_000], "BTCUSDT")
    body = {
        "lastUpdateId": middle.last_update_id,
        "bids": [[str(price), str(quantity)] for price, quantity in middle.bids()],
        "asks": [[str(price), str(quantity)] for price, quantity in middle.asks()],
    }
    stamp = lines[30_500].split(b" ", 1)[0]
    kept = list(without(lines, range(20_000, 20_100)))
    path = tmp_path / "cut.raw"
    path.write_bytes(b"".join([*kept[:30_400], stamp + b" " + json.dumps(body).encode() + b"\n", *kept[30_400:]]))

    book, told, crossed = build_book(open_input(InputFile(path)), "BTCUSDT")

    first, gap, last = told
    assert isinstance(first, Resynced)
    assert isinstance(gap, Gap)
    assert gap.expected < gap.received
    assert isinstance(last, Resynced)
    assert last.last_update_id > middle.last_update_id  # the waiting deltas were applied
    assert crossed == 0
    assert (book.bids(), book.asks(), book.last_update_id) == (whole.bids(), whole.asks(), whole.last_update_id)


def test_removed_lines_of_a_futures_capture_cause_a_gap(data: Path, tmp_path: Path) -> None:
    lines = lines_of(data / FUTURES_BTC)[:20_000]
    path = tmp_path / "cut.raw"
    path.write_bytes(b"".join(without(lines, range(10_000, 10_100))))

    book, told, _ = build_book(open_input(InputFile(path)), "BTCUSDT")

    assert [type(change) for change in told] == [Resynced, Gap]
    assert not book.usable


def test_the_flat_trades_contain_four_streams(data: Path, index: dict[str, dict[str, Any]]) -> None:
    assert peek_symbols(InputFile(data / FLAT)) == ["BTCUSDT", "ETHUSDT"]
    for stream, count in index[FLAT]["verified"]["per_stream"].items():
        venue, symbol = stream.split("/")

        trades = read_flat(data, symbol, venue)

        assert len(trades) == count
        assert {(trade.source, trade.symbol) for trade in trades} == {(venue, symbol)}
        first = int(trades[0].trade_id)
        assert [trade.trade_id for trade in trades] == list(range(first, first + count))


def test_the_flat_trades_equal_those_of_the_captures(data: Path) -> None:
    captured = [e for name in (BTC, BTC_NEXT_DAY) for e in read(data / name) if isinstance(e, TradeEvent)]

    flat = read_flat(data, "BTCUSDT")

    def facts(trade: TradeEvent) -> tuple[object, ...]:
        return trade.ts_ingress, trade.ts, trade.trade_id, trade.price, trade.quantity, trade.side

    assert [facts(trade) for trade in flat] == [facts(trade) for trade in captured]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("candles-1m-BTCUSDT-20241001-20241104.csv.gz", None),
        ("candles-5m-ETHUSDT-20250403-20250702.csv.gz", None),
        ("candles-1m-BTC-PERP-20211231-20220201.csv.gz", "BTC-PERP"),
    ],
)
def test_candles_follow_each_other(data: Path, index: dict[str, dict[str, Any]], name: str, symbol: str | None) -> None:
    facts = index[name]

    candles = [e for e in open_input(InputFile(data / name, symbol=symbol)) if isinstance(e, CandleEvent)]

    assert len(candles) == facts["rows"]
    assert {candle.symbol for candle in candles} == {facts["symbol"]}
    assert all(one.close_ts == other.open_ts for one, other in pairwise(candles))
    assert [float(min(c.low for c in candles)), float(max(c.high for c in candles))] == [
        facts["verified"]["price_min"],
        facts["verified"]["price_max"],
    ]
    opened = [datetime.fromtimestamp(candle.open_ts // 10**9, UTC) for candle in (candles[0], candles[-1])]
    assert [f"{time:%Y-%m-%d %H:%M:%S}" for time in opened] == facts["time_span_utc"]


def test_every_file_is_as_the_index_says(data: Path, index: dict[str, dict[str, Any]]) -> None:
    formats = {"raw.gz": "binance-raw", "trades-merged": "trades", "candles-": "candles"}
    for name, facts in index.items():
        if name.endswith(".json.gz"):
            continue  # a format that has no reader
        wanted = next(format_ for part, format_ in formats.items() if part in name)

        assert detect_format(data / name) == wanted
        assert file_digest(data / name) == facts["sha256"]
