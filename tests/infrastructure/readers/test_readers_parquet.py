"""Parquet files are read like CSV files with the same columns."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tickdeck.domain.events import CandleEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, detect_format, open_input

TRADES = {
    "id": [1, 2],
    "price": [61837.63, 61837.64],
    "qty": [Decimal("0.0200"), Decimal("1.0000")],
    "quote_qty": [1.0, 1.0],
    "time": [1_723_161_255_342, 1_723_161_255_343],
    "is_buyer_maker": [True, False],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "BTCUSDT.parquet"


def test_trades_are_read_from_a_table(file: Path) -> None:
    pq.write_table(pa.table(TRADES), file)

    first, second = open_input(InputFile(file))

    assert detect_format(file) == "binance-trades"
    assert isinstance(first, TradeEvent)
    assert isinstance(second, TradeEvent)
    assert (first.price, str(first.quantity), first.side) == (Decimal("61837.63"), "0.0200", Side.SELL)
    assert (second.trade_id, second.side) == (2, Side.BUY)


def test_candles_are_read_with_times_of_any_unit_and_an_index_of_pandas(file: Path) -> None:
    opened = pa.array([datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in range(2)], pa.timestamp("ns", "UTC"))
    prices = pa.array([Decimal("1.50"), Decimal("1.50")])
    table = {"timestamp": opened} | dict.fromkeys(("open", "high", "low", "close", "volume"), prices)
    pq.write_table(pa.table(table | {"__index_level_0__": [0, 1]}), file)

    first, second = open_input(InputFile(file))

    assert isinstance(first, CandleEvent)
    assert isinstance(second, CandleEvent)
    assert first.open_ts == 1_704_067_200_000_000_000
    assert second.open_ts - first.open_ts == 60_000_000_000
    assert str(first.close) == "1.50"


def test_a_missing_value_is_reported_with_its_row(file: Path) -> None:
    pq.write_table(pa.table(TRADES | {"price": [1.5, None]}), file)

    with pytest.raises(InputError, match="line 3: price is '', which is not a number"):
        list(open_input(InputFile(file)))


def test_an_unrelated_table_is_refused(file: Path) -> None:
    pq.write_table(pa.table({"weather": ["fine"]}), file)

    with pytest.raises(InputError, match="match no known format"):
        detect_format(file)


def test_a_damaged_file_is_reported(file: Path) -> None:
    pq.write_table(pa.table(TRADES), file)
    file.write_bytes(file.read_bytes()[:-20])

    with pytest.raises(InputError, match=r"BTCUSDT\.parquet: the file is damaged"):
        detect_format(file)


def test_without_pyarrow_the_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table(TRADES), file)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(InputError, match=r"pip install 'tickdeck\[parquet\]'"):
        detect_format(file)
