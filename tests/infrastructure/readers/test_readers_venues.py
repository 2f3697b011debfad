"""The venue of a file, and times that go back."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, open_input, peek_venues

FLAT = "local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms\n"
MS, _0 = 1723161255342, "0" * 17
TARDIS = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
CAPTURED = '{"stream":"btcusdt@trade","data":{"e":"trade","t":1,"p":"2","q":"1","T":1723161255342,"m":true}}'


@pytest.mark.parametrize("venue", ["spot", "usdm"])
def test_a_captures_venue_is_recognised_by_the_fields_of_its_messages(shared: Path, venue: str) -> None:
    path = shared / "market-data" / f"binance-{venue}-ETHUSDT-20240808.raw.gz"

    assert peek_venues(InputFile(path)) == [{"spot": "binance", "usdm": "binance-usdm"}[venue]]


@pytest.mark.parametrize("field", ["@depth", "@trade", "@bookTicker", "lastUpdateId"])
def test_each_kind_of_message_distinguishes_futures_from_spot(shared: Path, tmp_path: Path, field: str) -> None:
    for venue, name in (("spot", "binance"), ("usdm", "binance-usdm")):
        with gzip.open(shared / "market-data" / f"binance-{venue}-BTCUSDT-20240808.raw.gz", "rt") as lines:
            (tmp_path / venue).write_text(next(line for line in lines if field in line))

        assert peek_venues(InputFile(tmp_path / venue)) == [name]


@pytest.mark.parametrize(
    ("name", "text", "venues"),
    [
        ("trades.csv", FLAT + "1,b,X,1,1,1,true,1,1\n2,a,X,1,1,1,true,1,1\n3,b,X,2,1,1,true,1,1\n", ["b", "a"]),
        ("trades.csv", TARDIS + "okx,X,1,1,1,buy,1,1\n", ["okx"]),
        ("BTCUSDT.csv", "1,2,3,6,1723161255342,True,True\n", ["binance"]),
        ("BTCUSDT.csv", "1,2,3,6,1723161255342,True\n", ["binance-usdm"]),
        ("BTCUSDT.csv", "timestamp,open,high,low,close,volume\n60,1,1,1,1,1\n", []),
    ],
)
def test_the_venues_of_other_formats(tmp_path: Path, name: str, text: str, venues: list[str]) -> None:
    path = tmp_path / name
    path.write_text(text)

    assert peek_venues(InputFile(path)) == venues


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("capture", (f"1600000000000000000 {CAPTURED}\n", f"1500000000000000000 {CAPTURED}\n")),
        ("t.csv", (FLAT, f"16{_0},v,X,1,1,1,true,{MS},1\n", f"15{_0},v,X,2,1,1,true,{MS},1\n")),
        ("t.csv", (TARDIS, f"v,X,{MS},16{_0},1,buy,1,1\n", f"v,X,{MS},15{_0},2,buy,1,1\n")),
        ("BTCUSDT.csv", ("1,2,3,6,1723161255342,True,True\n", "2,2,3,6,1723161250000,True,True\n")),
    ],
)
def test_a_time_that_goes_back_by_more_than_a_second_is_refused(
    tmp_path: Path, name: str, lines: tuple[str, ...]
) -> None:
    path = tmp_path / name
    path.write_text("".join(lines))

    with pytest.raises(InputError, match=rf"line {len(lines)}: the time goes back by .* s; sort the file by time"):
        list(open_input(InputFile(path)))
