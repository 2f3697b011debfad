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
from typing import NamedTuple

from tickdeck.domain.events import CandleEvent
from tickdeck.domain.market import Timeframe
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.columns import (
    bare_name,
    delimiter_of,
    file_without_rows,
    header_of,
    is_above_header,
    peek_rows,
    row_fault,
    split_row,
    width_fault,
)
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, fault, open_text
from tickdeck.infrastructure.readers.intervals import OverlapError, candle_ends
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["candle_symbols", "is_candles", "read_candles", "what_candles_lack"]

SOURCE = "file"

_BEGIN = (
    "timestamp",
    "opentime",
    "opentimestamp",
    "datetime",
    "date",
    "time",
    "starttime",
    "startat",
    "unix",
    "ts",
    "windowstart",
)
_END = ("closetime", "endtime", "endat")
_SYMBOL = ("symbol", "ticker", "pair")
_NUMBERS = ("open", "high", "low", "close", "volume")
_VOLUMES = ("volume", "vol", "basevolume", "volumebase")
_NO_PRICE = ("", "nan", "null", "none")
_MOST_SYMBOLS = 50
"""How many symbols of one file can be read together. Each needs its own open file."""

_KLINE = 12
"""Columns of Binance's klines: open time, open, high, low, close, volume, close time, and five that are not read."""


class _Plan(NamedTuple):
    """The index of each column. ``clock`` is the time of day if ``begin`` is only the date."""

    width: int
    begin: int
    clock: int | None
    end: int | None
    symbol: int | None
    numbers: dict[str, int]


class _Header(NamedTuple):
    fields: list[str]
    lines: int
    symbol: str | None = None


def is_candles(rows: list[list[str]]) -> bool:
    """Whether the first rows of a file are candles with a header, or klines without one."""
    return bool(rows) and (not what_candles_lack(*rows) or _without_header(rows[0]) is not None)


def what_candles_lack(header: list[str], *following: list[str]) -> list[str]:
    """The columns that a header of candles lacks, by name. ``following`` are the rows below it."""
    names = header_of(_header((header, *following)).fields)
    lacking = [] if any(name in names for name in _BEGIN) else ["timestamp"]
    lacking += [name for name in _NUMBERS[:4] if name not in names]
    return lacking if _volume_at(names) is not None else [*lacking, "volume"]


def _header(rows: Sequence[list[str]]) -> _Header:
    """The header in the first rows, as one line."""
    first = rows[0]
    begin = bare_name(first[0])
    if begin == "price" and len(rows) > 2 and bare_name(rows[1][0]) == "ticker" and bare_name(rows[2][0]) in _BEGIN:
        tickers = {cell.strip() for cell in rows[1][1:]}
        return _Header([rows[2][0], *first[1:]], 3, tickers.pop() if len(tickers) == 1 else None)
    if not begin and len(rows) > 1 and _is_time(rows[1][0]) and not any(name in _BEGIN for name in header_of(first)):
        return _Header(["timestamp", *first[1:]], 1)
    return _Header(first, 1)


def _is_time(text: str) -> bool:
    try:
        Times().from_text(text)
    except ValueError:
        return False
    return True


def candle_symbols(path: Path) -> list[str]:
    """The symbols in the rows, in order of appearance. Empty if there is no such column."""
    rows = peek_rows(path, PEEK_LINES)
    if not rows or what_candles_lack(*rows[:3]):
        return []
    header = _header(rows[:3])
    if header.symbol is not None:
        return [header.symbol]
    if _plan(path, 1, header.fields).symbol is None:
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
            if fields[at] not in found and not _is_header(fields, plan):
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
    opens, ends = _bounds(path, symbol, interval, times, newest_first)
    index = number = 0
    fields: list[str] = []
    last, last_begins = [""], ""
    traded = False
    with _rows(path, symbol, newest_first) as (plan, rows):
        at, begin_at = plan.numbers, plan.begin
        open_at, high_at, low_at, close_at, volume_at = (at[name] for name in _NUMBERS)
        try:
            for number, fields in rows:  # noqa: B007 (the error below tells it)
                begins = fields[begin_at]
                if begins == last_begins:
                    if fields != last:
                        raise ValueError("a row above has another candle with the same start")
                    notes.skip("repeated row")
                    continue
                if begins[:1] > "9" and _is_header(fields, plan):
                    notes.skip("header in the middle")
                    continue
                last, last_begins = fields, begins
                begin, end = opens[index], ends[index]
                index += 1
                if not fields[open_at][:1].isdigit() and _has_no_price(fields, at):
                    notes.skip("candle without a price")
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


