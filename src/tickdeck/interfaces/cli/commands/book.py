"""``tickdeck book``."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickdeck.application.units import iso_time
from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import data_option, json_option, recorded_run, run_argument, time_value
from tickdeck.interfaces.cli.output import console, note, print_json

if TYPE_CHECKING:
    from tickdeck.application.replay import BookAt

__all__ = ["book"]


@click.command()
@run_argument
@click.option("--symbol", metavar="S", help="The book's symbol; required if the run has several.")
@click.option(
    "--at", type=time_value, metavar="T", help="ISO 8601 or ns, on the run's clock; default: the end of the tape."
)
@click.option(
    "--depth", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="Levels per side."
)
@data_option
@json_option("The book as one JSON object")
def book(run: str, symbol: str | None, at: int | None, depth: int, data: Path, as_json: bool) -> int:
    """Show the order book at a moment of RUN, rebuilt from its record.

    Exits with 1 if there was no usable book at that time: before the first snapshot, or after a gap in its updates. RUN
    is a run's id, a path to its folder, or `last`.

    \b
    Examples:
      tickdeck book last --depth 5
      tickdeck book last --symbol BTCUSDT --at 2024-08-08T23:55:00Z --json
    """
    from tickdeck.application.ports import TapeQuery
    from tickdeck.application.replay import rebuild_book
    from tickdeck.bootstrap import open_record

    folder = recorded_run(data, run)
    symbol = _symbol(folder, symbol)
    query = TapeQuery(types=("market.book", "market.book_delta"), symbol=symbol, last_ts=at)
    found = rebuild_book(open_record(folder, query), symbol)
    if as_json:
        print_json(_json(found, depth))
    elif found.book.usable:
        _print(found, depth)
    if not found.book.usable:
        note(_why_not(found, at))
        return NO
    return DONE


def _symbol(folder: Path, symbol: str | None) -> str:
    from tickdeck.infrastructure.runs import read_manifest

    symbols = read_manifest(folder).symbols
    if symbol is None:
        if len(symbols) > 1:
            raise RunError(f"run {folder.name} has several symbols; name one with --symbol: {', '.join(symbols)}")
        return symbols[0]
    if symbol not in symbols:
        raise RunError(f"run {folder.name} has no symbol {symbol!r}; it has {', '.join(symbols)}")
    return symbol


def _why_not(found: BookAt, at: int | None) -> str:
    when = "at the end of the tape" if at is None else f"at {iso_time(at)}"
    if found.broken_at is not None:
        why = f"a gap at {iso_time(found.broken_at)} broke it, and no snapshot has arrived since"
    elif found.updates:
        why = "no snapshot had joined its updates yet"
    else:
        why = "the record has no order book before that time"
    return f"{found.book.symbol} has no usable book {when}: {why}"


def _json(found: BookAt, depth: int) -> dict[str, Any]:
    return {
        "symbol": found.book.symbol,
        "ts": found.ts,
        "last_update_id": found.book.last_update_id,
        "usable": found.book.usable,
        "bids": _levels(found.book.bids(depth)),
        "asks": _levels(found.book.asks(depth)),
    }


def _levels(levels: list[tuple[Decimal, Decimal]]) -> list[tuple[str, str]]:
    """Formats a number with the digits that the venue sent."""
    return [(format(price, "f"), format(quantity, "f")) for price, quantity in levels]


def _print(found: BookAt, depth: int) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(f"{found.book.symbol} at {iso_time(found.ts)}, update {found.book.last_update_id}", style="bold"))
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title, style in (("bid quantity", ""), ("bid", "green"), ("ask", "red"), ("ask quantity", "")):
        table.add_column(title, justify="right", style=style, no_wrap=True)
    bids, asks = _levels(found.book.bids(depth)), _levels(found.book.asks(depth))
    for row in range(max(len(bids), len(asks))):
        bid = bids[row] if row < len(bids) else ("", "")
        ask = asks[row] if row < len(asks) else ("", "")
        table.add_row(bid[1], bid[0], ask[0], ask[1])
    out.print(table)
