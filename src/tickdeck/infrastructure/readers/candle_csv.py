"""Candles as CSV with the header ``timestamp,open,high,low,close,volume`` (any order; further columns are ignored).

``timestamp`` is a candle's open time: ISO 8601, in UTC where it has no offset, or an integer of s, ms, us or ns since
the epoch. No row names its symbol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.events import CandleEvent
from tickdeck.errors import EventValidationError, InputError
from tickdeck.infrastructure.readers.columns import file_without_rows, row_fault, width_fault
from tickdeck.infrastructure.readers.files import (
    DEFAULT_FEED_LATENCY_NS,
    FAULTS,
    fault,
    open_text,
    require_symbol,
    to_ns,
)

__all__ = ["CANDLE_COLUMNS", "read_candles"]

CANDLE_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
SOURCE = "file"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def read_candles(
    path: Path,
    *,
    symbol: str | None,
    interval_ns: int | None = None,
    feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS,
) -> Iterator[CandleEvent]:
    """The candles in the file's order, which must be that of time.

    ``interval_ns`` is by default what lies between the first two rows; candles may be missing, but none may begin
    before the one above it ends. A candle is known at its end only: ``ts`` is its close time, ``ts_ingress`` that plus
    the latency.

    Raises ``InputError`` at the first row that is not as described, and where there is no row or no ``symbol``.
    """
    return _read(path, require_symbol(path, symbol), interval_ns, feed_latency_ns)


def _read(path: Path, symbol: str, interval: int | None, latency: int) -> Iterator[CandleEvent]:
    with open_text(path) as lines:
        rows = _rows(path, lines)
        first = list(islice(rows, 2))
        if not first:
            raise file_without_rows(path)
        if interval is None:
            if len(first) < 2:
                raise InputError(f"{path}: one row does not tell the candles' interval; give it, or two rows and more")
            interval = first[1].opened - first[0].opened
            if interval <= 0:
                raise fault(path, first[1].line, ValueError("the candle does not begin after the one above it"))
        end = first[0].opened
        for row in chain(first, rows):
            if row.opened < end:
                what = ValueError(f"the candle begins before the one above it ends (interval {interval / 1e9:g} s)")
                raise fault(path, row.line, what)
            end = row.opened + interval
            try:
                candle = CandleEvent(
                    symbol=symbol,
                    interval=interval,
                    open_ts=row.opened,
                    close_ts=end,
                    open=row.open,
                    high=row.high,
                    low=row.low,
                    close=row.close,
                    volume=row.volume,
                    ts=end,
                    ts_ingress=end + latency,
                    source=SOURCE,
                )
            except EventValidationError as error:
                raise fault(path, row.line, error) from None
            yield candle


class _Row(NamedTuple):
    line: int
    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


def _rows(path: Path, lines: Iterable[str]) -> Iterator[_Row]:
    number, width, time_at = 0, 0, 0
    fields: list[str] = []
    numbers: dict[str, int] = {}
    try:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip().split(",")
            if fields == [""]:
                continue
            if not width:
                width = len(fields)
                header = [name.strip().lower() for name in fields]
                missing = [name for name in CANDLE_COLUMNS if name not in header]
                if missing:
                    raise fault(path, number, ValueError(f"the header lacks {', '.join(missing)}"))
                time_at = header.index(CANDLE_COLUMNS[0])
                numbers = {name: header.index(name) for name in CANDLE_COLUMNS[1:]}
                continue
            if len(fields) != width:
                raise width_fault(path, number, len(fields), width)
            opened = _time(fields[time_at])
            yield _Row(number, opened, *(Decimal(fields[at]) for at in numbers.values()))
    except FAULTS as error:
        raise row_fault(path, number, fields, numbers, error) from None


def _time(text: str) -> int:
    if text.isdigit():
        return to_ns(int(text))
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MICROSECOND * 1_000
