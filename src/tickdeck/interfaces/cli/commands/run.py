"""``tickdeck run``, and the code it shares with ``tickdeck backtest``."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from tickdeck.application.units import iso_time, span
from tickdeck.application.wording import counted
from tickdeck.errors import ConfigError, RunError, TapeError, TickdeckError
from tickdeck.interfaces.cli.exits import DONE, FAULT, details_wanted, require_stderr
from tickdeck.interfaces.cli.options import LOG_OPTIONS, data_option, json_option, metrics_option, seconds_value
from tickdeck.interfaces.cli.output import mute, note, note_if_possible, print_json

if TYPE_CHECKING:
    from tickdeck.application.results import Performance, Summary
    from tickdeck.bootstrap import Session

__all__ = ["execute", "name_option", "run", "run_options", "speed_value"]

F = TypeVar("F", bound=Callable[..., Any])


def speed_value(text: str) -> float:
    """The type of ``--speed``: a multiple of real time above 0, or ``max``, which is infinity."""
    if text == "max":
        return float("inf")
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{text!r} is not a valid speed; give a multiple of real time (1, 10, 0.5), or max")
    return speed


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        shown = text if len(text) <= 80 else f"{text[:80]}..."
        rule = "use up to 64 letters (a to z), digits, '-' and '_', beginning with a letter or digit"
        raise click.BadParameter(f"{shown!r} is not a name; {rule}")
    if text == "last":
        raise click.BadParameter("'last' is no name for a run: it stands for the newest one")
    if text.upper() == "HALT":
        raise click.BadParameter(f"{text!r} is no name for a run: a file HALT beside the runs halts all of them")
    return text


_OPTIONS = (
    click.option(
        "--config", type=click.Path(path_type=Path), metavar="F", help="A TOML file of settings; options override it."
    ),
    click.option(
        "--tape",
        multiple=True,
        metavar="F",
        help="Recorded market data: a capture, a CSV file, or a run's folder. Repeatable.",
    ),
    click.option(
        "--exchange",
        metavar="NAME",
        help="Trade on the live market data of this venue: binance. Orders are on paper, unless --live is given.",
    ),
    click.option("--url", "exchange_url", metavar="URL", help="The venue's address, such as http://localhost:8080."),
    click.option("--testnet", is_flag=True, default=None, help="Use the venue's test net."),
    click.option(
        "--live",
        "live_orders",
        is_flag=True,
        default=None,
        help="Send the orders to the venue. The configuration must state [risk] limits, and you must name a strategy.",
    ),
    click.option(
        "--strategy",
        multiple=True,
        metavar="SPEC",
        help="ema-cross, rsi-reversion, market-maker, package.module:Class or path/to/file.py:Class. Repeatable.",
    ),
    click.option(
        "--param",
        multiple=True,
        metavar="NAME=VALUE",
        help="A strategy parameter; with several strategies ID.NAME=VALUE: ema-cross.fast=5, Mine-2.size=1.",
    ),
    click.option(
        "--symbol",
        multiple=True,
        metavar="S",
        help="Only this symbol. Selects what the simulated market trades, or names the symbol of a file that does not.",
    ),
    click.option(
        "--instruments",
        type=click.Path(path_type=Path),
        metavar="F",
        help="The venue's description of its instruments: the body of Binance's exchangeInfo.",
    ),
    click.option("--venue", metavar="NAME", help="The venue to read if a file has several; default: the first."),
    click.option(
        "--limits-currency",
        metavar="C",
        help="The currency of the amounts under [risk]; default: USDT, or the only quote currency of the symbols.",
    ),
    click.option("--seed", type=int, metavar="N", help="The seed of the simulated market, latencies and strategies."),
    click.option(
        "--for",
        "duration",
        type=seconds_value,
        metavar="SECONDS",
        help="End after this time on the run's own clock: seconds, or 10m, 1h.",
    ),
    click.option(
        "--interval",
        metavar="T",
        help="The duration of a candle in the files, if the rows do not show it: 1m, 1d, 1mo.",
    ),
    click.option("--earliest", metavar="T", help="The earliest time to accept in a file; default: 2009-01-01."),
    click.option("--latest", metavar="T", help="The latest time to accept in a file; default: a day from now."),
    click.option(
        "--candles",
        metavar="T",
        help="The interval of candles, made from trades or from finer candles: 250ms, 5m, 1h, 1d, 1mo; "
        "default: that of the file, and 250ms from trades.",
    ),
    click.option("--tape-format", metavar="F", help="The tape's format: sqlite (the default) or jsonl."),
    click.option("--resume", metavar="RUN", help="Continue a run that was stopped or killed."),
    click.option("--plain", is_flag=True, help="Show one line of progress instead of the live view."),
    *LOG_OPTIONS,
    click.option("--report/--no-report", "page", default=None, help="Whether to write report.html and report.png."),
    data_option,
    json_option("The figures as one JSON object"),
)


_OPTION_NAMES = {"duration": "for", "exchange_url": "url", "live_orders": "live"}


name_option = click.option("--name", type=_name, metavar="N", help="The run's id, instead of one made from the time.")


def run_options(command: F) -> F:
    """The options that ``run`` and ``backtest`` share, except the speed."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@run_options
