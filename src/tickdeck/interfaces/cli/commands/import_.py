"""``tickdeck import``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from tickdeck.application.units import clock_time, day, span
from tickdeck.application.wording import counted
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import json_option
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.importing import Imported

__all__ = ["RowCount", "format_name", "import_"]

_TARDIS = "tardis"
_ALIASES = {
    "raw": "binance-raw",
    "binance": "binance-trades",
    "aggtrades": "binance-aggtrades",
    "flat-trades": "trades",
    "candle": "candles",
    "klines": "candles",
}


@click.command("import")
@click.argument("format_", metavar="FORMAT")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--symbol", metavar="S", help="The symbol of FILE, or the only symbol to import from it.")
@click.option("--venue", metavar="V", help="The venue to import if the file has several; default: the first.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="TAPE", help="The tape to create: X.db.")
@click.option(
    "--feed-latency",
    default="10ms",
    show_default=True,
    metavar="T",
    help="How long the data took to reach us, if FILE has no receive times.",
)
@click.option("--interval", metavar="T", help="The duration of a candle, if the rows do not show it: 1m, 1d, 1mo.")
@click.option("--earliest", metavar="T", help="The earliest time to accept; default: 2009-01-01.")
@click.option("--latest", metavar="T", help="The latest time to accept; default: a day from now.")
@json_option("The result as one JSON object")
def import_(
    format_: str,
    file: Path,
    symbol: str | None,
    venue: str | None,
    out: Path,
    feed_latency: str,
    interval: str | None,
    earliest: str | None,
    latest: str | None,
    as_json: bool,
) -> int:
    """Convert market data from other formats to a tape for `tickdeck run --tape` and `backtest --tape`.

    FORMAT is binance-raw, binance-trades, binance-aggtrades, trades, candles, tardis-trades, tardis-quotes,
    tardis-book, tardis-book-snapshots, or auto, which reads the file's first lines to find out. FILE is plain, gzip or
    zip. Existing files are never overwritten.

    \b
    Examples:
      tickdeck import binance-trades BTCUSDT-trades-2024-08-08.csv --symbol BTCUSDT --out btc.db
      tickdeck import tardis binance_trades_2024-08-08_BTCUSDT.csv.gz --out btc.db
      tickdeck backtest --tape btc.db --strategy ema-cross
    """
    from tickdeck.application.units import duration_ns
    from tickdeck.errors import InputError
    from tickdeck.infrastructure.importing import import_file
    from tickdeck.infrastructure.readers import InputFile, detect_format

    name = format_name(format_) or detect_format(file)
    if format_.lower() == _TARDIS and not name.startswith(_TARDIS):
        raise InputError(f"{file}: not a file of tardis.dev, its format is {name}; give {name} or auto")
    bounds = [_bound(option, text) for option, text in (("--earliest", earliest), ("--latest", latest))]
    count = RowCount(sys.stderr)
    try:
        done = import_file(
            InputFile(file, name, symbol, venue, interval, *bounds),
            out,
            feed_latency_ns=duration_ns(feed_latency, zero=True),
            progress=count,
        )
    finally:
        count.close()
    if as_json:
        print_json(done)
    else:
        _print(done)
    for sentence in done.warnings:
        note(sentence)
    for kind, number in done.skipped.items():
        note(f"skipped {number:,} x {kind}")
    return DONE


def _bound(option: str, text: str | None) -> int | None:
    from tickdeck.infrastructure.readers import date_to_ns

    if text is None:
        return None
    try:
        return date_to_ns(text)
    except ValueError as error:
        raise click.BadParameter(f"{option}: {error}") from None


def format_name(word: str) -> str | None:
    """The format named by an argument, ``None`` for ``auto``. Raises ``click.BadParameter`` for an unknown name."""
    from tickdeck.infrastructure.readers import FORMATS

    name = word.lower().replace("_", "-")
    if name in ("auto", _TARDIS):  # tardis.dev's files show their kind in their headers
        return None
    name = _ALIASES.get(name, name)
    if name not in FORMATS:
        raise click.BadParameter(f"{word!r} is not a format; use one of {', '.join(FORMATS)}, or auto")
    return name


class RowCount:
    """Shows a count on one line of a terminal, a few times a second. Shows nothing if ``stream`` is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._next = 0.0

    def __call__(self, rows: int) -> None:
        if self._shown and not rows % 1_024 and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.25
            self._stream.write(f"\r\x1b[2K{rows:,} rows")
            self._stream.flush()

    def close(self) -> None:
        """Erase the line."""
        if self._shown:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def _print(done: Imported) -> None:
    symbols = ", ".join(f"{symbol} {count:,}" for symbol, count in done.symbols.items())
    first = f"{day(done.first_ts)} {clock_time(done.first_ts)}"
    length = span(done.last_ts - done.first_ts)
    click.echo(f"{counted(done.rows, 'event')} ({symbols}) within {length}, the first at {first} UTC")
    click.echo(f"tape  {done.out}")
    click.echo(f"next  tickdeck backtest --tape {done.out}")
