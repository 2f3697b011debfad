"""Backtests on candles agree, fill by fill, with an independent backtest that trades at the next open."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from gate_runs import config, play

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_record
from tickdeck.domain.events import DomainEvent, OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.infrastructure.config import TapeConfig

FAST, SLOW = 12, 26
ORDER_ID = re.compile(r"td[0-9a-f]{28}")


def rows_of(path: Path) -> Iterator[tuple[int, str, float]]:
    """Open time in ns, open as written in the file, close."""
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            opened = int(datetime.fromisoformat(row["timestamp"]).timestamp())
            yield opened * 1_000_000_000, row["open"], float(row["close"])


def next_open_backtest(path: Path) -> list[tuple[int, str, Decimal]]:
    """Long while the fast average is above the slow one, otherwise flat. A decision at a close trades at the open of
    the next candle. Returns (time of that open, side, price).
    """
    fills: list[tuple[int, str, Decimal]] = []
    fast = slow = None
    wanted, held = None, False
    for n, (opened, open_price, close) in enumerate(rows_of(path)):
        if wanted is not None and wanted != held:
            fills.append((opened, "buy" if wanted else "sell", Decimal(open_price)))
            held = wanted
        fast = close if fast is None else fast + 2 / (FAST + 1) * (close - fast)
        slow = close if slow is None else slow + 2 / (SLOW + 1) * (close - slow)
        wanted = None
        if n + 1 >= SLOW and fast != slow:
            wanted = fast > slow
    return fills


SHORT = ["candles-5m-BTCUSDT-20250403-20250702.csv.gz", "candles-5m-ETHUSDT-20250403-20250702.csv.gz"]
LONG = [
    "candles-1m-BTC-PERP-20211231-20220201.csv.gz",
    "candles-1m-BTCUSDT-20241001-20241104.csv.gz",
    "candles-1m-BTCUSDT-20250101-20250204.csv.gz",
    "candles-1m-ETHUSDT-20241001-20241104.csv.gz",
    "candles-1m-ETHUSDT-20250101-20250204.csv.gz",
]


def test_each_recorded_file_of_candles_is_compared(shared: Path) -> None:
    assert sorted(path.name for path in (shared / "market-data").glob("candles-*")) == sorted(SHORT + LONG)


@pytest.mark.parametrize("name", [*SHORT, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
def test_a_backtest_on_candles_fills_as_an_independent_one_at_the_next_open(
    shared: Path, tmp_path: Path, name: str
) -> None:
    path = shared / "market-data" / name
    symbol = name.removesuffix(".csv.gz").split("-", 2)[2][: -len("-20250403-20250702")]
    tapes = (TapeConfig(path=str(path), symbol=symbol),)
    wanted = msgspec.structs.replace(config("ema-cross"), tapes=tapes, duration=None)
    folder = play(wanted, tmp_path).folder

    query = TapeQuery(types=("order.filled", "order.partially_filled"))
    fills = [e for e in open_record(folder, query) if isinstance(e, OrderFilledEvent | OrderPartiallyFilledEvent)]

    ours = [(fill.side.value, fill.price) for fill in fills]
    theirs = next_open_backtest(path)
    assert ours == [(side, price) for _, side, price in theirs]
    late = max(fill.ts - opened for fill, (opened, _, _) in zip(fills, theirs, strict=True))
    assert 0 <= late < 1_000_000_000, "the fill is told when the candle opens"


def test_no_event_changes_when_all_later_data_is_replaced(shared: Path, tmp_path: Path) -> None:
    """At several cuts in the middle of trades, all later candles have different prices and volumes."""
    with gzip.open(shared / "market-data" / "candles-5m-BTCUSDT-20250403-20250702.csv.gz", "rt") as file:
        head, *rows = [line.rstrip("\n").split(",") for line, _ in zip(file, range(600), strict=False)]

    def run(name: str, content: list[list[str]]) -> list[DomainEvent]:
        path = tmp_path / name / "BTCUSDT-5m.csv"
        path.parent.mkdir()
        path.write_text("\n".join(map(",".join, [head, *content])) + "\n")
        wanted = msgspec.structs.replace(config("ema-cross", "Restless", tapes=(path,)), duration=None)
        return list(open_record(play(wanted, tmp_path / "runs").folder))

    def shape(event: DomainEvent) -> dict[str, object]:
        """Order ids depend on the hash of the inputs, which differ on purpose."""
        return {name: value for name, value in event.to_dict().items() if not ORDER_ID.search(str(value))}

    whole = run("whole", rows)
    for cut in (100, 333, 400):
        other = [row if n < cut else [row[0], *("70000", "71000", "69000", "69500", "1")] for n, row in enumerate(rows)]
        changed = run(f"cut-{cut}", other)
        opens = int(datetime.fromisoformat(rows[cut][0]).timestamp()) * 1_000_000_000
        before = [shape(event) for event in whole if event.ts_ingress < opens]
        assert len(before) > cut
        assert [shape(event) for event in changed if event.ts_ingress < opens] == before
        assert [shape(event) for event in changed] != [shape(event) for event in whole]