@metrics_option
@name_option
@click.option(
    "--resume-or-start",
    is_flag=True,
    help="With --name: continue the run of this name with its own settings, or start it if there is none.",
)
@click.option(
    "--speed", type=speed_value, metavar="X|max", default="1", show_default=True, help="Times real time, or max."
)
def run(speed: float, *, name: str | None, resume_or_start: bool, **options: Any) -> int:
    """Trade: market data in; decisions, orders, fills and a portfolio out; everything recorded.

    Without options: the paper venue, a simulated market and the strategy ema-cross, in real time, until Ctrl-C.
    --resume continues a run that was stopped or killed.

    \b
    Examples:
      tickdeck run --for 20
      tickdeck run --tape btcusdt.raw.gz --speed max --strategy ema-cross
      tickdeck run --strategy mine.py:Breakout --param window=50 --speed 10
      tickdeck run --resume last --speed max
      tickdeck run --name maker --resume-or-start --config maker.toml
    """
    if resume_or_start:
        if name is None or options["resume"] is not None:
            raise click.UsageError("--resume-or-start needs --name, and no --resume")
        from tickdeck.interfaces.cli.kept_settings import not_taken

        status = _status_of(options["data"], name)
        if status == "completed":
            note(f"run {name} is complete; start another one under another name")
            return DONE
        if status:
            kept = ("data", "resume", "as_json", "plain", "log_level", "log_format", "log_to", "page", "metrics")
            if text := not_taken(options["data"] / name, {key: options[key] for key in options if key not in kept}):
                note(text)
            return execute(speed, **{key: options[key] for key in kept} | {"resume": name})
    return execute(speed, name=name, **options)


def _status_of(data: Path, name: str) -> str:
    """The status of the run of this name; empty if there is none. Raises ``RunError`` for one without its manifest, and
    for one whose folder has another name: it may be an old copy, or what should be continued."""
    from tickdeck.infrastructure.runs import has_manifest, overview, renamed_run

    folder = data / name
    if has_manifest(folder):
        return overview(folder).status
    renamed = renamed_run(data, name)
    if renamed is None:
        return ""
    raise RunError(
        f"the folder {renamed} has the run {name}; rename it back to {name}, continue it with --resume {renamed.name}, "
        "or give another --name"
    )


