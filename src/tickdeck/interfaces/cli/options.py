"""Options and arguments that several commands share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import click

from tickdeck.application.units import seconds_of
from tickdeck.errors import ConfigError
from tickdeck.interfaces.cli.output import note
from tickdeck.interfaces.cli.times import parse_time

__all__ = [
    "LOG_OPTIONS",
    "check_span",
    "data_option",
    "import_option",
    "json_option",
    "may_match_market",
    "metrics_option",
    "recorded_place",
    "recorded_run",
    "run_argument",
    "seconds_value",
    "time_value",
]

F = TypeVar("F", bound=Callable[..., Any])


def time_value(text: str) -> int:
    """The type of an option that takes a time, ISO 8601 or an integer of ns. The value is ns UTC."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def seconds_value(text: str) -> Decimal:
    """The type of an option that takes a duration. The value is in seconds."""
    try:
        return seconds_of(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


def check_span(first_ts: int | None, last_ts: int | None) -> None:
    """Refuse a ``--from`` after ``--to``: nothing can lie between them."""
    if first_ts is not None and last_ts is not None and first_ts > last_ts:
        raise click.UsageError("--from is after --to; swap the two")


run_argument = click.argument("run", metavar="RUN")
"""``RUN``: a run's id, a path to its folder, or ``last``."""

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("tickdeck-data"),
    show_default=True,
    envvar="TICKDECK_DATA",
    show_envvar=True,
    metavar="DIR",
    help="The folder of the runs.",
)


metrics_option = click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Serve /metrics, /health and /ready over HTTP; without a host, to this machine only.",
)


LOG_OPTIONS = (
    click.option(
        "--log-level",
        type=click.Choice(("debug", "info", "warning", "error")),
        default="warning",
        show_default=True,
        help="The lowest log level shown on stderr; log.jsonl in the run's folder starts at info.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(("text", "json")),
        help="How log lines look; default: text on a terminal, JSON elsewhere.",
    ),
    click.option(
        "--log-to",
        type=click.Choice(("stderr", "stdout")),
        default="stderr",
        show_default=True,
        help="Where log lines go. With stdout, nothing else goes there.",
    ),
)
"""What is logged, how, and where."""


def _import_all(_: click.Context, __: click.Parameter, places: tuple[str, ...]) -> None:
    if places:
        from tickdeck.infrastructure.strategies import load_module

        with contextlib.redirect_stdout(sys.stderr):
            for place in places:
                load_module(place)


import_option = click.option(
    "--import",
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=_import_all,
    metavar="MODULE",
    help="Import your event classes first: my_events, or path/to/my_events.py. Repeatable.",
)


def json_option(what: str) -> Callable[[F], F]:
    """The option ``--json``. ``what`` says, in its help text, what is printed as JSON."""
    return click.option("--json", "as_json", is_flag=True, help=f"{what} on stdout, and nothing else.")


def may_match_market(patterns: Iterable[str]) -> bool:
    """Whether types of events ask for something that comes with the market data, which may be gone."""
    from tickdeck.domain.events import event_types

    market = [name for name in event_types() if name.startswith(("market.", "feed.", "venue."))]
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in market)


def recorded_place(data: Path, place: str, *, market: bool = True) -> Path:
    """The folder of a run, or the path of a tape, such as the tape of a bus (a .db file, a folder of JSON Lines). A
    run's tape stands for the run. ``market`` as for ``recorded_run``. Raises ``RunError`` if nothing is recorded
    there."""
    from tickdeck.errors import RunError
    from tickdeck.infrastructure.runs.folder import MANIFEST
    from tickdeck.infrastructure.tape.opening import is_tape, open_reader

    path = Path(place)
    if not is_tape(path):
        return recorded_run(data, place, market=market)
    if (path.absolute().parent / MANIFEST).is_file():
        return recorded_run(data, str(path.absolute().parent), market=market)
    with open_reader(path) as tape:
        if not tape.last_seq:
            raise RunError(f"{path}: the tape is still empty")
    return path


def recorded_run(data: Path, run: str, *, market: bool = True) -> Path:
    """The folder of ``RUN``. If the command needs ``market`` data, says what of it is missing. Raises ``RunError``
    if its tape is empty or gone."""
    from tickdeck.errors import RunError
    from tickdeck.infrastructure.frame_segments import missing_market
    from tickdeck.infrastructure.runs import find_run, overview, read_end
    from tickdeck.infrastructure.tape.opening import is_tape, tape_path

    folder = find_run(data, run)
    if not overview(folder).events:
        end = read_end(folder)
        if end is not None:
            raise RunError(
                f"the tape of run {folder.name} is gone or empty, although the run went on to seq {end.last_seq}; "
                "restore it from a copy"
            )
        if not is_tape(tape_path(folder)):
            raise RunError(f"the tape of run {folder.name} is missing; restore {folder} from a copy")
        raise RunError(
            f"the tape of run {folder.name} is still empty; `tickdeck run --resume {folder.name}` starts the run"
        )
    if market and (missing := missing_market(folder)):
        note(f"{missing}; what needs it is left out")
    return folder
