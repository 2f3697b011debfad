"""``tickdeck export``."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickdeck.application.units import clock_time, day, span
from tickdeck.application.wording import counted
from tickdeck.interfaces.cli.commands.import_ import RowCount
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import (
    check_span,
    data_option,
    import_option,
    json_option,
    may_match_market,
    recorded_place,
    recorded_run,
    run_argument,
    time_value,
)
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.exporting import Exported

__all__ = ["export"]


@click.command()
@run_argument
@click.option(
    "--format",
    "format_",
    type=click.Choice(("csv", "parquet", "jsonl", "sqlite")),
    required=True,
    help="The format of the file; sqlite for trades, parquet for events.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="F", help="The file to create.")
@click.option(
    "--type", "types", multiple=True, metavar="GLOB", help="Only these types: order.filled, order.*. Repeatable."
)
@click.option("--trades", is_flag=True, help="Write the trades instead, one row for each round trip.")
@click.option("--symbol", metavar="S", help="Only events of this symbol.")
@click.option(
    "--from", "first_ts", type=time_value, metavar="T", help="Start at this time: ISO 8601 or ns, on the run's clock."
)
@click.option("--to", "last_ts", type=time_value, metavar="T", help="Up to this time, inclusive.")
@import_option
@click.option("--spreadsheet", is_flag=True, help="For csv: times as ISO 8601 and a byte order mark, for spreadsheets.")
@data_option
@json_option("The result as one JSON object")
def export(
    run: str,
    format_: str,
    out: Path,
    types: tuple[str, ...],
    trades: bool,
    symbol: str | None,
    first_ts: int | None,
    last_ts: int | None,
    spreadsheet: bool,
    data: Path,
    as_json: bool,
) -> int:
    """Write the events of RUN to a file, including those of its input files.

    jsonl has one complete event per line. csv and parquet are one table, with a column for each field of the chosen
    types. csv and jsonl are compressed if F ends in .gz. Existing files are never overwritten.

    With --trades, the file has the rows of `tickdeck trades RUN --json`; sqlite is a database with the table trades.

    \b
    Examples:
      tickdeck export last --format csv --type 'order.*filled' --out fills.csv
      tickdeck export last --format parquet --type market.trade --symbol BTCUSDT --out trades.parquet
      tickdeck export last --format jsonl --from 2024-08-08T23:55:00Z --out events.jsonl.gz
      tickdeck export last --trades --format sqlite --out trades.db
    """
    if trades:
        if types or symbol or first_ts is not None or last_ts is not None or spreadsheet:
            raise click.UsageError("--trades writes all trades; omit --type, --symbol, --from, --to and --spreadsheet")
        return _export_trades(run, format_, out, data, as_json)
    if format_ == "sqlite":
        raise click.UsageError("--format sqlite is for --trades; `tickdeck tape convert` makes a tape of all events")
    if spreadsheet and format_ != "csv":
        raise click.UsageError("--spreadsheet needs --format csv")
    from tickdeck.application.ports import TapeQuery
    from tickdeck.bootstrap import open_record
    from tickdeck.infrastructure.exporting import export_events

    folder = recorded_place(data, run, market=may_match_market(types))
    check_span(first_ts, last_ts)
    query = TapeQuery(types=types, symbol=symbol, first_ts=first_ts, last_ts=last_ts)
    count = RowCount(sys.stderr)
    try:
        done = export_events(
            lambda: open_record(folder, query), format_, out, for_spreadsheets=spreadsheet, progress=count
        )
    finally:
        count.close()
    if as_json:
        print_json(done)
    else:
        _print(done)
    if not done.rows:
        _explain_empty_export(types)
    return DONE


def _export_trades(run: str, format_: str, out: Path, data: Path, as_json: bool) -> int:
    from tickdeck.bootstrap import trade_journal
    from tickdeck.infrastructure.exporting import TRADE_FORMATS, export_trades, trade_row

    if format_ not in TRADE_FORMATS:
        raise click.UsageError(f"--trades can be written as {', '.join(TRADE_FORMATS)}")
    journal = trade_journal(recorded_run(data, run, market=False))
    rows = export_trades(map(trade_row, (*journal.closed, *journal.open())), format_, out)
    if as_json:
        print_json({"rows": rows, "out": str(out), "format": format_})
    else:
        click.echo(f"{counted(rows, 'trade')}\nfile  {out}")
    return DONE


def _print(done: Exported) -> None:
    when = ""
    if done.first_ts is not None and done.last_ts is not None:
        start = f"{day(done.first_ts)} {clock_time(done.first_ts)} UTC"
        when = f" within {span(done.last_ts - done.first_ts)}, the first at {start}"
    click.echo(f"{counted(done.rows, 'event')}{when}")
    for name, count in done.types.items():
        click.echo(f"  {count:>9,} {name}")
    click.echo(f"file  {done.out}")


def _explain_empty_export(types: tuple[str, ...]) -> None:
    """Explain an empty export: perhaps a type is misspelt."""
    from tickdeck.domain.events import event_types

    note("no event matches, so the file has no events")
    for pattern in types:
        if "," in pattern:
            note(f"there is no event type {pattern!r}; repeat --type for each type")
        elif not any(fnmatchcase(name, pattern) for name in event_types()):
            near = get_close_matches(pattern, event_types(), 1)
            note(f"there is no event type {pattern!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