def execute(
    speed: float,
    *,
    data: Path,
    resume: str | None,
    as_json: bool,
    plain: bool = False,
    log_level: str = "warning",
    log_format: str | None = None,
    log_to: str = "stderr",
    page: bool | None = None,
    report: bool = False,
    name: str | None = None,
    metrics: str | None = None,
    **options: Any,
) -> int:
    """Start or resume a run, drive it, and print the results. Returns the exit code."""
    # These imports are slow, and `--help` does not need them.
    from tickdeck.bootstrap import limits_remarks
    from tickdeck.interfaces.cli.job import SnapshotDiverged, discard, discard_unbegun, drive, monitor

    if as_json and log_to == "stdout":
        raise click.UsageError("--json prints the figures on stdout, and --log-to the log; omit one of them")
    require_stderr()
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what a strategy prints is not a result
        if resume is not None:
            job = _resumed(data, resume, options | {"name": name})
        else:
            job = _started(data, options, needs_tape=report, name=name or "")
        if job.manifest.is_live and speed != 1:
            discard(job)
            raise ConfigError("live market data comes in real time; omit --speed")
        monitoring = monitor(job, metrics)
        try:
            note(_describe(job, speed))
            if job.resumed:
                note(job.resumed)
            if (begins := job.venue.begins_with()) is not None:
                note(begins)
            for remark in limits_remarks(job.config, job.manifest.symbols):
                note(remark)
        except OSError as error:
            discard(job)
            mute(sys.stderr)
            why = f"stderr cannot be written: {error.strerror}"
            raise TickdeckError(f"{why}; redirect the messages") from None
        try:
            outcome = drive(
                job,
                None if speed == float("inf") else speed,
                details=details_wanted(),
                live=not plain and not as_json,
                log_level=log_level,
                log_format=log_format,
                log_stream=stdout if log_to == "stdout" else None,
                monitoring=monitoring,
            )
        except SnapshotDiverged as error:
            note(str(error))
            outcome = None
        except TickdeckError:
            discard_unbegun(job)
            raise
    if outcome is None:
        given = {"page": page, "report": report, "name": name, "metrics": metrics, **options}
        return execute(
            speed,
            data=data,
            resume=resume,
            as_json=as_json,
            plain=plain,
            log_level=log_level,
            log_format=log_format,
            log_to=log_to,
            **given,
        )
    summary = outcome.summary
    notes = [text for name, of_file in job.notes.items() for text in of_file.lines(name)]
    notes += job.remarks
    notes += _data_warnings(summary)
    notes += job.core.without_value()
    if summary.left_out:
        from tickdeck.infrastructure.reporting.words import left_out_of_figures

        notes.append(left_out_of_figures(summary.left_out, summary.currency))
    if summary.nothing_passed is not None and (as_json or not sys.stderr.isatty()):
        notes.append(summary.nothing_passed)  # on a terminal the table ends with it
    if not sys.stderr.isatty():
        events = f"{counted(summary.events, 'event')} in {summary.wall_s:.1f} s"
        notes.insert(0, f"run {summary.run} {summary.status}: {summary.reason}; {events}")
    lost = [text for text in notes if not note_if_possible(text)]
    written, failed = None, None
    if page or (page is None and report and not as_json and outcome.stopped_by is None):
        from tickdeck.interfaces.cli.commands.report import report_if_possible

        try:
            written = report_if_possible(job.folder)
        except TickdeckError as error:  # the figures come first
            failed = error
    with (
        contextlib.redirect_stdout(sys.stderr if log_to == "stdout" else stdout),
        contextlib.suppress(BrokenPipeError),  # the reader of the figures has seen enough; the run itself succeeded
    ):
        _print(job, summary, job.observer.performance() if report else None, as_json, data, resume is not None, written)
        sys.stdout.flush()
    if failed is not None:
        raise failed
    if summary.failed or lost:
        return FAULT
    return DONE if outcome.stopped_by is None else 128 + outcome.stopped_by


