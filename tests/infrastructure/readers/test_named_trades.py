"""Trades of any layout: the columns are found by their names."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, detect_format, open_input, peek_symbols
from tickdeck.infrastructure.readers.notes import ReadNotes

SECOND = 1_000_000_000
START = 1_723_161_600 * SECOND  # 2024-08-09T00:00:00Z
MS = START // 1_000_000


def read(path: Path, text: str, symbol: str | None = None) -> tuple[list[TradeEvent], ReadNotes]:
    path.write_text(text)
    notes = ReadNotes()
    trades = list(open_input(InputFile(path, symbol=symbol), notes=notes))
    assert all(isinstance(trade, TradeEvent) for trade in trades)
    return [trade for trade in trades if isinstance(trade, TradeEvent)], notes


LAYOUTS = {
    "bybit derivatives": (
        "BTCUSDT2024-08-09.csv",
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
        "1723161600.0000,BTCUSDT,Buy,0.5,100,PlusTick,11,1e9,0.5,50\n"
        "1723161601.2500,BTCUSDT,Sell,2,101,MinusTick,12,1e9,2,202\n",
    ),
    "bybit spot": (
        "BTCUSDT_2024-08-09.csv",
        f"id,timestamp,price,volume,side,rpi\n11,{MS},100,0.5,buy,0\n12,{MS + 1250},101,2,sell,0\n",
    ),
    "okx": (
        "trades.csv",
        "instrument_name,trade_id,side,price,size,created_time,source\n"
        f"BTCUSDT,11,buy,100,0.5,{MS},0\nBTCUSDT,12,sell,101,2,{MS + 1250},0\n",
    ),
    "okx, two languages": (
        "BTCUSDT-trades.csv",
        "trade_id/交易id,side/交易方向,size/数量,price/价格,created_time/成交时间\n"
        f"11,buy,0.5,100,{MS}\n12,sell,2,101,{MS + 1250}\n",
    ),
    "ccxt": (
        "trades.csv",
        "id,timestamp,datetime,symbol,order,type,side,takerOrMaker,price,amount,cost\n"
        f"11,{MS},2024-08-09T00:00:00.000Z,BTCUSDT,,,buy,,100,0.5,50\n"
        f"12,{MS + 1250},2024-08-09T00:00:01.250Z,BTCUSDT,,,sell,,101,2,202\n",
    ),
    "a flag for the maker": (
        "BTCUSDT.csv",
        f"price;qty;time;trade_id;isBuyerMaker;quote\n100;0.5;{MS};11;False;50\n101;2;{MS + 1250};12;True;202\n",
    ),
    "bitmex, sizes in contracts": (
        "trades.csv",
        "timestamp,symbol,side,size,price,trdMatchID,homeNotional,foreignNotional\n"
        "2024-08-09D00:00:00.000000000,BTCUSDT,Buy,500000,100,11,0.5,50\n"
        "2024-08-09D00:00:01.250000000,BTCUSDT,Sell,2000000,101,12,2,202\n",
    ),
    "newest first": (
        "BTCUSDT.csv",
        f"Time\tID\tPrice\tAmount\tSide\tFee\n{MS + 1250}\t12\t101\t2\tS\t0\n{MS}\t11\t100\t0.5\tB\t0\n",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_trades_are_read_from_each_layout(tmp_path: Path, name: str) -> None:
    file, text = LAYOUTS[name]

    trades, _ = read(tmp_path / file, text)

    assert [(t.symbol, t.ts - START, t.price, t.quantity, t.side, t.trade_id) for t in trades] == [
        ("BTCUSDT", 0, Decimal(100), Decimal("0.5"), Side.BUY, 11),
        ("BTCUSDT", 1_250_000_000, Decimal(101), Decimal(2), Side.SELL, 12),
    ]


def test_all_symbols_of_a_file_are_read_and_one_can_be_chosen(tmp_path: Path) -> None:
    rows = "".join(f"{MS + n},{symbol},buy,1,2\n" for n in range(3) for symbol in ("ETH-USDT", "BTC-USDT"))
    text = "time,symbol,side,price,size\n" + rows

    assert [t.symbol for t in read(tmp_path / "x.csv", text)[0]] == ["ETH-USDT", "BTC-USDT"] * 3
    assert peek_symbols(InputFile(tmp_path / "x.csv")) == ["ETH-USDT", "BTC-USDT"]
    assert {t.symbol for t in read(tmp_path / "x.csv", text, "BTC-USDT")[0]} == {"BTC-USDT"}
    with pytest.raises(InputError, match=r"it has no trades of SOL-USDT; its symbols are ETH-USDT, BTC-USDT"):
        read(tmp_path / "x.csv", text, "SOL-USDT")


def test_sizes_of_an_inverse_contract_are_refused(tmp_path: Path) -> None:
    text = (
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
        "1723161600.1,BTCUSD,Buy,6000,60000,PlusTick,a,1,0.1,6000\n"
    )
    with pytest.raises(InputError, match="it is an inverse contract"):
        read(tmp_path / "x.csv", text)


def test_a_header_without_a_side_is_refused_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT.csv"
    path.write_text(f"time,price,amount\n{MS},1,2\n")

    with pytest.raises(InputError, match=r"no column named side; it has time, price, amount"):
        detect_format(path)


def test_trades_without_a_header_in_an_unknown_layout_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD.csv"
    path.write_text("1723161600,60000.1,0.5\n")

    with pytest.raises(InputError, match="no header names its columns"):
        detect_format(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{MS},hold,1,2", "line 3: side is 'hold'; it must be buy or sell"),
        (f"{MS},buy,x,2", "line 3: price is 'x', which is not a number"),
        (f"{MS},buy,-1,2", "line 3: market.trade: price is -1"),
        (f"{MS},buy,1,0", "line 3: market.trade: quantity is 0"),
        (f"{MS},buy,1,NaN", "line 3: market.trade: quantity is NaN"),
        (f"{MS},buy,1", "line 3: the row has 3 columns; it must have 4"),
        ("yesterday,buy,1,2", "line 3: the time is 'yesterday'"),
        (f"{MS - 60_000},buy,1,2\n{MS},buy,1,2", "line 3: the time goes back by 60.000 s"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path / "BTCUSDT.csv", f"time,side,price,amount\n{MS},buy,1,2\n{row}\n")


def test_trades_without_a_side_and_second_headers_are_counted(tmp_path: Path) -> None:
    header = "time,side,price,amount\n"
    trades, notes = read(tmp_path / "BTCUSDT.csv", f"{header}{MS},buy,1,2\n{MS},,1,2\n{header}{MS + 1},sell,1,2\n")

    assert len(trades) == 2
    assert notes.skipped == {"trade without a side": 1, "header in the middle": 1}


def test_a_warning_says_that_coinbase_gives_the_makers_side(tmp_path: Path) -> None:
    _, notes = read(tmp_path / "BTC-USD.csv", "time,trade_id,price,size,side\n2024-08-09T00:00:00Z,1,2,3,buy\n")

    assert any("Coinbase's API gives the maker's" in sentence for sentence in notes.warnings)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows in it"):
        read(tmp_path / "BTCUSDT.csv", "time,side,price,amount\n")


def test_a_receive_time_is_used_if_there_is_one(tmp_path: Path) -> None:
    trades, _ = read(
        tmp_path / "BTCUSDT.csv", f"time,local_timestamp,side,price,amount\n{MS},{(MS + 7) * 1000},buy,1,2\n"
    )

    assert trades[0].ts_ingress - trades[0].ts == 7_000_000


def test_known_columns_in_other_positions_are_never_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT.csv"
    path.write_text(f"id,qty,price,quote_qty,when,is_buyer_maker\n1,0.5,100,50,{MS},true\n")

    with pytest.raises(InputError, match=r"no column named time; it has id, ?qty, ?price"):
        [*open_input(InputFile(path))]


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("size,amount", "10,1000"),
        ("amount,size", "1000,10"),
        ("volume,amount", "10,999.9"),
        ("qty,volume", "10,10"),
        ("quantity,amount,size", "10,1000,10"),
    ],
)
def test_of_two_quantities_the_one_in_base_currency_is_read(tmp_path: Path, columns: str, row: str) -> None:
    path = tmp_path / "BTC-USD.csv"
    path.write_text(f"time,price,side,{columns}\n1704067200123,100,buy,{row}\n")

    [trade] = open_input(InputFile(path))

    assert isinstance(trade, TradeEvent)
    assert trade.quantity == 10


def test_two_quantities_that_have_nothing_to_do_with_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USD.csv"
    path.write_text("time,price,side,size,amount\n1704067200123,100,buy,10,77\n")

    with pytest.raises(InputError, match="amount and size differ; leave only the column with the quantity in base"):
        list(open_input(InputFile(path)))


def test_a_quantity_that_is_not_a_number_is_named_also_beside_another_one(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USD.csv"
    path.write_text("time,price,side,size,amount\n1704067200123,100,buy,1o,77\n")

    with pytest.raises(InputError, match="line 2: size is '1o', which is not a number"):
        list(open_input(InputFile(path)))
