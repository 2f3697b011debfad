"""``tickdeck runs``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from tickdeck.application.units import duration_ns
from tickdeck.errors import ConfigError, TickdeckError
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, json_option
from tickdeck.interfaces.cli.output import console, folded, note, print_json, print_lines, terminal_width

if TYPE_CHECKING:
    from tickdeck.infrastructure.runs import RunOverview

__all__ = ["runs"]

_WIDE = 100  # columns
_PATIENCE = 1.0  # seconds for the answer of a run that is running


@click.group(invoke_without_command=True)
@data_option
@json_option("One JSON object per run, the oldest first,")
@click.pass_context
def runs(ctx: click.Context, data: Path, as_json: bool) -> int:
    """List the runs under DIR, the oldest first; remove some with `rm`, or move old market data away with `archive`.

    A run is running, completed, interrupted (`tickdeck run --resume RUN` continues it) or empty (stopped before it
    started). "2 in doubt" are orders of a live run of which nobody knows whether the exchange has them. Each line has
    the strategies with the parameters that they started with, the closed trades, the PnL after fees and the largest
    drawdown. A running run is asked for its current ones; "no answer" is one that is busy. A killed run has no figures.

    \b
    Examples:
      tickdeck runs
      tickdeck runs --data DATA --json
      tickdeck runs rm 20261126-101500-a1b2c3
      tickdeck runs archive maker --older-than 7d --to ARCHIVE
    """
    if ctx.invoked_subcommand is not None:
        if as_json or ctx.get_parameter_source("data") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"give the options behind the command: tickdeck runs {ctx.invoked_subcommand} ...")
        return DONE
    from tickdeck.infrastructure.runs import overview, run_folders, without_manifest

    found = []
    for folder in run_folders(data):
        try:
            found.append(_asked(folder, overview(folder)))
        except TickdeckError as error:
            note(f"skipped: {error}")
    for why in without_manifest(data):
        note(f"skipped: {why}")
    found.sort(key=lambda run: (run.created_at, run.run))
    if as_json:
        print_lines(msgspec.json.encode(run) for run in found)
    elif found:
        _print(found)
    else:
        note(f"there are no runs under {data} yet; `tickdeck run` starts one")
    return DONE


@runs.command("rm")
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@data_option
@json_option("The ids of the removed runs as one JSON object")
def remove(names: tuple[str, ...], data: Path, as_json: bool) -> int:
    """Remove runs with everything in their folders. A run that is running is never removed.

    If one of the runs does not exist or is running, none is removed.

    \b
    Examples:
      tickdeck runs rm 20261126-101500-a1b2c3
      tickdeck runs rm last --data DATA
    """
    from tickdeck.infrastructure.runs import find_run, remove_runs

    folders = list(dict.fromkeys(find_run(data, name, renamed=False).resolve() for name in names))
    remove_runs(folders)
    if as_json:
        print_json({"removed": [folder.name for folder in folders]})
        return DONE
    for folder in folders:
        note(f"removed {folder.name}")
    return DONE


def _duration(text: str) -> int:
    try:
        return duration_ns(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


@runs.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--older-than", type=_duration, metavar="T", help="Only what was received longer ago: 12h, 7d. Default: everything."
)
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="DIR", help="Move it to DIR/RUN, where every command finds it."
)
@click.option("--drop", is_flag=True, help="Delete it. The run can still be resumed, but no longer proven by `verify`.")
@data_option
@json_option("The segments that went as one JSON object")
def archive(name: str, older_than: int | None, to: Path | None, drop: bool, data: Path, as_json: bool) -> int:
    """Move or delete old segments of the recorded market data of RUN. The run may be running. Orders and everything
    else on the tape are never touched.

    The newest segment of a run that is not complete stays. If DIR cannot be reached later, `events` lists what is left,
    and `verify` and `--resume` say what they lack.

    \b
    Examples:
      tickdeck runs archive maker --older-than 7d --to ARCHIVE
      tickdeck runs archive maker --older-than 30d --drop
    """
    from tickdeck.bootstrap import archive_market
    from tickdeck.infrastructure.frame_segments import described
    from tickdeck.infrastructure.runs import find_run

    if drop == (to is not None):
        raise click.UsageError("give either --to DIR or --drop")
    folder = find_run(data, name, renamed=False)
    went = archive_market(folder, older_than=older_than, now=time.time_ns(), to=to)
    if as_json:
        print_json({"run": folder.name, "segments": went})
    elif went:
        note(f"{described(went)}; {sum(segment.bytes for segment in went):,} bytes")
    else:
        note("nothing to archive: no segment is old enough")
    return DONE


def _asked(folder: Path, run: RunOverview) -> RunOverview:
    """The run with its current figures, if it is running and answers."""
    if run.status != "running":
        return run
    from tickdeck.infrastructure.control import query
    from tickdeck.infrastructure.runs import RunFigures

    try:
        health = query(folder, "health", {}, timeout=_PATIENCE)
    except TickdeckError:
        health = None
    if health is None:
        return run
    figures = msgspec.convert(health["figures"], RunFigures)
    parameters = {**run.parameters, **health["parameters"]}
    return msgspec.structs.replace(run, figures=figures, halted=health["halted"], parameters=parameters)


def _print(found: list[RunOverview]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    narrow = out.width < _WIDE
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("trades", justify="right", no_wrap=True)
    table.add_column("pnl", justify="right", no_wrap=True)
    table.add_column("drawdown", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("strategies, symbols")
    below: list[str] = []
    for run in found:
        figures = run.figures
        told = ("-", "-", "-")
        if figures is not None:
            told = (f"{figures.trades:,}", f"{figures.pnl:+,.2f} {figures.currency}", f"{figures.max_drawdown:.2%}")
        what = ", ".join(f"{name}{_parameters(run.parameters[name])}" for name in run.strategies)
        what += f" on {', '.join(run.symbols)}"
        status = f"{run.status}, {len(run.in_doubt)} in doubt" if run.in_doubt else run.status
        if run.status == "running":
            status += ", no answer" if figures is None else ", halted" if run.halted else ""
        folder = Path(run.tape).parent.name
        name = run.run if folder == run.run else f"{folder} ({run.run})"  # somebody renamed or copied the folder
        table.add_row(name, status, f"{run.events:,}", *told, *(() if narrow else (what,)))
        below.append(what)
    if not narrow:
        out.print(table)
        return
    # There is no room for a last column: the strategies of each run go below its line.
    for number, line in enumerate(out.render_lines(table, pad=False)):
        out.print(Text("".join(segment.text for segment in line).rstrip()), soft_wrap=True)
        if number:
            for folded_line in folded(("", below[number - 1]), terminal_width()):
                out.print(Text(folded_line), soft_wrap=True)


def _parameters(values: dict[str, Any]) -> str:
    return f"({', '.join(f'{name}={value}' for name, value in values.items())})" if values else ""
