"""The formats that can be read, how they are recognized, and ``open_input``, which opens a file of any format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import msgspec

from tickdeck.domain.events import MarketEvent
from tickdeck.domain.market import parse_timeframe
from tickdeck.domain.market.instrument import is_inverse, symbol_in_name
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.binance_raw import read_binance_raw, survey_capture
from tickdeck.infrastructure.readers.candle_columns import is_candles, what_candles_lack
from tickdeck.infrastructure.readers.candle_csv import candle_symbols, read_candles
from tickdeck.infrastructure.readers.columns import delimiter_of, is_above_header, split_row
from tickdeck.infrastructure.readers.files import DEFAULT_FEED_LATENCY_NS, peek_lines, require_symbol
from tickdeck.infrastructure.readers.named_trades import (
    NAMED_TRADES,
    named_symbols,
    read_named_trades,
    what_trades_lack,
)
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.tardis_csv import TARDIS_FORMATS, detect_tardis, read_tardis, tardis_streams
from tickdeck.infrastructure.readers.times import EARLIEST_NS, Times
from tickdeck.infrastructure.readers.trades_csv import TRADE_FORMATS, detect_trades, read_trades, trade_streams

__all__ = ["FORMATS", "InputFile", "detect_format", "names_symbols", "open_input", "peek_symbols", "peek_venues"]

FORMATS = ("binance-raw", *TRADE_FORMATS, NAMED_TRADES, "candles", *TARDIS_FORMATS)
"""The names of the formats: raw Binance captures, trades in four fixed layouts, trades with named columns, candles, and
books and best prices of tardis.dev. Each may be plain, or compressed with gzip or zip.
"""

_CAPTURE_LINE = re.compile(r"\ufeff?\d{10,20}(\.\d+)? +[{\[]")


_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")


class InputFile(msgspec.Struct, frozen=True):
    """A file of recorded market data, and what to read from it.

    - ``format``: one of ``FORMATS``; ``None`` recognizes it from the content.
    - ``symbol``: if the format names its symbols, the only one to read (``None``: all). Otherwise the symbol of the
      file (``None``: from its name).
    - ``venue``: for a file of several venues, the one to read (``None``: that of the first row).
    - ``interval``: how long a candle lasts (``1m``, ``1d``, ``1mo``; ``None``: found from the rows).
    - ``earliest``, ``latest``: the range of valid times (ns, inclusive; ``None``: from 2009 to a day from now).
    """

    path: Path
    format: str | None = None
    symbol: str | None = None
    venue: str | None = None
    interval: str | None = None
    earliest: int | None = None
    latest: int | None = None


def open_input(
    file: InputFile, *, feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS, notes: ReadNotes | None = None
) -> Iterator[MarketEvent]:
    """The events of the file in its own order, decoded lazily. Each has ``ts``, ``ts_ingress`` and ``source``.

    ``feed_latency_ns`` (ns) gives the receive time for formats without one. What is skipped, such as messages of other
    streams or rows of other venues, is counted in ``notes`` by kind, while reading.

    Raises ``InputError`` immediately if the file is missing, its format or symbol is unknown, or its symbol is an
    inverse contract, and while reading if a line is wrong. The message names file and line.
    """
    path, name = file.path, _format(file)
    notes = ReadNotes() if notes is None else notes
    times = Times(EARLIEST_NS if file.earliest is None else file.earliest, file.latest)
    symbols = peek_symbols(file)
    if not names_symbols(file):  # the file's name may say that it holds contracts, whatever ``symbol`` says
        symbols += [symbol_in_name(path.name) or ""]
    for symbol in symbols:
        if is_inverse(symbol):
            raise InputError(
                f"{path}: {symbol} is an inverse contract: its sizes are contracts and its profit is in the base"
                " currency, which Tickdeck does not calculate; use the spot or USD-M market"
            )
    if name == "binance-raw":
        return read_binance_raw(path, symbol=file.symbol, times=times, notes=notes)
    if name in TARDIS_FORMATS:
        return read_tardis(path, name, symbol=file.symbol, venue=file.venue, times=times, notes=notes)
    if name == "candles":
        named = [file.symbol] if file.symbol else candle_symbols(path)
        return read_candles(
            path,
            symbols=named or [require_symbol(path, symbol_in_name(path.name))],
            interval=parse_timeframe(file.interval) if file.interval is not None else None,
            times=times,
            feed_latency_ns=feed_latency_ns,
            notes=notes,
        )
    if name == NAMED_TRADES:
        return read_named_trades(
            path,
            symbol=file.symbol or (None if named_symbols(path) else symbol_in_name(path.name)),
            times=times,
            feed_latency_ns=feed_latency_ns,
            notes=notes,
        )
    in_rows = not TRADE_FORMATS[name].venues[0]
    return read_trades(
        path,
        name,
        symbol=file.symbol if in_rows else require_symbol(path, file.symbol or symbol_in_name(path.name)),
        venue=file.venue,
        times=times,
        feed_latency_ns=feed_latency_ns,
        notes=notes,
    )


def detect_format(path: Path) -> str:
    """The name of the format, recognized from the first lines. Raises ``InputError`` if they match no format."""
    head = [line for line in peek_lines(path, 20) if line.strip()]
    if head and _CAPTURE_LINE.match(head[0]):
        return "binance-raw"
    lines = [*dropwhile(is_above_header, head)][:3]
    delimiter = delimiter_of(lines[0]) if lines else ","
    rows = [split_row(line, delimiter) for line in lines]
    found = (detect_tardis(rows[0]) if rows else None) or detect_trades(rows)
    if found is not None:
        return found
    if is_candles(rows):
        return "candles"
    what = ""
    if any(map(_NO_TEXT.search, head)):
        what = ": it is no text; if it was packed twice, unpack it once"
    elif rows and len(rows[0]) > 1:
        has = ", ".join(cell.strip() for cell in rows[0])
        # Candles and trades both have a time. Name the missing columns of the kind that the header resembles more.
        lacking = min(what_candles_lack(*rows), what_trades_lack(rows[0]), key=len)
        what = f": no column named {', '.join(lacking)}" if len(lacking) <= 3 else ""
        what = ": no header names its columns" if rows[0][0].strip()[:1].isdigit() else what
        what += f"; it has {has[:200]}"
    if head and head[0].lstrip("\ufeff ")[:1] in "[{":
        what = ": it is JSON, but only captures may be JSON; save it as CSV"
    raise InputError(f"{path}: its first lines match no known format{what}; the formats are {', '.join(FORMATS)}")


def peek_symbols(file: InputFile) -> list[str]:
    """The symbols that ``file`` will give, in order of appearance: those of all its rows, or the one in its name.

    Raises ``InputError`` as ``open_input`` does.
    """
    name = _format(file)
    if file.symbol:
        return [file.symbol]
    if name == "binance-raw":
        return survey_capture(file.path).symbols
    streams = _streams(file, name)
    if streams and streams[0][1]:
        chosen = file.venue or streams[0][0]
        return [symbol for venue, symbol in streams if venue == chosen]
    if name == "candles":
        symbols = candle_symbols(file.path)
        if symbols:
            return symbols
    elif name == NAMED_TRADES:
        symbols = named_symbols(file.path)
        if symbols:
            return symbols
    elif name in TARDIS_FORMATS or not TRADE_FORMATS[name].venues[0]:
        return []
    return [require_symbol(file.path, symbol_in_name(file.path.name))]


def names_symbols(file: InputFile) -> bool:
    """Whether the content of ``file`` names its symbols. Raises as ``open_input`` does."""
    name = _format(file)
    if name == "binance-raw":
        return bool(survey_capture(file.path).symbols)
    if name == "candles":
        return bool(candle_symbols(file.path))
    if name == NAMED_TRADES:
        return bool(named_symbols(file.path))
    return name in TARDIS_FORMATS or not TRADE_FORMATS[name].venues[0]


def peek_venues(file: InputFile) -> list[str]:
    """The venues of ``file``; the first one is read by default. None if the format does not name
    venues (candles). Raises ``InputError`` as ``open_input`` does.
    """
    name = _format(file)
    if name == "binance-raw":
        return [survey_capture(file.path).venue]
    return list(dict.fromkeys(venue for venue, _ in _streams(file, name)))


def _streams(file: InputFile, name: str) -> list[tuple[str, str]]:
    if name in TARDIS_FORMATS:
        return tardis_streams(file.path)
    return trade_streams(file.path, name) if name in TRADE_FORMATS else []


def _format(file: InputFile) -> str:
    if file.format is None:
        return detect_format(file.path)
    if file.format not in FORMATS:
        raise InputError(f"{file.path}: there is no format {file.format!r}; the formats are {', '.join(FORMATS)}")
    peek_lines(file.path, 1)  # raises now if the file cannot be read
    return file.format
