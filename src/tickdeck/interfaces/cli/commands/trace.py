"""``tickdeck trace``."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, import_option, json_option, recorded_place, run_argument
from tickdeck.interfaces.cli.output import console, event_fields, note, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tickdeck.application.proof import Effect, Trace

__all__ = ["trace"]

_SHOWN = 500


@click.command()
@run_argument
@click.argument("event_id", metavar="EVENT_ID")
@click.option(
    "--depth",
    type=click.IntRange(1, 100),
    default=20,
    show_default=True,
    metavar="N",
    help="Levels of effects, up to 100.",
)
@import_option
@data_option
@json_option("The causes and the tree of effects as one JSON object")
def trace(run: str, event_id: str, depth: int, data: Path, as_json: bool) -> int:
    """Show the causes of an event of RUN, from the first input on, and its effects.

    RUN is a run's id, a path to its folder, a path to a tape (for example of a bus), or `last`. `tickdeck events` shows
    the ids.

    \b
    Examples:
      tickdeck trace last 1714-1
      tickdeck trace last 1714-1 --json
    """
    from tickdeck.bootstrap import trace_of

    folder = recorded_place(data, run)
    found = trace_of(folder, event_id)
    if as_json:
        print_json(
            {
                "event": event_fields(found.event),
                "causes": [event_fields(cause) for cause in found.causes],
                "effects": _json(found.effects, depth),
            }
        )
    else:
        _print(found, depth)
    return DONE


def _json(effects: Sequence[Effect], depth: int) -> list[dict[str, Any]]:
    """``more`` counts the direct effects of an event that are below ``depth`` levels."""
    nested = []
    for effect in effects:
        inner: dict[str, Any] = {"event": event_fields(effect.event), "effects": []}
        if depth > 1:
            inner["effects"] = _json(effect.effects, depth - 1)
        elif effect.effects:
            inner["more"] = len(effect.effects)
        nested.append(inner)
    return nested


def _print(found: Trace, depth: int) -> None:
    from rich.text import Text

    from tickdeck.interfaces.cli.tables import chain, effect_lines

    out = console()
    # On a terminal, long lines are cut; in a file or a pipe, they are complete.
    fit: dict[str, Any] = {"no_wrap": True, "overflow": "ellipsis"} if sys.stdout.isatty() else {"soft_wrap": True}
    *causes, event = chain([*reversed(found.causes), found.event], marked=True)
    for line in causes:
        out.print(Text(line), **fit)
    out.print(Text(event, style="bold"), **fit)
    lines = effect_lines(found.effects, depth=depth, below=len(causes))
    for line in islice(lines, _SHOWN):
        out.print(Text(line), **fit)
    left = sum(1 for _ in lines)
    if left:
        note(f"{left:,} more lines are not shown; --json shows all")
