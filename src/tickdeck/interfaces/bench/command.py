"""``tickdeck bench``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

import tickdeck
from tickdeck.errors import ConfigError
from tickdeck.interfaces.bench.rows import select_rows
from tickdeck.interfaces.bench.runner import Result, run_row

__all__ = ["bench_command"]


@click.command("bench")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row on stdout, and nothing else.")
@click.option("--quick", is_flag=True, help="Small sizes, to check that it works. Do not quote these figures.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tickdeck-data"),
    show_default=True,
    help="A folder for temporary tapes; choose the disk you want to measure.",
)
def bench_command(name: str | None, as_json: bool, quick: bool, data: Path) -> None:
    """Measure Tickdeck, next to the best possible on this machine and to other libraries if they are installed.

    NAME is a row (`bus-1`) or a common prefix (`bus`, `tape`, `latency`). All rows take about ten minutes. Compare the
    ratios: the figures of one run are equally affected by other load on the machine.

    Example: tickdeck bench bus --json
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
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "best possible", "of it", "beside", "goal", "met")
    for result in results:
        table.add_row(
            f"{result.name}\n{result.what}",
            f"{_number(result.value)} {result.unit}",
            _number(result.ceiling),
            f"{result.ratio:.2f}" if result.ratio is not None else "",
            "\n".join(
                f"{name} {_number(value)}: {result.peer_ratios[name]:.1f} x" for name, value in result.peers.items()
            ),
            result.goal,
            {True: "yes", False: "no", None: "not all known" if result.goal else ""}[result.goal_met],
        )
    console = Console()
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.name}: {note}", style="dim")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