def _data_warnings(summary: Summary) -> Iterator[str]:
    """Problems of the market data that the user must know before trusting the figures."""
    if not summary.ticks:
        yield f"no market data of {', '.join(summary.symbols)} arrived"
    for symbol, holes in summary.gaps.items():
        what = counted(holes, "gap")
        where = f"`tickdeck events {summary.run} --type market.gap_detected` lists them"
        yield f"{symbol}: {what} in the market data; {where}"
    for symbol, count in summary.crossed.items():
        times = "once" if count == 1 else f"{count:,} times"
        yield f"{symbol}: the order book was crossed {times}; each time it was unused until a later snapshot"
    for symbol, count in summary.repeated.items():
        what = "a trade was" if count == 1 else f"{count:,} trades were"
        yield f"{symbol}: {what} in the market data before; is a session there twice, in one file or in two?"
    for symbol, jumps in summary.jumps.items():
        when = f"at {iso_time(jumps.first)}" + (
            "" if jumps.count == 1 else f" and {counted(jumps.count - 1, 'time')} later"
        )
        yield f"{symbol}: the price changed at once by a factor of 500 or more, {when}; is a row of the data wrong?"
    for symbol, book in summary.books.items():
        if book.since is None:
            yield f"{symbol}: no usable order book in the whole run, because no snapshot joined its updates"
        elif book.unusable_ns:
            now = "is usable again" if book.usable else "still is not usable at the end"
            yield f"{symbol}: the order book was not usable for {span(book.unusable_ns)} of the run, and {now}"


def _print(
    job: Session,
    summary: Summary,
    performance: Performance | None,
    as_json: bool,
    data: Path,
    resumed: bool,
    report: str | None,
) -> None:
    if as_json:
        print_json(summary.to_dict() | (msgspec.to_builtins(performance) if performance is not None else {}))
        return
    from tickdeck.interfaces.cli.tables import print_summary

    print_summary(summary, performance, job.venue.assumptions(), data=data, resumed=resumed, report=report)


def _started(data: Path, options: dict[str, Any], *, needs_tape: bool, name: str) -> Session:
    from tickdeck.bootstrap import start_live_run, start_run
    from tickdeck.infrastructure.runs import unread_venues
    from tickdeck.interfaces.cli.run_config import build_config

    config = build_config(**options, backtest=needs_tape)
    if needs_tape and not config.tapes:
        raise click.UsageError("there is no data to test on; name recorded market data with --tape")
    if config.exchange != "paper":
        return start_live_run(config, data, name=name)
    run = start_run(config, data, name=name)
    for text in unread_venues(run.config, run.manifest.inputs):
        note(text)
    return run


def _resumed(data: Path, run_name: str, options: dict[str, Any]) -> Session:
    from tickdeck.bootstrap import resume_run
    from tickdeck.infrastructure.runs import find_run, overview
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path

    given = [_OPTION_NAMES.get(name, name) for name, value in options.items() if value not in (None, ())]
    if given:
        raise click.UsageError(f"--resume uses the settings of the run; omit --{', --'.join(given)}")
    folder = find_run(data, run_name)
    if overview(folder).status == "completed":
        note(f"run {folder.name} is already complete; it is executed again for its figures, and nothing is added")
    try:
        return resume_run(folder)
    except TapeError:
        writer = writer_of(tape_path(folder))
        if writer is None:
            raise
        raise RunError(f"run {folder.name} is running in process {writer}; stop it first") from None


def _describe(job: Session, speed: float) -> str:
    manifest = job.manifest
    names = ", ".join(record.strategy_id for record in manifest.strategies)
    if manifest.is_live and not names:
        market = f"live market data of {job.config.exchange}"
        return f"run {manifest.run_id}: records {', '.join(manifest.symbols)}, {market}; Ctrl-C stops it"
    if manifest.is_live:
        orders = "REAL ORDERS" if job.config.live else "orders on paper"
        market = f"live market data of {job.config.exchange}, {orders}"
        return f"run {manifest.run_id}: {names} on {', '.join(manifest.symbols)}, {market}; Ctrl-C stops it"
    market = "recorded market data" if manifest.inputs else "a simulated market"
    pace = "at full speed" if speed == float("inf") else "in real time" if speed == 1 else f"at {speed:g} x real time"
    return f"run {manifest.run_id}: {names} on {', '.join(manifest.symbols)}, {market}, {pace}; Ctrl-C stops it"
