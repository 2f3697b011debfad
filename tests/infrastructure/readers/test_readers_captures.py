"""Captured messages of Binance in other formattings, with other times, and of other streams."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from reading_kit import read

from tickdeck.domain.events import CandleEvent, OrderBookEvent, TradeEvent
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, ReadNotes, open_input

TRADE = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 7, "p": "61000.5", "q": "0.1", "T": 1723161254001, "m": True}
AGGREGATE = {
    "e": "aggTrade",
    "s": "BTCUSDT",
    "a": 9,
    "p": "61000.5",
    "q": "0.1",
    "f": 7,
    "l": 7,
    "T": 1723161254001,
    "m": True,
}


def capture(file: Path, *messages: object) -> Path:
    texts = (m if isinstance(m, str) else json.dumps(m, separators=(",", ":")) for m in messages)
    file.write_text("".join(f"{1723161254 * 10**9 + n} {text}\n" for n, text in enumerate(texts)))
    return file


def wrapped(stream: str, data: object) -> dict[str, object]:
    return {"stream": stream, "data": data}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(wrapped("btcusdt@trade", TRADE), indent=1).replace("\n", " "),
        json.dumps({"data": dict(reversed(TRADE.items())), "stream": "btcusdt@trade"}),
        json.dumps(wrapped("btcusdt@trade", TRADE)).replace("@", "\\u0040"),
        json.dumps(wrapped("btcusdt@trade", TRADE | {"p": 61000.5, "q": 1e-1, "T": 1723161254001.0})),
        json.dumps(TRADE),
        json.dumps(wrapped("btcusdt@trade", TRADE | {"T": 1723161254001000})),
    ],
    ids=["spaces", "order of keys", "escapes", "numbers", "bare", "us"],
)
def test_the_same_json_in_another_formatting_gives_the_same_event(file: Path, text: str) -> None:
    (wanted,) = read(capture(file, wrapped("btcusdt@trade", TRADE)))

    assert read(capture(file, text)) == [wanted]


def test_a_whole_capture_with_spaces_gives_the_same_events(shared: Path, file: Path) -> None:
    source = shared / "market-data" / "binance-spot-BTCUSDT-20240808.raw.gz"
    with gzip.open(source, "rt") as lines:
        split = (line.split(" ", 1) for _, line in zip(range(3_000), lines, strict=False))
        file.write_text("".join(f"{stamp} {json.dumps(json.loads(message))}\n" for stamp, message in split))

    assert read(file) == [event for _, event in zip(range(3_000), open_input(InputFile(source)), strict=False)]


@pytest.mark.parametrize("unit", [10**9, 10**6, 10**3, 1])
def test_receive_times_may_have_any_unit(file: Path, unit: int) -> None:
    file.write_text(f"{1723161254 * 10**9 // unit} {json.dumps(TRADE)}\n")
    if unit == 10**9:
        assert read(file)[0].ts_ingress == 1723161254 * 10**9
    else:
        assert [event.ts_ingress for event in read(file)] == [1723161254 * 10**9]


def test_blank_lines_and_messages_that_are_not_objects_change_nothing(file: Path) -> None:
    capture(file, wrapped("btcusdt@trade", TRADE))
    first = file.read_text()
    stamp = first.partition(" ")[0]
    file.write_text(f"{first}\n\n{stamp} null\n{stamp} 5\n{first}")
    notes = ReadNotes()

    assert len(read(file, notes)) == 2
    assert notes.skipped == {"message that is not an object": 2}


def test_an_incomplete_last_line_is_skipped_with_a_warning(file: Path) -> None:
    capture(file, wrapped("btcusdt@trade", TRADE))
    line = file.read_text()
    for length in (10, 30, len(line) - 3):
        file.write_text(line + line[:length])
        notes = ReadNotes()

        assert len(read(file, notes)) == 1
        assert notes.warnings == ["its last line is cut off, as if the recorder was killed; it was skipped"]

    file.write_text(line + line[: len(line) - 3] + "\n" + line)
    with pytest.raises(InputError, match="line 2: Input data was truncated"):
        read(file)


def test_aggregates_are_read_if_there_are_no_trades(file: Path) -> None:
    (event,) = read(capture(file, wrapped("btcusdt@aggTrade", AGGREGATE)))
    assert isinstance(event, TradeEvent)
    assert event.trade_id == 9

    notes = ReadNotes()
    capture(file, wrapped("btcusdt@aggTrade", AGGREGATE), wrapped("btcusdt@trade", TRADE))
    (event,) = read(file, notes)
    assert isinstance(event, TradeEvent)
    assert (event.trade_id, notes.skipped) == (7, {"aggTrade": 1})


def test_partial_books_are_whole_books_of_both_venues(file: Path) -> None:
    spot = {"lastUpdateId": 160, "bids": [["1", "10"]], "asks": [["2", "3"]]}
    futures = {
        "e": "depthUpdate",
        "E": 1,
        "T": 1723161254001,
        "s": "B",
        "U": 1,
        "u": 160,
        "pu": 0,
        "b": [["1", "10"]],
        "a": [["2", "3"]],
    }

    for data in (spot, futures):
        (book,) = read(capture(file, wrapped("btcusdt@depth20@100ms", data)))
        assert isinstance(book, OrderBookEvent)
        assert (book.last_update_id, book.bids) == (160, ((Decimal(1), Decimal(10)),))


def test_a_kline_is_read_when_it_is_closed(file: Path) -> None:
    k = {"t": 1723161240000, "T": 1723161299999, "i": "1m", "o": "1", "h": "3", "l": "1", "c": "2", "v": "5", "n": 3}
    notes = ReadNotes()
    messages = [wrapped("btcusdt@kline_1m", {"e": "kline", "s": "BTCUSDT", "k": k | {"x": x}}) for x in (False, True)]

    (candle,) = read(capture(file, *messages), notes)

    assert isinstance(candle, CandleEvent)
    assert (candle.interval, candle.trades, notes.skipped) == (60 * 10**9, 3, {"open kline": 1})


def test_dated_futures_keep_their_symbol(file: Path) -> None:
    dated = wrapped("btcusdt_250328@trade", TRADE | {"s": "BTCUSDT_250328"})

    assert [event.symbol for event in read(capture(file, dated, wrapped("btcusdt@trade", TRADE)))] == [
        "BTCUSDT_250328",
        "BTCUSDT",
    ]


def test_crossed_best_prices_are_skipped_and_reported(file: Path) -> None:
    notes = ReadNotes()
    ticker = {"u": 1, "s": "BTCUSDT", "b": "3", "B": "1", "a": "2", "A": "1"}

    assert len(read(capture(file, TRADE, wrapped("btcusdt@bookTicker", ticker)), notes)) == 1
    assert notes.skipped == {"best bid at or above the best ask": 1}


def test_a_trade_with_an_invalid_time_is_refused_with_its_line(file: Path) -> None:
    with pytest.raises(InputError, match="line 2: the trade time T is 172316: in no unit"):
        read(capture(file, TRADE, wrapped("btcusdt@trade", TRADE | {"T": 172316})))
