"""The same data in the forms in which exchanges, tools and spreadsheets write it."""

from __future__ import annotations

import gzip
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
from reading_kit import read

from tickdeck.domain.events import CandleEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.errors import ConfigError, InputError
from tickdeck.infrastructure.readers import InputFile, ReadNotes, merge, open_input, peek_symbols, read_exchange_info

HEADER = "id,price,qty,quote_qty,time,is_buyer_maker\n"
ROWS = [
    f"{5000 + n},{2500 + n}.25,0.040,100.01,{1723161316152 + 700 * n},{'true' if n % 2 else 'false'}\n"
    for n in range(4)
]
TEXT = HEADER + "".join(ROWS)


def zipped(text: str, tmp_path: Path) -> bytes:
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("ETHUSDT-trades.csv", text)
        archive.writestr("__MACOSX/._ETHUSDT-trades.csv", "x")
    return (tmp_path / "archive").read_bytes()


@pytest.mark.parametrize(
    "form",
    [
        "no header", "upper case", "numbers for flags", "quoted", "semicolons", "tabs in UTF-16", "BOM and CRLF",
        "two gzip members", "zip", "no line end at the end", "floats for times", "us from the third row on",
        "other order of columns",
    ],
)  # fmt: skip
def test_equal_trades_are_read_equally_in_every_form(file: Path, tmp_path: Path, form: str) -> None:
    file.write_text(TEXT)
    wanted = read(file)
    forms: dict[str, bytes] = {
        "no header": "".join(ROWS).encode(),
        "upper case": TEXT.replace("true", "TRUE").replace("false", "FALSE").encode(),
        "numbers for flags": TEXT.replace("true", "1").replace("false", "0").encode(),
        "quoted": "".join(f'"{line}"\n'.replace(",", '","') for line in TEXT.splitlines()).encode(),
        "semicolons": TEXT.replace(",", ";").encode(),
        "tabs in UTF-16": TEXT.replace(",", "\t").encode("utf-16"),
        "BOM and CRLF": b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode() + b"\r\n",
        "two gzip members": gzip.compress((HEADER + ROWS[0]).encode()) + gzip.compress("".join(ROWS[1:]).encode()),
        "zip": zipped(TEXT, tmp_path),
        "no line end at the end": TEXT.rstrip().encode(),
        "floats for times": TEXT.replace("152,", "152.0,").encode(),
        "us from the third row on": (
            HEADER + ROWS[0] + ROWS[1] + "".join(r.replace("1723161317552", "1723161317552000") for r in ROWS[2:])
        ).encode(),
        "other order of columns": "\n".join(",".join(line.split(",")[::-1]) for line in TEXT.splitlines()).encode(),
    }

    file.write_bytes(forms[form])

    assert len(wanted) == 4
    assert read(file) == wanted


def test_a_second_header_is_skipped_and_reported(file: Path) -> None:
    file.write_text(HEADER + "".join(ROWS[:2]) + HEADER + "".join(ROWS[2:]))
    notes = ReadNotes()

    assert len(read(file, notes)) == 4
    assert notes.lines("x.csv") == ["x.csv: skipped 1 x header in the middle"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT.replace("1723161316152", "1.72316E+12"), "line 2: the time is '1.72316E+12': it lost digits"),
        (
            TEXT.replace(",", ";").replace(".", ","),
            "line 2: price is '2500,25', which is not a number; use a decimal point",
        ),
        (
            TEXT.replace("2500.25", '"2,500.25"'),
            "line 2: price is '2,500.25', which is not a number; use a decimal point",
        ),
        (TEXT.replace("0.040", "-0.040"), "line 2: market.trade: quantity is -0.040"),
        (TEXT + "END OF FILE\n", "line 6: the row has 1 columns; it must have 6"),
        (TEXT.replace("1723161317552", "1723161"), "line 4: the time is 1723161: in no unit"),
        (TEXT.replace("quote_qty", "base_qty"), "a file of COIN-M contracts"),
        ("day,open,high,low,close,volume\n2024-08-09,1,1,1,1,1\n", "no column named timestamp; it has day, open, high"),
        (HEADER, "no rows in it"),
    ],
)
def test_an_unreadable_file_is_refused_with_the_reason(file: Path, text: str, told: str) -> None:
    file.write_text(text)

    with pytest.raises(InputError) as caught:
        read(file)

    assert told in str(caught.value)


