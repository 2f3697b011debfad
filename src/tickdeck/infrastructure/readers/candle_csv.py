"""Candles as delimited text: with a header, or as Binance publishes its klines.

With a header, the columns are found by name, in any order: the start (``timestamp``, ``time``, ``date``, ``datetime``,
``open_time``, ``unix``), ``open``, ``high``, ``low``, ``close``, ``volume``, and the end if there is one
(``close_time``). Other columns are ignored. Without a header, rows are Binance's 12 columns, the first six of them, or
Kraken's 7, of which the last is the number of trades. Rows of several symbols have a column ``symbol``. Comments and
other lines above the header are skipped. A first column without a name is the start, because pandas saves an index in
this way. The three header lines of yfinance are read as one.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path

from tickdeck.domain.events import CandleEvent
from tickdeck.domain.market import Timeframe
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.candle_columns import (
    NUMBERS,
    Plan,
    find_header,
    may_be_thousands,
    plan_by_names,
    plan_by_order,
    what_candles_lack,
)
from tickdeck.infrastructure.readers.columns import (
    delimiter_of,
    file_without_rows,
    is_above_header,
    peek_rows,
    row_fault,
    split_row,
    width_fault,
)
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, fault, open_text, peek_lines
from tickdeck.infrastructure.readers.intervals import OverlapError, candle_ends
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["candle_symbols", "read_candles"]

SOURCE = "file"

_LOOKED_AT = 100
"""Rows from which the style of numbers is judged."""
_MOST_SYMBOLS = 50
"""How many symbols of one file can be read together. Each needs its own open file."""


def candle_symbols(path: Path) -> list[str]:
    """The symbols in the rows, in order of appearance. Empty if there is no such column."""
    rows = peek_rows(path, PEEK_LINES)
    if not rows or what_candles_lack(*rows[:3]):
        return []
    header = find_header(rows[:3])
    if header.symbol is not None:
        return [header.symbol]
    if plan_by_names(path, 1, header.fields).symbol is None:
        return []
    state = path.stat()
    return list(_all_symbols(path, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=64)
def _all_symbols(path: Path, modified: int, size: int) -> tuple[str, ...]:
    """The symbols of the whole file, because a file that is sorted by symbol has the second one late. ``modified`` and
    ``size`` make the cache miss if the file has changed. An error further down is left to the reader.
    """
    found: dict[str, None] = {}
    with contextlib.suppress(*FAULTS, InputError), _rows(path, None) as (plan, rows):
        at = plan.symbol
        assert at is not None
        for _, fields in rows:
            if fields[at] not in found and not plan.is_header(fields):
                found[fields[at]] = None
    return tuple(found)


def read_candles(
    path: Path,
    *,
    symbols: Sequence[str],
    interval: Timeframe | None,
    times: Times,
    feed_latency_ns: int,
    notes: ReadNotes,
) -> Iterator[CandleEvent]:
    """The candles of ``symbols`` in order of time. The rows of each symbol must be in this order, or in the reverse
    order.

    A candle is known only at its end: ``ts`` is its end, and ``ts_ingress`` is ``ts`` plus ``feed_latency_ns``. The end
    is in the row if there is a column for it. Otherwise it follows from ``interval``, or from all rows (``intervals``).
    A repeated row counts once. If rows name their symbol, those of other symbols are skipped. A row without any price
    is an interval without trades. It is skipped and counted in ``notes``.

    Several symbols are read side by side, so the file is read once per symbol. Raises ``InputError`` at the first wrong
    row, if there is no row, if a single row leaves the interval open, and immediately if there are more than
    ``_MOST_SYMBOLS`` symbols.
    """
    if len(symbols) > _MOST_SYMBOLS:
        raise InputError(
            f"{path}: candles of {len(symbols)} symbols ({', '.join(symbols[:5])}, ...), at most {_MOST_SYMBOLS} of one"
            " file are read together; choose one with --symbol, or split the file"
        )
    readers = [_read(path, symbol, interval, times, feed_latency_ns, notes) for symbol in symbols]
    return readers[0] if len(readers) == 1 else merge(*readers, key=attrgetter("ts_ingress"))


def _read(
    path: Path,
    symbol: str,
    interval: Timeframe | None,
    times: Times,
    latency: int,
    notes: ReadNotes,
) -> Iterator[CandleEvent]:
    newest_first = _is_newest_first(path, symbol, times)
    if newest_first:
        notes.warn("its newest row comes first, so it is read from its end")
    _warn_of_thousands(path, notes)
    opens, ends = _bounds(path, symbol, interval, times, newest_first)
    index = number = 0
    fields: list[str] = []
    last, last_begins = [""], ""
    traded = False
    with _rows(path, symbol, newest_first) as (plan, rows):
        at, begin_at = plan.numbers, plan.begin
        open_at, high_at, low_at, close_at, volume_at = (at[name] for name in NUMBERS)
        try:
            for number, fields in rows:  # noqa: B007 (the error below tells it)
                begins = fields[begin_at]
                if begins == last_begins:
                    if fields != last:
                        raise ValueError("a row above has another candle with the same start")
                    notes.skip("repeated row")
                    continue
                if begins[:1] > "9" and plan.is_header(fields):
                    notes.skip("header in the middle")
                    continue
                last, last_begins = fields, begins
                begin, end = opens[index], ends[index]
                index += 1
                if not fields[open_at][:1].isdigit() and plan.has_no_price(fields):
                    notes.skip("candle without a price")
                    continue
                if plan.closed is not None and plan.is_open(fields):
                    notes.skip("candle that is not closed")
                    continue
                volume = Decimal(fields[volume_at])
                if volume:
                    traded = True
                candle = CandleEvent(
                    symbol=symbol,
                    interval=end - begin,
                    open_ts=begin,
                    close_ts=end,
                    open=Decimal(fields[open_at]),
                    high=Decimal(fields[high_at]),
                    low=Decimal(fields[low_at]),
                    close=Decimal(fields[close_at]),
                    volume=volume,
                    ts=end,
                    ts_ingress=end + latency,
                    source=SOURCE,
                )
                yield candle
        except FAULTS as error:
            raise row_fault(path, number, fields, {name.strip(): i for name, i in at.items()}, error) from None
    if not traded:
        notes.warn(f"no candle of {symbol} has any volume, so no order can be filled")


def _warn_of_thousands(path: Path, notes: ReadNotes) -> None:
    """A file with semicolons may write 44,957 as ``44.957``. Nothing in it says so for certain."""
    line = next((line for line in peek_lines(path, PEEK_LINES) if not is_above_header(line)), "")
    if delimiter_of(line) != ";":
        return
    with _rows(path, None) as (plan, rows):
        try:
            first = [fields for _, fields in islice(rows, _LOOKED_AT)]
        except (*FAULTS, InputError):
            return  # left to the reader
    if may_be_thousands(plan, first):
        notes.warn("all its numbers have three digits after the point; if it stands between thousands, remove it")


@contextmanager
def _rows(
    path: Path, symbol: str | None, newest_first: bool = False
) -> Iterator[tuple[Plan, Iterator[tuple[int, list[str]]]]]:
    """Where the columns are, and the rows in order of time with their line numbers. If rows name their symbol, only
    those of ``symbol`` (``None``: all)."""
    with open_text(path) as text:
        numbered = enumerate(text, 1)
        first = list(islice(((n, line) for n, line in numbered if not is_above_header(line)), 3))
        if not first:
            raise file_without_rows(path)
        delimiter = delimiter_of(first[0][1])
        fields = [split_row(line, delimiter) for _, line in first]
        plan = plan_by_order(fields[0])
        if plan is None:
            header = find_header(fields)
            plan, first = plan_by_names(path, first[0][0], header.fields), first[header.lines :]
        rows = _split(path, first, numbered, delimiter, plan, symbol)
        if newest_first:
            try:
                rows = iter([*rows][::-1])
            except FAULTS as error:
                raise fault(path, 0, error) from None
        yield plan, rows


def _is_newest_first(path: Path, symbol: str, times: Times) -> bool:
    """Whether the first two candles of the file are in reverse order. A wrong row is left to the reader."""
    with contextlib.suppress(*FAULTS), _rows(path, symbol) as (plan, rows):
        begins = dict.fromkeys(fields[plan.begin] for _, fields in islice(rows, 10))
        first, *following = (times.from_text(text) for text in begins)
        return bool(following) and following[0] < first
    return False


def _split(
    path: Path,
    first: Iterable[tuple[int, str]],
    numbered: Iterator[tuple[int, str]],
    delimiter: str,
    plan: Plan,
    symbol: str | None,
) -> Iterator[tuple[int, list[str]]]:
    width, at, clock = plan.width, plan.symbol, plan.clock
    ends = "\r\n " if delimiter == "\t" else None
    for number, line in chain(first, numbered):
        fields = line.rstrip(ends).split(delimiter) if '"' not in line else split_row(line, delimiter)
        if len(fields) != width:
            if fields == [""]:
                continue
            raise width_fault(path, number, len(fields), width)
        if clock is not None and not plan.is_header(fields):
            fields[plan.begin] = f"{fields[plan.begin].strip()} {fields[clock].strip()}"
        if at is None or symbol is None or fields[at] == symbol or plan.is_header(fields):
            yield number, fields


def _bounds(
    path: Path, symbol: str, interval: Timeframe | None, times: Times, newest_first: bool
) -> tuple[array[int], list[int]]:
    """The start and the end of each candle (ns), from a first pass over the file."""
    opens, lines, own = array("q"), array("q"), array("q")
    number = factor = 0
    fields: list[str] = []
    last = ""
    earliest, latest = times.earliest, times.latest
    with _rows(path, symbol, newest_first) as (plan, rows):
        begin_at, end_at = plan.begin, plan.end
        try:
            for number, fields in rows:
                text = fields[begin_at]
                if text == last:
                    continue
                last = text
                ns = int(text) * factor if factor and text.isdigit() else 0
                if not earliest <= ns <= latest:
                    if plan.is_header(fields):
                        continue
                    ns = times.from_text(text)
                    factor = times.factor_of(text, ns)
                if opens and ns <= opens[-1]:
                    raise ValueError(
                        "the candle does not start after the previous one; sort the rows by time, the oldest first"
                    )
                opens.append(ns)
                lines.append(number)
                if end_at is not None and fields[end_at]:
                    own.append(_own_end(fields[end_at], ns, times))
        except FAULTS as error:
            raise row_fault(path, number, fields, {}, error) from None
    if not opens:
        raise file_without_rows(path)
    if len(own) == len(opens) and interval is None:
        for index, (end, following) in enumerate(zip(own, opens[1:], strict=False)):
            if following < end:
                what = "the candle starts before the previous one ends (by its close time)"
                raise fault(path, lines[index + 1], ValueError(what))
        return opens, own.tolist()
    try:
        ends = candle_ends(opens, interval)
    except OverlapError as error:
        raise fault(path, lines[error.index], error) from None
    if ends is None:
        raise InputError(
            f"{path}: one row does not show how long its candle lasts; give --interval (1m, 1h, 1d, 1mo), or interval="
            " of [[tapes]]"
        )
    return opens, ends


def _own_end(text: str, begin: int, times: Times) -> int:
    """The end (ns, exclusive) that a row states. Exchanges write the last unit of time that belongs to the candle."""
    text = text.strip()
    end = times.from_text(text, "the close time")
    if (end - begin) % 1_000_000_000 or (end - begin) % 60_000_000_000 == 59_000_000_000:
        end += times.factor_of(text, end) or 1
    if end <= begin:
        raise ValueError("the candle's close time is not after its open time")
    return end
