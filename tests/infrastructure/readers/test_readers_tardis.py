"""Trades of tardis.dev, from text in the test."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, ReadNotes, open_input, peek_symbols

HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
BUY = "binance,BTCUSDT,1723161255342000,1723161255351234,3735683259,buy,61837.63,0.0200\n"
SELL = "binance,ETHUSDT,1723161255343000,1723161255352000,1520538925,sell,2683.8,2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trades.csv"


def read(file: Path, **options: str) -> list[TradeEvent]:
    return [event for event in open_input(InputFile(file, **options)) if isinstance(event, TradeEvent)]


def test_a_row_becomes_a_trade_with_both_times(file: Path) -> None:
    file.write_text(HEADER + BUY)

    assert read(file) == [
        TradeEvent(
            symbol="BTCUSDT",
            price=Decimal("61837.63"),
            quantity=Decimal("0.0200"),
            side=Side.BUY,
            trade_id=3735683259,
            ts=1_723_161_255_342_000_000,
            ts_ingress=1_723_161_255_351_234_000,
            source="binance",
        )
    ]


def test_a_compressed_file_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv.gz"
    file.write_bytes(gzip.compress((HEADER + BUY + SELL).encode()))

    assert [trade.side for trade in read(file)] == [Side.BUY, Side.SELL]


@pytest.mark.parametrize(
    ("text", "trade_id"),
    [
        ("", 0),
        ("0", 0),
        ("17", 17),
        ("007", "007"),
        ("ccc3c1fa-212c-e8b0", "ccc3c1fa-212c-e8b0"),
        ("1e5", "1e5"),
    ],
)
def test_an_id_is_a_number_only_if_it_is_written_as_one(file: Path, text: str, trade_id: int | str) -> None:
    file.write_text(HEADER + BUY.replace("3735683259", text))

    assert read(file)[0].trade_id == trade_id


def test_a_trade_whose_side_is_unknown_is_counted_and_skipped(file: Path) -> None:
    file.write_text(HEADER + BUY + SELL.replace("sell", "unknown"))
    notes = ReadNotes()

    events = list(open_input(InputFile(file), notes=notes))

    assert len(events) == 1
    assert notes.skipped == {"trade without a side": 1}


def test_one_of_several_symbols_is_chosen(file: Path) -> None:
    file.write_text(HEADER + BUY + "\n" + SELL)

    assert [trade.symbol for trade in read(file, symbol="ETHUSDT")] == ["ETHUSDT"]
    assert peek_symbols(InputFile(file)) == ["BTCUSDT", "ETHUSDT"]


def test_one_of_several_exchanges_is_read(file: Path) -> None:
    file.write_text(HEADER + BUY + SELL.replace("binance", "kraken"))
    notes = ReadNotes()

    list(open_input(InputFile(file), notes=notes))

    assert notes.skipped == {"venue kraken": 1}
    assert [trade.source for trade in read(file, venue="kraken")] == ["kraken"]
    assert peek_symbols(InputFile(file, venue="kraken")) == ["ETHUSDT"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (BUY.replace("61837.63", "cheap"), "line 2: price is 'cheap', which is not a number"),
        (BUY.replace("61837.63", "-1"), "line 2: market.trade: price is "),
        (BUY.replace("0.0200", "0"), "line 2: market.trade: quantity is "),
        (
            BUY.replace("1723161255351234", "soon"),
            "line 2: the receive time is 'soon', which is not an unambiguous time",
        ),
        (BUY.replace("buy", "long"), "line 2: side is 'long'; it must be buy, sell or unknown"),
        (BUY.replace(",buy", ""), "line 2: the row has 7 columns; it must have 8"),
    ],
)
def test_an_invalid_row_is_reported_with_its_line(file: Path, row: str, told: str) -> None:
    file.write_text(HEADER + row)

    with pytest.raises(InputError, match=told):
        read(file)


def test_another_header_is_refused(file: Path) -> None:
    file.write_text("exchange,symbol\n" + BUY)

    with pytest.raises(
        InputError,
        match=r"line 1: no column named timestamp, .*, amount; it has exchange, symbol",
    ):
        read(file, format="tardis-trades")


def test_a_missing_symbol_is_reported_with_the_known_ones(file: Path) -> None:
    file.write_text(HEADER + BUY + SELL)

    with pytest.raises(InputError, match=r"no trades of binance XRPUSDT; .* are binance BTCUSDT, binance ETHUSDT"):
        read(file, symbol="XRPUSDT")
    file.write_text(HEADER)
    with pytest.raises(InputError, match="no trades in it"):
        read(file)
