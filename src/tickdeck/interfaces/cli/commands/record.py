"""``tickdeck record``."""

from __future__ import annotations

import contextlib
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickdeck.interfaces.cli.exits import DONE, details_wanted, require_stderr
from tickdeck.interfaces.cli.options import data_option, json_option, metrics_option, seconds_value
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.application.results import Summary
    from tickdeck.bootstrap import Session

__all__ = ["record"]


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--exchange", default="binance", show_default=True, metavar="NAME", help="The exchange.")
@click.option("--url", metavar="URL", help="The address of a venue that speaks the exchange's protocol.")
@click.option("--testnet", is_flag=True, default=None, help="The exchange's test net.")
@click.option(
    "--for", "duration", type=seconds_value, metavar="SECONDS", help="End after this time; default: with Ctrl-C."
)
@click.option("--tape-format", metavar="F", help="The tape's format: sqlite (the default) or jsonl.")
@metrics_option
@data_option
@json_option("The figures as one JSON object")
def record(
    symbols: tuple[str, ...],
    exchange: str,
    url: str | None,
    testnet: bool | None,
    duration: Decimal | None,
    tape_format: str | None,
    metrics: str | None,
    data: Path,
    as_json: bool,
) -> int:
    """Record the live market data of SYMBOLS: a run without a strategy. No key is needed.

    The run's folder contains the exchange's messages as they arrived, in compressed segments of 64 MiB, and a tape
    with what followed from them: candles, gaps, lost connections, changes of instruments. However the process ends,
    everything recorded before that can be read; `tickdeck run --resume` continues the recording.

    \b
    Examples:
      tickdeck record BTCUSDT ETHUSDT --for 1h
      tickdeck record BTCUSDT --url http://localhost:8080
      tickdeck backtest --tape tickdeck-data/RUN --strategy ema-cross
    """
    from tickdeck.bootstrap import start_live_run
    from tickdeck.interfaces.cli.job import drive, monitor
    from tickdeck.interfaces.cli.run_config import build_config

    require_stderr()
    with contextlib.redirect_stdout(sys.stderr):
        config = build_config(
            symbol=tuple(symbol.upper() for symbol in symbols),
            exchange=exchange,
            exchange_url=url,
            testnet=testnet,
            duration=duration,
            tape_format=tape_format,
        )
        run = start_live_run(msgspec.structs.replace(config, strategies=()), data)
        note(f"recording {', '.join(run.manifest.symbols)} of {exchange} in {run.folder}; Ctrl-C ends it")
        outcome = drive(run, None, details=details_wanted(), monitoring=monitor(run, metrics))
    _print(run, outcome.summary, as_json)
    return DONE if outcome.stopped_by is None else 128 + outcome.stopped_by


def _print(run: Session, summary: Summary, as_json: bool) -> None:
    counts = run.kernel.statistics().published
    found = {
        "run": summary.run,
        "folder": str(run.folder),
        "symbols": list(summary.symbols),
        "market_events": summary.ticks,
        "gaps": counts.get("market.gap_detected", 0),
        "connections_lost": counts.get("feed.disconnected", 0) - run.driver.completed,  # the end counts as one
    }
    if as_json:
        print_json(found)
        return
    click.echo(f"{summary.ticks:,} market events of {', '.join(summary.symbols)} in {run.folder}")
    click.echo(f"gaps: {found['gaps']}, lost connections: {found['connections_lost']}")
    click.echo(f"next: tickdeck replay {summary.run}, or tickdeck backtest --tape {run.folder}")
