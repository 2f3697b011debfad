"""Binance's public data files (data.binance.vision), unpacked: ``trades`` and ``aggTrades`` CSV, spot and futures.

Columns of trades: id, price, qty, quoteQty, time, isBuyerMaker, and on spot isBestMatch; of aggTrades: id of the
aggregate, price, quantity, first trade id, last trade id, time, isBuyerMaker, and on spot isBestMatch. Futures files
begin with a header, spot files have none. Times are in ms, in spot files since 2025-01-01 in us. No row names its
symbol, and none the time at which somebody received it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.events import TradeEvent
from tickdeck.infrastructure.readers.columns import AGGRESSOR, file_without_rows, row_fault, width_fault
from tickdeck.infrastructure.readers.files import (
    DEFAULT_FEED_LATENCY_NS,
    FAULTS,
    check_step_back,
    open_text,
    peek_lines,
    require_symbol,
)

__all__ = ["AGG_TRADES", "TRADES", "binance_csv_venue", "read_binance_agg_trades", "read_binance_trades"]

SPOT, FUTURES = "binance", "binance-usdm"


class Layout(NamedTuple):
    """Where a format has what; the id, price and quantity are columns 0, 1 and 2 in both. ``widths``: spot's and
    futures' number of columns."""

    time: int
    maker: int
    widths: tuple[int, int]


TRADES = Layout(time=4, maker=5, widths=(7, 6))
AGG_TRADES = Layout(time=5, maker=6, widths=(8, 7))


def read_binance_trades(
    path: Path, *, symbol: str | None, feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS
) -> Iterator[TradeEvent]:
    """The trades of a ``trades`` file, in its order. ``ts`` is the trade's time, ``ts_ingress`` that plus the latency.

    Raises ``InputError`` at the first row that is not as described, and where there is no row or no ``symbol``.
    """
    return _read(path, require_symbol(path, symbol), TRADES, feed_latency_ns)


def read_binance_agg_trades(
    path: Path, *, symbol: str | None, feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS
) -> Iterator[TradeEvent]:
    """The same of an ``aggTrades`` file: an aggregate (one order's executions at one price) counts as one trade, and
    its ``trade_id`` is the aggregate's id."""
    return _read(path, require_symbol(path, symbol), AGG_TRADES, feed_latency_ns)


def binance_csv_venue(path: Path, layout: Layout) -> str:
    """``binance``, or ``binance-usdm`` where the rows are as wide as those of futures (COIN-M's are so too)."""
    return _venue(len(peek_lines(path, 1)[0].split(",")), layout)


def _venue(width: int, layout: Layout) -> str:
    return FUTURES if width == layout.widths[1] else SPOT


def _read(path: Path, symbol: str, layout: Layout, latency: int) -> Iterator[TradeEvent]:
    time_at, maker_at, widths = layout
    number, width, latest, venue = 0, 0, 0, SPOT
    fields: list[str] = []
    with open_text(path) as lines:
        try:
            for number, line in enumerate(lines, 1):
                fields = line.rstrip().split(",")
                if len(fields) != width:
                    if fields == [""] or (number == 1 and not fields[0].isdigit()):
                        continue  # an empty line; the header
                    if width or len(fields) not in widths:
                        raise width_fault(path, number, len(fields), width or widths[0])
                    width = len(fields)
                    venue = _venue(width, layout)
                time = int(fields[time_at])
                # Below 10^14 these are ms: as us they would lie before 1974.
                ts = time * 1_000_000 if time < 100_000_000_000_000 else time * 1_000
                if ts >= latest:
                    latest = ts
                else:
                    check_step_back(path, number, ts, latest)
                yield TradeEvent(
                    symbol=symbol,
                    price=Decimal(fields[1]),
                    quantity=Decimal(fields[2]),
                    side=AGGRESSOR[fields[maker_at]],
                    trade_id=int(fields[0]),
                    ts=ts,
                    ts_ingress=ts + latency,
                    source=venue,
                )
        except FAULTS as error:
            numbers = {"the id": 0, "the price": 1, "the quantity": 2, "the time": time_at}
            raise row_fault(path, number, fields, numbers, error) from None
    if not width:
        raise file_without_rows(path)
