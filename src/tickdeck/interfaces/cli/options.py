"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tickdeck.interfaces.cli.times import parse_time

__all__ = ["data_option", "json_option", "recorded_run", "run_argument", "time_value"]

F = TypeVar("F", bound=Callable[..., Any])


def time_value(text: str) -> int:
    """The type of an option that takes a time: ISO 8601, or an integer of ns; gives ns UTC."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


run_argument = click.argument("run", metavar="RUN")
"""``RUN``: a run's id, a path to its folder, or ``last``."""

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("tickdeck-data"),
    show_default=True,
    metavar="DIR",
    help="The folder of the runs.",
)


def json_option(what: str) -> Callable[[F], F]:
    """``--json``, where ``what`` says what of the output is then JSON."""
    return click.option("--json", "as_json", is_flag=True, help=f"{what} on stdout, and nothing else there.")


def recorded_run(data: Path, run: str) -> Path:
    """The folder of ``RUN``, where there is something on its tape. Raises ``RunError`` where there is not."""
    from tickdeck.errors import RunError
    from tickdeck.infrastructure.runs import find_run, overview

    folder = find_run(data, run)
    if not overview(folder).events:
        raise RunError(
            f"run {folder.name} has nothing on its tape yet; `tickdeck run --resume {folder.name}` begins it"
        )
    return folder
