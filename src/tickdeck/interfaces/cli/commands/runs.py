"""``tickdeck runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickdeck.errors import TickdeckError
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, json_option
from tickdeck.interfaces.cli.output import console, note, print_lines

if TYPE_CHECKING:
    from tickdeck.infrastructure.runs import RunOverview

__all__ = ["runs"]


@click.command()
@data_option
@json_option("One JSON object a run, the oldest first,")
def runs(data: Path, as_json: bool) -> int:
    """List the runs under DIR, the oldest first.

    A run is running, completed, interrupted (`tickdeck run --resume RUN` continues it) or empty (stopped before it
    began).

    \b
    Examples:
      tickdeck runs
      tickdeck runs --data /var/lib/tickdeck --json
    """
    from tickdeck.infrastructure.runs import overview, run_folders

    found = []
    for folder in run_folders(data):
        try:
            found.append(overview(folder))
        except TickdeckError as error:
            note(f"passed over: {error}")
    found.sort(key=lambda run: (run.created_at, run.run))
    if as_json:
        print_lines(msgspec.json.encode(run) for run in found)
    elif found:
        _print(found)
    else:
        note(f"there is no run under {data} yet; `tickdeck run` starts one")
    return DONE


def _print(found: list[RunOverview]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("inputs", justify="right", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("strategies, symbols")
    for run in found:
        what = f"{', '.join(run.strategies)} on {', '.join(run.symbols)}"
        table.add_row(run.run, run.status, f"{run.inputs:,}", f"{run.events:,}", what)
    console().print(table)
