"""The formats that can be read, how to tell them apart, and the one way to open a file of any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tickdeck.domain.events import MarketEvent
from tickdeck.domain.market.instrument import split_symbol
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.binance_csv import (
    AGG_TRADES,
    TRADES,
    binance_csv_venue,
    read_binance_agg_trades,
    read_binance_trades,
)
from tickdeck.infrastructure.readers.binance_raw import binance_raw_symbols, binance_raw_venue, read_binance_raw
from tickdeck.infrastructure.readers.candle_csv import CANDLE_COLUMNS, read_candles
from tickdeck.infrastructure.readers.columns import AGGRESSOR
from tickdeck.infrastructure.readers.files import DEFAULT_FEED_LATENCY_NS, peek_lines, require_symbol
from tickdeck.infrastructure.readers.tardis_csv import TARDIS_HEADER, read_tardis_trades, tardis_symbols, tardis_venues
from tickdeck.infrastructure.readers.trades_csv import (
    TRADES_HEADER,
    read_trades_csv,
    trades_csv_symbols,
    trades_csv_venues,
)

__all__ = ["FORMATS", "InputFile", "detect_format", "open_input", "peek_symbols", "peek_venues"]

FORMATS = ("binance-raw", "binance-trades", "binance-aggtrades", "trades", "candles", "tardis-trades")
"""Names of the formats: raw Binance captures, Binance's public trades and aggTrades CSV, Tickdeck's flat trades CSV of
several venues, candle CSV, trades CSV of tardis.dev. Each plain or gzip."""

_CAPTURE_LINE = re.compile(r"\d{16,20} [{\[]")


class InputFile(msgspec.Struct, frozen=True):
    """A file of recorded market data, and what to read from it.

    ``format``: one of ``FORMATS``; found by looking into the file where it is ``None``. ``symbol``: of a format that
    names its symbols the only one to read (``None``: all); of the others the symbol that the file holds (``None``: as
    its name says). ``venue``: of a file of several venues the one to read (``None``: that of its first row).
    """

    path: Path
    format: str | None = None
    symbol: str | None = None
    venue: str | None = None


def open_input(
    file: InputFile, *, feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS, skipped: dict[str, int] | None = None
) -> Iterator[MarketEvent]:
    """The file's events in its own order, decoded as they are asked for; each has ``ts``, ``ts_ingress``, ``source``.

    ``feed_latency_ns`` (ns) makes the receive time of formats that have none. What was passed over, such as messages of
    other streams or rows of other venues, is counted in ``skipped`` by kind, while reading.

    Raises ``InputError`` at once where the file is absent, its format unknown or its symbol not to be found, and while
    reading where a line is not as it should be; it names file and line.
    """
    path, name = file.path, _format(file)
    if name == "binance-raw":
        return read_binance_raw(path, symbol=file.symbol, skipped=skipped)
    if name == "trades":
        return read_trades_csv(path, symbol=file.symbol, venue=file.venue, skipped=skipped)
    if name == "tardis-trades":
        return read_tardis_trades(path, symbol=file.symbol, venue=file.venue, skipped=skipped)
    symbol = require_symbol(path, file.symbol or _symbol_in_name(path))
    if name == "binance-trades":
        return read_binance_trades(path, symbol=symbol, feed_latency_ns=feed_latency_ns)
    if name == "binance-aggtrades":
        return read_binance_agg_trades(path, symbol=symbol, feed_latency_ns=feed_latency_ns)
    return read_candles(path, symbol=symbol, feed_latency_ns=feed_latency_ns)


def detect_format(path: Path) -> str:
    """The format's name, told from the first lines; raises ``InputError`` where they are of none."""
    lines = [line for line in peek_lines(path, 2) if line]
    first = lines[0] if lines else ""
    if _CAPTURE_LINE.match(first):
        return "binance-raw"
    if first == TRADES_HEADER:
        return "trades"
    if first == TARDIS_HEADER:
        return "tardis-trades"
    if set(CANDLE_COLUMNS) <= {name.strip().lower() for name in first.split(",")}:
        return "candles"
    row = (first if first[:1].isdigit() else lines[-1] if lines else "").split(",")
    # Both formats have seven columns on one of their venues, but the maker flag in another place.
    for name, layout in (("binance-trades", TRADES), ("binance-aggtrades", AGG_TRADES)):
        if len(row) in layout.widths and row[layout.maker] in AGGRESSOR:
            return name
    raise InputError(f"{path}: its first lines are of no known format; the formats are {', '.join(FORMATS)}")


def peek_symbols(file: InputFile) -> list[str]:
    """The symbols that ``file`` will give, from its first lines or its name; a symbol that appears late is not seen.

    Raises ``InputError`` as ``open_input`` does.
    """
    name = _format(file)
    if file.symbol:
        return [file.symbol]
    if name == "binance-raw":
        return binance_raw_symbols(file.path)
    if name == "trades":
        return trades_csv_symbols(file.path, file.venue)
    if name == "tardis-trades":
        return tardis_symbols(file.path, file.venue)
    return [require_symbol(file.path, _symbol_in_name(file.path))]


def peek_venues(file: InputFile) -> list[str]:
    """The venues that the first lines of ``file`` are of, the one that is read by default first; none where its format
    does not tell (candles). Raises ``InputError`` as ``open_input`` does.
    """
    name = _format(file)
    if name == "binance-raw":
        return [binance_raw_venue(file.path)]
    if name == "trades":
        return trades_csv_venues(file.path)
    if name == "tardis-trades":
        return tardis_venues(file.path)
    if name == "candles":
        return []
    return [binance_csv_venue(file.path, TRADES if name == "binance-trades" else AGG_TRADES)]


def _format(file: InputFile) -> str:
    if file.format is None:
        return detect_format(file.path)
    if file.format not in FORMATS:
        raise InputError(f"{file.path}: there is no format {file.format!r}; the formats are {', '.join(FORMATS)}")
    peek_lines(file.path, 1)  # complains now where the file cannot be read
    return file.format


def _symbol_in_name(path: Path) -> str | None:
    """The first word of the file's name that ends in a known quote currency (``BTCUSDT-trades-2024-08-08.csv``)."""
    words = re.split(r"[^A-Z0-9]+", path.name.upper())
    return next((word for word in words if split_symbol(word)[0] != word), None)
