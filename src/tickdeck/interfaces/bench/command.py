"""``tickdeck bench``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

import tickdeck
from tickdeck.errors import ConfigError
from tickdeck.interfaces.bench.rows import select_rows
from tickdeck.interfaces.bench.runner import NOT_INSTALLED, Result, run_row
from tickdeck.interfaces.cli.output import console

__all__ = ["bench_command"]


@click.command("bench")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row on stdout, and nothing else.")
@click.option("--quick", is_flag=True, help="Small sizes, to check that it works. The figures mean nothing.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tickdeck-data"),
    show_default=True,
    metavar="DIR",
    help="The folder for temporary tapes; choose the disk that you want to measure.",
)
def bench_command(name: str | None, as_json: bool, quick: bool, data: Path) -> None:
    """Measure Tickdeck's speed, and compare it with a ceiling and with other libraries.

    The ceiling is the fastest way to do the bare minimum on this machine. Other libraries are measured if they are
    installed. NAME is a row (`bus-1`) or the beginning of several (`bus`, `tape`, `latency`). All rows take about ten
    minutes. Compare the ratios: other load on the machine affects all sides alike.

    \b
    Examples:
      tickdeck bench --quick
      tickdeck bench bus --json
    """
    rows = select_rows(name)
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{data}: {error.strerror}; choose another folder with --data") from None
    results = []
    for row in rows:
        click.echo(f"{row.name}: {row.what} ...", err=True)
        result = run_row(row, data, quick=quick, peers=_peers_file())
        results.append(result)
        if as_json:
            click.echo(msgspec.json.encode(result))
    if not as_json:
        _print_table(results)


def _peers_file() -> Path | None:
    """The code that measures other libraries is in the repository, not in the package."""
    path = Path(tickdeck.__file__).resolve().parents[2] / "benchmarks" / "peers.py"
    return path if path.is_file() else None


def _print_table(results: Iterable[Result]) -> None:
    """For each row its figures and, below them, what was measured, the other libraries and the notes."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    for result in results:
        table = Table.grid(padding=(0, 2))
        out.print(Text.assemble((result.name, "bold"), f"  {result.what}"), soft_wrap=True)
        table.add_row("  measured", f"{_number(result.value)} {result.unit}")
        if result.ceiling is not None:
            table.add_row("  ceiling", f"{_number(result.ceiling)} {result.unit}, ratio {result.ratio:.2f}")
        for name, value in result.peers.items():
            table.add_row(f"  {name}", f"{_number(value)} {result.unit}, {_times(result.peer_ratios[name])}")
        for goal in result.goals:
            answer = {True: "met", False: "NOT met", None: "unknown, because that library was not measured"}[goal.met]
            table.add_row("  goal", f"{goal.goal}: {answer}")
        out.print(table)
        absent = [note.removesuffix(NOT_INSTALLED) for note in result.notes if note.endswith(NOT_INSTALLED)]
        if absent:
            out.print(
                Text(f"  not installed: {', '.join(absent)} (`make bench PEERS=1` installs them)"), soft_wrap=True
            )
        for note in result.notes:
            if not note.endswith(NOT_INSTALLED):
                out.print(Text(f"  note: {note}"), soft_wrap=True)


def _times(ratio: float) -> str:
    return f"Tickdeck is {ratio:,.1f} times as good"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