def test_coin_margined_contracts_are_refused_whatever_symbol_is_given(tmp_path: Path) -> None:
    file = tmp_path / "BTCUSD_PERP-aggTrades-2024-01-01.csv"
    file.write_text("900,42000.1,50,0,0,1704067200000,false\n")

    for symbol in (None, "BTCUSDT"):
        with pytest.raises(InputError, match="BTCUSD_PERP is an inverse contract: its sizes are contracts"):
            open_input(InputFile(file, symbol=symbol))


# -- candles -------------------------------------------------------------------------------------------------------


KLINE = "1698364800000,34151.66,34271.28,33972.39,34015.27,908.279,1698368399999,30937869.6,41459,416.4,14187002.7,0\n"


@pytest.mark.parametrize(
    "text",
    [
        KLINE,
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n" + KLINE,
        "date,open,high,low,close,volume\n2023-10-27 00:00:00+00:00,34151.66,34271.28,33972.39,34015.27,908.279\n",
        "Date,Open,High,Low,Close,Adj Close,Volume\n2023-10-27,34151.66,34271.28,33972.39,34015.27,34015.27,908.279\n",
        "1698364800,34151.66,34271.28,33972.39,34015.27,908.279\n",
        "unix,symbol,open,high,low,close,Volume BTC,Volume USDT\n"
        "1698364800,ETHUSDT,34151.66,34271.28,33972.39,34015.27,908.279,1\n",
    ],
    ids=["Binance spot", "Binance futures", "freqtrade", "yfinance", "ccxt", "with symbol"],
)
def test_candles_are_read_from_each_layout(file: Path, text: str) -> None:
    file.write_text(text)

    (candle,) = read(file, interval=None if text.endswith(KLINE) else "1h")

    assert isinstance(candle, CandleEvent)
    assert (candle.symbol, candle.open, candle.close) == ("ETHUSDT", Decimal("34151.66"), Decimal("34015.27"))
    assert (candle.volume, candle.open_ts, candle.interval) == (
        Decimal("908.279"),
        1_698_364_800 * 10**9,
        3_600 * 10**9,
    )


def test_candles_without_any_volume_cause_a_warning(file: Path) -> None:
    file.write_text("timestamp,open,high,low,close,volume\n2024-08-09,1,1,1,1,0\n2024-08-10,1,1,1,1,0\n")
    notes = ReadNotes()

    read(file, notes)

    assert notes.warnings == ["no candle of ETHUSDT has any volume, so no order can be filled"]


def test_a_repeated_candle_counts_once(file: Path) -> None:
    rows = [f"2024-08-{day:02},1,1,1,1,5\n" for day in (9, 10, 10, 11)]
    file.write_text("timestamp,open,high,low,close,volume\n" + "".join(rows))
    notes = ReadNotes()

    assert len(read(file, notes)) == 3
    assert notes.skipped == {"repeated row": 1}


# -- tardis.dev ----------------------------------------------------------------------------------------------------


HEAD = "exchange,symbol,timestamp,local_timestamp,"


def test_quotes_of_tardis_are_best_prices(file: Path) -> None:
    file.write_text(
        HEAD + "ask_amount,ask_price,bid_price,bid_amount\nx,BTCUSDT,1723161600000000,1723161600001000,1,3,2,5\n"
    )

    (tick,) = read(file)

    assert isinstance(tick, TickEvent)
    assert (tick.bid_price, tick.bid_quantity, tick.ask_price, tick.ask_quantity) == (2, 5, 3, 1)
    assert (tick.ts, tick.ts_ingress, tick.source) == (1723161600 * 10**9, 1723161600 * 10**9 + 10**6, "x")
    assert peek_symbols(InputFile(file)) == ["BTCUSDT"]


