"""Candle files in the layouts of libraries and websites."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.domain.events import CandleEvent
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, ReadNotes, open_input, peek_symbols

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
AUGUST_1 = 1_722_470_400_000_000_000


def read(path: Path, text: str, symbol: str | None = None) -> tuple[list[CandleEvent], ReadNotes]:
    path.write_text(text)
    notes = ReadNotes()
    return [e for e in open_input(InputFile(path, symbol=symbol), notes=notes) if isinstance(e, CandleEvent)], notes


def days(*numbers: int, row: str = "2024-08-{:02d},10,12,9,11,5\n") -> str:
    return "".join(row.format(n) for n in numbers)


def is_first_days_of_august(candles: list[CandleEvent], count: int = 3) -> None:
    assert [(c.open_ts - AUGUST_1) // DAY for c in candles] == list(range(count))
    assert {(c.open, c.high, c.low, c.close, c.volume) for c in candles} == {tuple(map(Decimal, (10, 12, 9, 11, 5)))}


def test_the_three_header_lines_of_yfinance_name_the_symbol(tmp_path: Path) -> None:
    text = "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,\n"
    candles, _ = read(tmp_path / "x.csv", text + days(1, 2, 3, row="2024-08-{:02d},11,12,9,10,5\n"))

    is_first_days_of_august(candles)
    assert {c.symbol for c in candles} == {"BTC-USD"}
    assert peek_symbols(InputFile(tmp_path / "x.csv")) == ["BTC-USD"]


def test_an_unnamed_index_is_the_start(tmp_path: Path) -> None:
    candles, _ = read(tmp_path / "BTCUSDT.csv", ",Open,High,Low,Close,Volume\n" + days(1, 2, 3))

    is_first_days_of_august(candles)


def test_an_unnamed_counter_is_ignored_next_to_a_date(tmp_path: Path) -> None:
    text = ",date,open,high,low,close,volume\n" + days(1, 2, 3, row="{0},2024-08-{0:02d},10,12,9,11,5\n")
    candles, _ = read(tmp_path / "BTCUSDT.csv", text)

    is_first_days_of_august(candles)


def test_an_unnamed_counter_is_not_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column named timestamp"):
        read(tmp_path / "BTCUSDT.csv", ",open,high,low,close,volume\n" + days(1, 2, row="{},10,12,9,11,5\n"))


@pytest.mark.parametrize(
    "above", ["https://www.CryptoDataDownload.com\n", "# exported by me\n\n", "# a, b and c\n# more, of it\n", "\n\n"]
)
def test_lines_above_the_header_are_skipped(tmp_path: Path, above: str) -> None:
    candles, _ = read(tmp_path / "BTCUSDT.csv", above + "date,open,high,low,close,volume\n" + days(1, 2, 3))

    is_first_days_of_august(candles)


def test_a_header_may_begin_with_a_hash(tmp_path: Path) -> None:
    candles, _ = read(tmp_path / "BTCUSDT.csv", "#date,open,high,low,close,volume\n" + days(1, 2, 3))

    is_first_days_of_august(candles)


def test_a_file_with_the_newest_row_first_is_read_from_its_end_with_a_warning(tmp_path: Path) -> None:
    candles, notes = read(tmp_path / "BTCUSDT.csv", "date,open,high,low,close,volume\n" + days(3, 2, 2, 1))

    is_first_days_of_august(candles)
    assert notes.warnings == ["its newest row comes first, so it is read from its end"]
    assert notes.skipped == {"repeated row": 1}


@pytest.mark.parametrize(("order", "line"), [((1, 3, 2, 4), 4), ((4, 3, 1, 2), 4)])
def test_an_unsorted_file_is_refused_with_its_line(tmp_path: Path, order: tuple[int, ...], line: int) -> None:
    with pytest.raises(InputError, match=f"line {line}: the candle does not start after the previous one"):
        read(tmp_path / "BTCUSDT.csv", "date,open,high,low,close,volume\n" + days(*order))


def test_spaces_around_cells_change_nothing(tmp_path: Path) -> None:
    header = "open_time,open,high,low,close,volume,close_time\n"
    row = "{0},10,12,9,11,5,{1}\n"
    starts = [(AUGUST_1 + n * DAY) // 1_000_000 for n in range(3)]
    text = header + "".join(row.format(start, start + DAY // 1_000_000 - 1) for start in starts)
    candles, _ = read(tmp_path / "BTCUSDT.csv", text.replace(",", " , "))

    is_first_days_of_august(candles)
    assert {c.interval for c in candles} == {DAY}


def test_json_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is JSON, but only captures may be JSON; save it as CSV"):
        read(tmp_path / "BTC_USDT-5m.json", "[[1722470400000, 10, 12, 9, 11, 5], [1722470700000, 10, 12, 9, 11, 5]]")


def test_candles_of_all_symbols_are_read_in_order_of_time(tmp_path: Path) -> None:
    rows = [
        f"{symbol},{AUGUST_1 // 10**9 + n * 60},10,12,9,11,5\n"
        for symbol in ("BTC/USDT", "ETH/USDT")
        for n in range(2_100)
    ]
    text = "symbol,timestamp,open,high,low,close,volume\n" + "".join(rows)

    candles, _ = read(tmp_path / "x.csv", text)
    assert [c.symbol for c in candles] == ["BTC/USDT", "ETH/USDT"] * 2_100
    assert [c.ts_ingress for c in candles] == sorted(c.ts_ingress for c in candles)
    assert peek_symbols(InputFile(tmp_path / "x.csv")) == ["BTC/USDT", "ETH/USDT"]

    candles, _ = read(tmp_path / "x.csv", text, symbol="ETH/USDT")
    assert (len(candles), {c.symbol for c in candles}) == (2_100, {"ETH/USDT"})


def test_symbols_may_have_candles_at_different_times(tmp_path: Path) -> None:
    minute = AUGUST_1 // 10**9
    rows = [("BTC/USDT", 0), ("ETH/USDT", 3600), ("BTC/USDT", 60), ("ETH/USDT", 7200), ("BTC/USDT", 120)]
    text = "symbol,time,open,high,low,close,volume\n" + "".join(f"{s},{minute + t},10,12,9,11,5\n" for s, t in rows)

    candles, _ = read(tmp_path / "x.csv", text)
    assert [(c.symbol[:3], c.interval // 10**9) for c in candles] == [("BTC", 60)] * 3 + [("ETH", 3600)] * 2


def test_a_file_of_too_many_symbols_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"C{n}/USDT,{AUGUST_1 // 10**9},10,12,9,11,5\n" for n in range(51))
    with pytest.raises(InputError, match=r"candles of 51 symbols .* choose one with --symbol"):
        read(tmp_path / "x.csv", "symbol,timestamp,open,high,low,close,volume\n" + rows)


@pytest.mark.parametrize("nothing", ["NaN", "", "null", "None"])
def test_a_candle_without_a_price_is_skipped_and_counted(tmp_path: Path, nothing: str) -> None:
    minute = AUGUST_1 // 10**9
    rows = [f"{minute + n * 60},10,12,9,11,5\n" for n in (0, 1, 3)]
    rows.insert(2, f"{minute + 120}{',' + nothing if nothing else ','}{(',' + nothing) * 4}\n")
    candles, notes = read(tmp_path / "BTCUSDT.csv", "timestamp,open,high,low,close,volume\n" + "".join(rows))

    assert [(c.open_ts - AUGUST_1) // 10**9 for c in candles] == [0, 60, 180]
    assert notes.skipped == {"candle without a price": 1}


def test_a_candle_with_some_prices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: open is '', which is not a number"):
        read(tmp_path / "BTCUSDT.csv", "timestamp,open,high,low,close,volume\n2024-08-01,,12,9,11,5\n" + days(2, 3))


def test_the_seven_columns_of_kraken_are_read(tmp_path: Path) -> None:
    rows = "".join(f"{AUGUST_1 // 10**9 + n * 60},10,12,9,11,5,42\n" for n in range(3))
    candles, _ = read(tmp_path / "SOLEUR_1.csv", rows, symbol="SOLEUR")

    assert [(c.open, c.close, c.volume, c.interval // 10**9) for c in candles] == [(10, 11, 5, 60)] * 3


def test_a_date_and_a_time_of_day_in_two_columns_are_one_time(tmp_path: Path) -> None:
    rows = "".join(f"2024-08-01,0{n}:00,10,12,9,11,5\n" for n in range(3))
    candles, _ = read(tmp_path / "BTCUSDT.csv", "Date,Time,Open,High,Low,Close,Volume\n" + rows)

    assert [(c.open_ts - AUGUST_1) // 3_600_000_000_000 for c in candles] == [0, 1, 2]


def test_hours_are_read_as_cryptodatadownload_writes_them(tmp_path: Path) -> None:
    hours = ["2024-08-01 01-PM", "2024-08-01 12-PM", "2024-08-01 11-AM", "2024-08-01 10-AM"]
    rows = "".join(f"{hour},BTC/USDT,10,12,9,11,5,50\n" for hour in hours)
    header = "https://www.CryptoDataDownload.com\nDate,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT\n"
    candles, _ = read(tmp_path / "x.csv", header + rows)

    assert [(c.open_ts - AUGUST_1) // 3_600_000_000_000 for c in candles] == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("name", "columns", "volume"),
    [
        ("BTCUSDT.csv", "Volume USDT,Volume BTC", 1),
        ("BTCUSDT.csv", "Volume BTC,Volume USDT", 0),
        ("ETHBTC.csv", "Volume BTC,Volume ETH", 1),
        ("USDTTRY.csv", "Volume USDT,Volume TRY", 0),
        ("SHIB-EUR.csv", "Volume EUR,Volume SHIB", 1),
        ("x.csv", "Volume EUR,Volume BTC", 1),
        ("x.csv", "Volume BTC,Volume ETH", 1),
        ("x.csv", "Volume USDT,volume", 1),
    ],
)
def test_of_several_volumes_the_one_in_base_currency_is_read(
    tmp_path: Path, name: str, columns: str, volume: int
) -> None:
    values = ["5000", "5000"]
    values[volume] = "5"
    rows = [f"2024-08-{day:02d},10,12,9,11,{values[0]},{values[1]}\n" for day in (1, 2, 3)]
    candles, _ = read(tmp_path / name, f"date,open,high,low,close,{columns}\n" + "".join(rows), "BTC-USD")

    is_first_days_of_august(candles)


def test_a_file_that_has_the_turnover_alone_is_refused(tmp_path: Path) -> None:
    text = "date,open,high,low,close,Volume USDT\n" + days(1, 2)
    with pytest.raises(InputError, match=r"Volume USDT is in quote currency; give a column volume in base currency"):
        read(tmp_path / "BTCUSDT.csv", text)


@pytest.mark.parametrize(("column", "open_"), [("confirm", "0"), ("is_closed", "False"), ("complete", "false")])
def test_a_candle_that_was_open_when_the_file_was_saved_is_left_out(tmp_path: Path, column: str, open_: str) -> None:
    text = f"date,open,high,low,close,volume,{column}\n" + days(1, 2, 3, row="2024-08-{:02d},10,12,9,11,5,1\n")
    candles, notes = read(tmp_path / "BTCUSDT.csv", f"{text}2024-08-04,11,12,11,12,0.1,{open_}\n")

    is_first_days_of_august(candles)
    assert notes.skipped == {"candle that is not closed": 1}


def test_points_that_may_stand_between_thousands_are_reported(tmp_path: Path) -> None:
    header, row = "date;open;high;low;close;volume\n", "2024-08-{:02d};44.957;44.957;44.957;44.957;39.335\n"

    _, notes = read(tmp_path / "BTC-EUR.csv", header + days(1, 2, row=row))
    told = "all its numbers have three digits after the point; if it stands between thousands, remove it"
    assert notes.warnings == [told]

    _, notes = read(tmp_path / "BTC-EUR.csv", header + days(1, row=row) + "2024-08-02;1;1;1;1;1\n")
    assert notes.warnings == []