@contextmanager
def _rows(
    path: Path, symbol: str | None, newest_first: bool = False
) -> Iterator[tuple[_Plan, Iterator[tuple[int, list[str]]]]]:
    """Where the columns are, and the rows in order of time with their line numbers. If rows name their symbol, only the
    rows of ``symbol`` (``None``: all).
    """
    with open_text(path) as text:
        numbered = enumerate(text, 1)
        first = list(islice(((n, line) for n, line in numbered if not is_above_header(line)), 3))
        if not first:
            raise file_without_rows(path)
        delimiter = delimiter_of(first[0][1])
        fields = [split_row(line, delimiter) for _, line in first]
        plan = _without_header(fields[0])
        if plan is None:
            header = _header(fields)
            plan, first = _plan(path, first[0][0], header.fields), first[header.lines :]
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
    plan: _Plan,
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
        if clock is not None and not _is_header(fields, plan):
            fields[plan.begin] = f"{fields[plan.begin].strip()} {fields[clock].strip()}"
        if at is None or symbol is None or fields[at] == symbol or _is_header(fields, plan):
            yield number, fields


def _has_no_price(fields: list[str], numbers: dict[str, int]) -> bool:
    """Whether a row has only a start, because nothing was traded in its interval."""
    return all(fields[numbers[name]].strip().lower() in _NO_PRICE for name in _NUMBERS[:4])


def _is_header(fields: list[str], plan: _Plan) -> bool:
    return not fields[plan.begin][:1].isdigit() and not what_candles_lack(fields)


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
                    if _is_header(fields, plan):
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


def _plan(path: Path, line: int, header: list[str]) -> _Plan:
    names = header_of(header)
    lacking = what_candles_lack(header)
    if lacking:
        has = ", ".join(name.strip() for name in header)
        raise fault(path, line, ValueError(f"no column named {', '.join(lacking)}; it has {has}"))
    volume = _volume_at(names)
    assert volume is not None
    numbers = {name: names.index(name) for name in _NUMBERS[:4]} | {"volume": volume}
    begin = _index(names, _BEGIN) or 0
    clock = _index(names, ("time",)) if names[begin] == "date" else None
    return _Plan(len(header), begin, clock, _index(names, _END), _index(names, _SYMBOL), numbers)


def _without_header(fields: list[str]) -> _Plan | None:
    """The plan for rows without a header, of which ``fields`` is one."""
    if len(fields) not in (6, 7, _KLINE) or not fields[0].strip()[:1].isdigit():
        return None
    try:
        Times().from_text(fields[0])
        for cell in fields[1:6]:
            Decimal(cell)
    except FAULTS:
        if len(fields) != _KLINE:
            return None
    return _Plan(
        len(fields), 0, None, 6 if len(fields) == _KLINE else None, None, {n: i for i, n in enumerate(_NUMBERS, 1)}
    )


def _index(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _volume_at(names: list[str]) -> int | None:
    """The column of the volume in base currency: ``volume``, or the first column whose name begins like that (``Volume
    BTC``).
    """
    exact = _index(names, _VOLUMES)
    return exact if exact is not None else next((i for i, n in enumerate(names) if n.startswith("volume")), None)
