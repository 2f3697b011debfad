"""A problem of a file is reported in one line: which file, which line, what, and how to correct it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tickdeck.domain.events import MarketEvent
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, detect_format, file_digest, open_input, peek_symbols

TRADE = (
    '1723161254000000001 {"stream":"btcusdt@trade","data":{"t":1,"p":"2","q":"3","T":1723161255342,"m":true,"E":1}}\n'
)
ROW = "1,2,3,6,1723161255342,True,True\n"
FLAT_HEADER = "local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms\n"
FLAT_ROW = "1723161254087896568,spot,BTCUSDT,31,61837.63,0.02,true,1723161255342,1723161255343\n"
CANDLE_HEADER = "timestamp,open,high,low,close,volume\n"


def message(path: Path, file: InputFile | None = None) -> str:
    """The error from reading the whole file, without the path."""
    with pytest.raises(InputError) as caught:
        list(open_input(file or InputFile(path)))
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text.removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TRADE + TRADE.replace('"p":"2"', '"p":"two"'), ", line 2: Invalid decimal string"),
        (TRADE + TRADE.replace('"p":"2"', '"p":"NaN"'), ", line 2: market.trade: price is NaN"),
        (TRADE + TRADE.replace('"p":"2"', '"p":"0"'), ", line 2: market.trade: price is 0"),
        (TRADE + TRADE.replace('"p":"2",', ""), ", line 2: Object missing required field `p`"),
        (TRADE + TRADE[:60] + "\n", ", line 2: Input data was truncated"),
        (TRADE + TRADE[:40] + "\n", ", line 2: the line is '1723161254000000001 {"),
        (TRADE + "x" * 5000 + "\n", ", line 2: the line is 'xxxx"),
        (TRADE + "1723161254000000001 hello\n", ", line 2: JSON is malformed"),
        (TRADE + "1723161254000000001\n", ", line 2: Input data was truncated"),
        (TRADE + '1723161254000000001 {"lastUpdateId":1}\n', ", line 2: Object missing required field `bids`"),
    ],
)
def test_a_bad_line_of_a_capture_is_named(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "capture"
    path.write_text(text)

    told = message(path)

    assert told.startswith(wanted)
    assert "a receive time in ns, a space, and one message" in told
    assert told.endswith("correct or remove the line")
    assert len(told) < 400


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("2,two,3,6,1723161255342,True,True", "the price is 'two', which is not a number"),
        ("2,2,,6,1723161255342,True,True", "the quantity is '', which is not a number"),
        ("x,2,3,6,1723161255342,True,True", "the id is 'x', which is not a number"),
        ("2,2,3,6,soon,True,True", "the time is 'soon', which is not an unambiguous time"),
        ("2,2,3,6,1723161255342,maybe,True", "the maker flag is 'maybe'; it must be true or false"),
        ("2,2,3,6,1723161255342,True", "the row has 6 columns; it must have 7"),
        ("2,NaN,3,6,1723161255342,True,True", "market.trade: price is NaN"),
        ("2,2,-3,6,1723161255342,True,True", "market.trade: quantity is -3"),
        ("2.5,2,3,6,1723161255342,True,True", "invalid literal for int()"),
        ("2," + "x" * 5000 + ",3,6,1723161255342,True,True", "the price is 'xxxxx"),
        ("2,\ufffd,3,6,1723161255342,True,True", "the price is '\ufffd', which is not a number"),
    ],
)
def test_a_bad_row_of_trades_is_named(tmp_path: Path, row: str, wanted: str) -> None:
    path = tmp_path / "BTCUSDT.csv"
    path.write_text(ROW + row + "\n" + ROW)

    told = message(path)

    assert told.startswith(f", line 2: {wanted}")
    assert len(told) < 300


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (FLAT_ROW.replace("61837.63", "cheap"), "price is 'cheap', which is not a number"),
        (FLAT_ROW.replace(",0.02", ""), "the row has 8 columns; it must have 9"),
        (FLAT_ROW.replace("true", "so"), "the maker flag is 'so'; it must be true or false"),
    ],
)
def test_a_bad_row_of_flat_trades_is_named(tmp_path: Path, row: str, wanted: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(FLAT_HEADER + FLAT_ROW + row)

    assert message(path).startswith(f", line 3: {wanted}")


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ("T0,2,4,1,3,1\nT1,2,4,1,x,1\n", ", line 3: close is 'x', which is not a number"),
        ("T0,2,4,1,3,1\nT1,2,4,1,3\n", ", line 3: the row has 5 columns; it must have 6"),
        ("T0,2,4,1,3,1\nnoon,2,4,1,3,1\n", ", line 3: the time is 'noon', which is not an unambiguous time"),
        ("T0,2,4,1,3,1\nT1,2,2,1,3,1\n", ", line 3: market.candle: high is 2"),
        ("T0,2,4,1,3,1\nT2,2,4,1,3,1\nT1,2,4,1,3,1\n", ", line 4: the candle does not start after the previous one"),
        ("T0,2,4,1,3,1\nT0,2,5,1,3,1\nT1,2,4,1,3,1\n", ", line 3: a row above has another candle with the same start"),
        ("T0,2,4,1,3,1\n", ": one row does not show how long its candle lasts; give --interval"),
        ("", ": no rows in it"),
    ],
)
def test_bad_candles_are_named(tmp_path: Path, rows: str, wanted: str) -> None:
    path = tmp_path / "BTCUSDT.csv"
    path.write_text(CANDLE_HEADER + rows.replace("T", "2024-08-09T00:0"))

    assert message(path).startswith(wanted)


def test_a_truncated_capture_gives_its_events_and_then_an_error(tmp_path: Path) -> None:
    whole = gzip.compress("".join(TRADE.replace('"t":1', f'"t":{n * 7919}') for n in range(5000)).encode())
    path = tmp_path / "capture.gz"
    path.write_bytes(whole[: len(whole) // 2])

    events = open_input(InputFile(path))
    read: list[MarketEvent] = []
    with pytest.raises(InputError, match=r"capture.gz, after line \d+: the file is cut short") as caught:
        read.extend(events)

    assert 1000 < len(read) < 5000
    assert f"after line {len(read)}:" in str(caught.value)


def test_a_file_truncated_in_its_first_lines_is_still_recognised(tmp_path: Path) -> None:
    lines = [TRADE.replace('"E":1', f'"E":{3 ** (8000 + n)}') for n in range(200)]
    packed = gzip.compress("".join(lines).encode())
    path = tmp_path / "capture.gz"
    path.write_bytes(packed[: len(packed) * 3 // 4])

    assert detect_format(path) == "binance-raw"
    assert peek_symbols(InputFile(path)) == ["BTCUSDT"]
    assert "the file is cut short" in message(path)


@pytest.mark.parametrize("position", [12, 200])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, position: int) -> None:
    data = bytearray(gzip.compress("".join(f"{n},2,3,6,17231612{n:05},True,True\n" for n in range(300)).encode()))
    data[position] ^= 0xFF
    data[position + 1] ^= 0xFF
    path = tmp_path / "BTCUSDT.csv"
    path.write_bytes(data)

    assert "the file is damaged" in message(path) or "cut short" in message(path)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", ": the file is empty"),
        (gzip.compress(b"", mtime=0), ": the file is empty"),
        (b"PK\x03\x04 and so on", ": the zip archive is damaged"),
        (b"\x00\x01\xfe\xff" * 50, ": its first lines match no known format"),
        (b"hello\nworld\n", ": its first lines match no known format"),
        (b"\n", ": its first lines match no known format"),
        (b"1,2,3\n1,2,3\n", ": its first lines match no known format"),
        (b"\x1f\x8b\x08 no gzip", ": the file is cut short"),
        (b"\x1f\x8b\x07" + bytes(30), ": the file is damaged (Unknown compression method)"),
    ],
)
def test_a_file_of_unknown_format_is_refused_before_reading(tmp_path: Path, content: bytes, wanted: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(InputError) as caught:
        open_input(InputFile(path))

    assert str(caught.value).startswith(f"{path}{wanted}")


@pytest.mark.parametrize("given", [None, "candles"])
def test_an_absent_file_is_refused_before_reading(tmp_path: Path, given: str | None) -> None:
    with pytest.raises(InputError, match="nowhere: No such file or directory; give the path"):
        open_input(InputFile(tmp_path / "nowhere", format=given))
    with pytest.raises(InputError, match="nowhere: No such file or directory; give the path"):
        file_digest(tmp_path / "nowhere")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        open_input(InputFile(tmp_path))


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(ROW)

    with pytest.raises(InputError, match="there is no format 'excel'; the formats are binance-raw, "):
        open_input(InputFile(path, format="excel"))


def test_a_file_that_names_no_symbol_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(ROW)

    for call in (
        lambda: open_input(InputFile(path)),
        lambda: peek_symbols(InputFile(path)),
    ):
        with pytest.raises(InputError, match=r"trades.csv: neither .* contain the symbol; give it"):
            call()


def test_a_symbol_that_is_not_in_the_file_is_refused_with_the_ones_that_are(tmp_path: Path) -> None:
    raw, flat = tmp_path / "capture", tmp_path / "trades.csv"
    raw.write_text(TRADE)
    flat.write_text(FLAT_HEADER + FLAT_ROW)

    assert message(raw, InputFile(raw, symbol="ETHUSDT")) == (
        ": contains no market data of ETHUSDT; symbols that its streams name: BTCUSDT"
    )
    assert message(flat, InputFile(flat, symbol="ETHUSDT", venue="usdm")) == (
        ": it has no trades of usdm ETHUSDT; its venues and symbols are spot BTCUSDT"
    )


def test_a_file_with_only_a_header_or_other_messages_is_refused(tmp_path: Path) -> None:
    raw, flat, trades = tmp_path / "capture", tmp_path / "flat.csv", tmp_path / "BTCUSDT.csv"
    raw.write_text('1723161254000000001 {"result":null,"id":1}\n')
    flat.write_text(FLAT_HEADER)
    trades.write_text("id,price,qty,quote_qty,time,is_buyer_maker\n")

    assert message(raw) == (
        ": contains no market data; symbols that its streams name: none; skipped: 1 x message without stream"
    )
    assert message(flat) == ": no trades in it; give a file with market data"
    assert message(trades, InputFile(trades, format="binance-trades")).startswith(": no rows in it")


@pytest.mark.parametrize(
    ("given", "text", "wanted"),
    [
        ("trades", ROW, ", line 1: the row has 7 columns; it must have 9"),
        ("candles", ROW, ", line 1: no column named timestamp, open, high, low, close, volume; it has 1, 2, 3"),
        ("binance-trades", "1,2,3\n", ", line 1: the row has 3 columns; it must have 7"),
        ("binance-raw", ROW, ", line 1: the line is '1,2,3,6,"),
    ],
)
def test_a_wrong_format_option_is_refused(tmp_path: Path, given: str, text: str, wanted: str) -> None:
    path = tmp_path / "BTCUSDT.csv"
    path.write_text(text)

    assert message(path, InputFile(path, format=given)).startswith(wanted)


def test_a_file_that_is_no_text_is_not_quoted(tmp_path):
    path = tmp_path / "BTC-USD.csv.gz"
    path.write_bytes(gzip.compress(gzip.compress(b"time,open,high,low,close,volume\n")))
    with pytest.raises(InputError, match="it is no text; if it was packed twice, unpack it once") as caught:
        detect_format(path)
    assert str(caught.value).isprintable()
