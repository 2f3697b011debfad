"""``tickdeck run`` and what ``tickdeck backtest`` shares with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE, FAULT, details_wanted
from tickdeck.interfaces.cli.options import data_option, json_option
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.bootstrap import Run

__all__ = ["execute", "run", "run_options", "speed_value"]

F = TypeVar("F", bound=Callable[..., Any])


def speed_value(text: str) -> float:
    """The type of ``--speed``: how many times real time, above 0, or ``max``, which is infinity."""
    if text == "max":
        return float("inf")
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{text!r} is no speed; give how many times real time (1, 10, 0.5), or max")
    return speed


def _seconds(text: str) -> Decimal:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal(0)
    if not seconds.is_finite() or seconds <= 0:
        raise click.BadParameter(f"{text!r} is no length of time; give seconds above 0")
    return seconds


_OPTIONS = (
    click.option(
        "--config", type=click.Path(path_type=Path), metavar="F", help="Settings in TOML; options go before it."
    ),
    click.option(
        "--tape",
        multiple=True,
        metavar="F",
        help="Recorded market data: a capture, a CSV file, or a run's folder. May be repeated.",
    ),
    click.option("--exchange", metavar="NAME", help="Where orders go: paper."),
    click.option(
        "--strategy",
        multiple=True,
        metavar="SPEC",
        help="ema-cross, rsi-reversion, package.module:Class or path/to/file.py:Class. May be repeated.",
    ),
    click.option(
        "--param",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter of the strategy; with several strategies ID.NAME=VALUE.",
    ),
    click.option(
        "--symbol", multiple=True, metavar="S", help="Only this symbol; of the simulated market, which to have."
    ),
    click.option(
        "--seed", type=int, metavar="N", help="Where chance begins: the simulated market, latencies, strategies."
    ),
    click.option(
        "--for", "duration", type=_seconds, metavar="SECONDS", help="End after so many seconds of the run's own clock."
    ),
    click.option("--candles", metavar="T", help="The candles' interval: 250ms, 1s, 5m, 1h."),
    click.option("--resume", metavar="RUN", help="Continue a run that was stopped or killed."),
    data_option,
    json_option("The figures as one JSON object"),
)


def run_options(command: F) -> F:
    """The options that ``run`` and ``backtest`` have in common, besides the speed."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@run_options
@click.option(
    "--speed", type=speed_value, metavar="X|max", default="1", show_default=True, help="Times real time, or max."
)
def run(speed: float, **options: Any) -> int:
    """Trade: market data in, decisions, orders, fills and a portfolio out, all on a tape.

    Without options: the paper venue, a simulated market and the sample strategy, in real time, until Ctrl-C. A run that
    was stopped or killed is continued with --resume.

    \b
    Examples:
      tickdeck run --for 20
      tickdeck run --tape btcusdt.raw.gz --speed max --strategy ema-cross
      tickdeck run --strategy mine.py:Breakout --param window=50 --speed 10
      tickdeck run --resume last --speed max
    """
    return execute(speed, **options)


def execute(
    speed: float,
    *,
    data: Path,
    resume: str | None,
    as_json: bool,
    report: bool = False,
    **options: Any,
) -> int:
    """Start or resume a run, drive it, print what it came to. Returns the exit code."""
    from tickdeck.interfaces.cli.job import drive  # this and the like are heavy, and `--help` needs none of them

    job = _resumed(data, resume, options) if resume is not None else _started(data, options, needs_tape=report)
    if sys.stderr.isatty():
        note(_told(job, speed))
    outcome = drive(job, None if speed == float("inf") else speed, details=details_wanted())
    summary = outcome.summary
    performance = job.observer.performance() if report else None
    if as_json:
        print_json(summary.to_dict() | (msgspec.to_builtins(performance) if performance is not None else {}))
    else:
        from tickdeck.interfaces.cli.summary_table import print_summary

        print_summary(summary, performance, job.venue.assumptions(), data=data, resumed=resume is not None)
    if not summary.ticks:
        note(f"there was no market data of {', '.join(summary.symbols)} in the input files; look at --symbol")
    if outcome.stopped_by is not None:
        return 128 + outcome.stopped_by
    return FAULT if summary.failed else DONE


def _started(data: Path, options: dict[str, Any], *, needs_tape: bool) -> Run:
    from tickdeck.bootstrap import start_run
    from tickdeck.interfaces.cli.run_config import build_config

    config = build_config(**options)
    if needs_tape and not config.tapes:
        raise click.UsageError("there is nothing to test on; name recorded market data with --tape")
    return start_run(config, data)


def _resumed(data: Path, run_name: str, options: dict[str, Any]) -> Run:
    from tickdeck.bootstrap import resume_run
    from tickdeck.infrastructure.runs import TAPE, find_run
    from tickdeck.infrastructure.tape.lock import writer_of

    given = ["for" if name == "duration" else name for name, value in options.items() if value not in (None, ())]
    if given:
        raise click.UsageError(f"--resume takes the run as it was; leave out --{', --'.join(given)}")
    folder = find_run(data, run_name)
    writer = writer_of(folder / TAPE)
    if writer is not None:
        raise RunError(f"run {folder.name} is running, in process {writer}; stop that one first")
    return resume_run(folder)


def _told(job: Run, speed: float) -> str:
    manifest = job.manifest
    names = ", ".join(record.strategy_id for record in manifest.strategies)
    market = "recorded market data" if manifest.inputs else "a simulated market"
    pace = "at full speed" if speed == float("inf") else "in real time" if speed == 1 else f"at {speed:g} x real time"
    return f"run {manifest.run_id}: {names} on {', '.join(manifest.symbols)}, {market}, {pace}; Ctrl-C stops it"