def test_a_book_of_tardis_is_a_snapshot_and_a_chain_of_updates(file: Path) -> None:
    rows = [
        (1, "true", "bid", 2),
        (1, "true", "ask", 3),
        (2, "false", "bid", 2),
        (2, "false", "ask", 4),
        (3, "false", "ask", 4),
    ]
    file.write_text(
        HEAD
        + "is_snapshot,side,price,amount\n"
        + "".join(f"x,BTCUSDT,1723161600000000,{1723161600000000 + n},{s},{side},{p},1\n" for n, s, side, p in rows)
    )

    book, first, second = read(file)

    assert isinstance(book, OrderBookEvent)
    assert isinstance(first, OrderBookDeltaEvent)
    assert isinstance(second, OrderBookDeltaEvent)
    assert (book.bids, book.asks) == (((Decimal(2), Decimal(1)),), ((Decimal(3), Decimal(1)),))
    assert (first.bids, first.asks) == (((Decimal(2), Decimal(1)),), ((Decimal(4), Decimal(1)),))
    assert first.first_update_id == book.last_update_id + 1
    assert second.first_update_id == first.last_update_id + 1


def test_book_snapshots_of_tardis_omit_empty_levels(file: Path) -> None:
    columns = ",".join(
        f"{side}s[{n}].{what}" for n in (0, 1) for side in ("ask", "bid") for what in ("price", "amount")
    )
    file.write_text(HEAD + columns + "\nx,BTCUSDT,1723161600000000,1723161600001000,3,1,2,5,4,1,,\n")

    (book,) = read(file)

    assert isinstance(book, OrderBookEvent)
    assert (len(book.asks), len(book.bids)) == (2, 1)


# -- several files -------------------------------------------------------------------------------------------------


def test_a_trade_in_two_files_comes_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a-ETHUSDT.csv", tmp_path / "b-ETHUSDT.csv"
    first.write_text("".join(ROWS[:3]))
    second.write_text("".join(ROWS[1:]).replace("5003", "5002"))  # a repeated id of a different trade
    repeated: list[int] = []

    events = list(merge([read(first), read(second)], repeated.append))

    assert [event.trade_id for event in events if isinstance(event, TradeEvent)] == [5000, 5001, 5002, 5002]
    assert repeated == [1, 1]


def test_instruments_are_read_from_the_venues_description(shared: Path, tmp_path: Path) -> None:
    found = read_exchange_info(shared / "exchanges" / "binance" / "gct_rest_exchangeinfo_trimmed.json")
    assert (found["ETHBTC"].base, found["ETHBTC"].quote) == ("ETH", "BTC")
    assert (found["ETHBTC"].tick_size, found["ETHBTC"].lot_size) == (Decimal("0.00001"), Decimal("0.0001"))
    assert found["ETHBTC"].min_notional == Decimal("0.0001")
    assert found["ETHBTC"].fee_step == Decimal("1E-8")

    coin = {"symbol": "BTCUSD_PERP", "baseAsset": "BTC", "quoteAsset": "USD", "marginAsset": "BTC", "contractSize": 100}
    coin |= {"quoteCommissionPrecision": 2}
    (tmp_path / "coin.json").write_text(json.dumps({"symbols": [coin]}))
    (contract,) = read_exchange_info(tmp_path / "coin.json").values()
    assert contract.fee_step == Decimal("0.01")
    assert (contract.inverse, contract.contract_size) == (True, 100)

    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"other.json: not the body of a venue's exchangeInfo"):
        read_exchange_info(tmp_path / "other.json")
