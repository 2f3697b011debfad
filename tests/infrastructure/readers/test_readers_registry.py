"""Recognising formats and symbols, digests, and merging several inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import MarketEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import (
    FORMATS,
    InputFile,
    detect_format,
    file_digest,
    merge,
    open_input,
    peek_symbols,
)
from tickdeck.infrastructure.readers.times import Times

FLAT_HEADER = "local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms\n"

SAMPLES = [
    ("binance-raw", '1723161254000000001 {"stream":"btcusdt@trade","data":{}}\n'),
    ("binance-raw", '1723161254000000001 {"lastUpdateId":1,"bids":[],"asks":[]}'),
    ("binance-trades", "1,2,3,6,1723161255342,True,True\n"),
    ("binance-trades", "id,price,qty,quote_qty,time,is_buyer_maker\n1,2,3,6,1723161255342,true\n"),
    ("binance-trades", "1,2,3,6,1723161255342,true"),
    ("binance-aggtrades", "1,2,3,4,5,1723161255342,True,True\n"),
    ("binance-aggtrades", "agg_trade_id,p,q,f,l,t,m\n1,2,3,4,5,1723161255342,false\n"),
    ("trades", FLAT_HEADER),
    ("named-trades", "timestamp,symbol,side,size,price\n"),
    ("candles", "timestamp,open,high,low,close,volume\n"),
    ("candles", "timestamp,open,high,low,close,volume,trades\n1,2,3,4,5,6,7\n"),
    ("candles", "Date,Open,High,Low,Close,Adj Close,Volume\n"),
    ("candles", "1698364800000,3,4,2,3,9,1698368399999,30,4,4,1,0\n"),
    ("candles", "1698364800,3,4,2,3,1\n"),
    ("tardis-quotes", "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"),
    ("tardis-book", "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"),
    ("tardis-book-snapshots", "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount\n"),
    ("tardis-trades", "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"),
]


@pytest.mark.parametrize(("name", "text"), SAMPLES)
def test_a_format_is_recognised_by_its_content(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / "misleading.parquet"
    path.write_text(text)

    assert detect_format(path) == name


def test_every_format_has_a_sample_here() -> None:
    assert {name for name, _ in SAMPLES} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT-trades-2024-08-08.csv", "BTCUSDT"),
        ("trades_ethusdt_2024.csv.gz", "ETHUSDT"),
        ("candles-1m-1000SHIBUSDT-20241001.csv", "1000SHIBUSDT"),
        ("binance-ETHBTC.csv", "ETHBTC"),
    ],
)
def test_a_symbol_is_taken_from_the_files_name_if_no_line_has_one(tmp_path: Path, name: str, symbol: str) -> None:
    path = tmp_path / name
    path.write_text("1,2,3,6,1723161255342,True,True\n")

    assert peek_symbols(InputFile(path)) == [symbol]
    assert peek_symbols(InputFile(path, symbol="XRPUSDT")) == ["XRPUSDT"]


@pytest.mark.parametrize("name", ["trades.csv", "candles-1m-2021.csv", "USDT.csv"])
def test_a_name_without_a_known_quote_currency_is_not_a_symbol(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("1,2,3,6,1723161255342,True,True\n")

    with pytest.raises(InputError, match="contain the symbol; give it"):
        peek_symbols(InputFile(path))


def test_symbols_of_a_capture_are_those_of_its_streams(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    streams = ("ethusdt@trade", "btcusdt@depth@100ms", "ethusdt@bookTicker", "!ticker@arr")
    path.write_text("".join(f'1723161254000000001 {{"stream":"{stream}","data":{{}}}}\n' for stream in streams))

    assert peek_symbols(InputFile(path, format="binance-raw")) == ["ETHUSDT", "BTCUSDT"]


def test_symbols_of_a_flat_file_are_those_of_one_venue(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    rows = (("spot", "BTCUSDT"), ("usdm", "XRPUSDT"), ("spot", "ETHUSDT"), ("spot", "BTCUSDT"))
    path.write_text(FLAT_HEADER + "".join(f"1,{venue},{symbol},1,1,1,true,1,1\n" for venue, symbol in rows))

    assert peek_symbols(InputFile(path)) == ["BTCUSDT", "ETHUSDT"]
    assert peek_symbols(InputFile(path, venue="usdm")) == ["XRPUSDT"]


def test_a_digest_is_the_sha256_of_the_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x1f\x8b not unpacked")

    assert file_digest(path) == hashlib.sha256(b"\x1f\x8b not unpacked").hexdigest()


@pytest.mark.parametrize(
    "time",
    [1723161255, 1723161255_000, 1723161255_000_000, 1723161255_000_000_000],
    ids=["s", "ms", "us", "ns"],
)
def test_the_unit_of_a_time_is_recognised_by_its_size(time: int) -> None:
    assert Times().from_int(time) == 1723161255_000_000_000


# -- merge ---------------------------------------------------------------------------------------------------------


def trade(ts_ingress: int, trade_id: str) -> TradeEvent:
    return TradeEvent(
        symbol="BTCUSDT",
        price=Decimal(1),
        quantity=Decimal(1),
        side=Side.BUY,
        trade_id=trade_id,
        ts_ingress=ts_ingress,
    )


def ids(events: Iterator[MarketEvent]) -> list[object]:
    return [event.trade_id for event in events if isinstance(event, TradeEvent)]


def test_events_merge_by_receive_time_then_by_the_inputs_position() -> None:
    first = [trade(1, "a1"), trade(3, "a2"), trade(3, "a3")]
    second = [trade(0, "b1"), trade(3, "b2"), trade(4, "b3")]

    assert ids(merge([first, second])) == ["b1", "a1", "a2", "a3", "b2", "b3"]
    assert ids(merge([second, first])) == ["b1", "a1", "b2", "a2", "a3", "b3"]


def test_an_inputs_own_order_is_kept_even_if_its_time_goes_back() -> None:
    assert ids(merge([[trade(5, "a1"), trade(2, "a2"), trade(9, "a3")], [trade(3, "b1"), trade(7, "b2")]])) == [
        "b1",
        "a1",
        "a2",
        "b2",
        "a3",
    ]


def test_a_single_input_is_passed_through_and_no_input_gives_nothing() -> None:
    assert ids(merge([[trade(2, "a"), trade(1, "b")]])) == ["a", "b"]
    assert list(merge([])) == []
    assert list(merge([[], []])) == []


def test_an_input_is_not_read_further_than_needed() -> None:
    def endless() -> Iterator[MarketEvent]:
        number = 0
        while True:
            yield trade(number, str(number))
            number += 1

    merged = merge([endless(), iter([trade(2, "other")])])

    assert [next(merged).ts_ingress for _ in range(4)] == [0, 1, 2, 2]


def test_an_error_in_one_input_reaches_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_text("1723161254000000001 {}x\n")

    with pytest.raises(InputError, match="capture, line 1"):
        list(merge([[trade(1, "a")], open_input(InputFile(path))]))


times = st.lists(st.integers(0, 9), max_size=8)


@given(inputs=st.lists(times.map(sorted), max_size=4))
def test_merging_sorted_inputs_is_a_stable_sort(inputs: list[list[int]]) -> None:
    files = [[trade(ts, f"{f}-{n}") for n, ts in enumerate(column)] for f, column in enumerate(inputs)]

    merged = ids(merge(files))

    everything = sorted((e.ts_ingress, f, n, e.trade_id) for f, file in enumerate(files) for n, e in enumerate(file))
    assert merged == [trade_id for *_, trade_id in everything]


@given(inputs=st.lists(times, max_size=4))
def test_merging_never_changes_an_inputs_own_order(inputs: list[list[int]]) -> None:
    files = [[trade(ts, f"{f}-{n}") for n, ts in enumerate(column)] for f, column in enumerate(inputs)]

    merged = ids(merge(files))

    for f, file in enumerate(files):
        assert [i for i in merged if str(i).startswith(f"{f}-")] == [e.trade_id for e in file]
