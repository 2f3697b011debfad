"""``tickdeck report``, and the report that ``run`` and ``backtest`` write."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, json_option, recorded_run, run_argument
from tickdeck.interfaces.cli.output import note, print_json

__all__ = ["make_report", "report", "report_if_possible"]


@click.command()
@run_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write the files; default: the run's folder.",
)
@data_option
@json_option("The paths of the files and the key figures as one JSON object")
def report(run: str, out: Path | None, data: Path, as_json: bool) -> int:
    """Write report.html and report.png: equity, drawdown, fills on the price chart, trades, and the assumptions behind
    the figures.

    The page is one self-contained file, so you can mail it. It is made from the record of RUN alone and never varies.
    An older report in that folder is replaced. Needs the extra `report`.

    \b
    Examples:
      tickdeck report last
      tickdeck report last --out ~/reports/monday --json
    """
    folder = recorded_run(data, run)
    figures = make_report(folder, out or folder)
    if as_json:
        print_json(figures)
    else:
        click.echo(f"page     {figures['html']}\npicture  {figures['png']}")
    return DONE


def make_report(folder: Path, out: Path) -> dict[str, object]:
    """Write the report of the run in ``folder``. Returns the keys that ``report --json`` prints."""
    from tickdeck.bootstrap import open_record
    from tickdeck.domain.values import plain
    from tickdeck.infrastructure.reporting import write_report
    from tickdeck.infrastructure.runs import read_manifest

    manifest = read_manifest(folder)
    written = write_report(manifest, open_record(folder), out)
    session, performance = written.session, written.session.performance
    return {
        "run": manifest.run_id,
        "html": written.html,
        "png": written.png,
        "pnl": plain(session.pnl),
        "fees": plain(session.fees),
        "equity": plain(session.equity),
        "fills": len(session.fills),
        "trades": performance.trades,
        "win_rate": performance.win_rate,
        "max_drawdown": performance.max_drawdown,
        "sharpe": performance.sharpe,
    }


def report_if_possible(folder: Path) -> str | None:
    """Write the report next to the tape. Returns its path, or ``None`` after saying how to install what is missing."""
    from tickdeck.infrastructure.reporting import INSTALL, missing_extra

    missing = missing_extra()
    if missing:
        note(f"no report, because {' and '.join(missing)} are not installed; `{INSTALL}` installs them")
        return None
    return str(make_report(folder, folder)["html"])
