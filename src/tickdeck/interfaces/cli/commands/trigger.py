"""``tickdeck trigger``: creates, changes, deletes and lists the triggers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickdeck.application.units import iso_time, span
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import recorded_run
from tickdeck.interfaces.cli.output import console, note, print_lines
from tickdeck.interfaces.cli.sending import account_options, send

if TYPE_CHECKING:
    from tickdeck.domain.trading import Trigger

__all__ = ["trigger"]

_ACTIONS = ("create", "update", "delete", "list")


@click.command()
@account_options
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("trigger_id", metavar="[TRIGGER_ID]", default="")
@click.option("--when", default="", metavar="CONDITION", help='What to watch: "price(BTCUSDT) crosses_above 65000".')
@click.option("--then", default="", metavar="ACTION", help='What follows: "notify", "halt", "close BTCUSDT", ...')
@click.option(
    "--once/--each-time", default=None, help="Whether it fires at most once (default), or each time that it holds."
)
@click.option("--every", default="", metavar="DURATION", help="With --each-time: the least time between two firings.")
@click.option("--expires", default="", metavar="TIME", help="When it ends: 2024-08-08T12:00:00Z, or a duration: 90m.")
def trigger(
    run: str,
    action: str,
    trigger_id: str,
    when: str,
    then: str,
    once: bool | None,
    every: str,
    expires: str,
    reason: str,
    command_id: str,
    data: Path,
    as_json: bool,
) -> int:
    """Create, update or delete a trigger of RUN while it runs, or list its triggers.

    A trigger watches a condition. When it holds, the action follows: notify [TEXT], halt, flatten [SYMBOL], close
    SYMBOL, cancel [SYMBOL], pause STRATEGY, activate STRATEGY, buy SYMBOL QUANTITY [at PRICE], or sell. An update keeps
    what you leave out, and starts the trigger anew.

    \b
    Examples:
      tickdeck trigger last create crash --when "price(BTCUSDT) < 60000" --then "flatten"
      tickdeck trigger last update crash --when "price(BTCUSDT) < 58000"
      tickdeck trigger last delete crash
      tickdeck trigger last list
    """
    given = {"when": when, "then": then, "every": every, "expires": expires}
    if once is not None:
        given["once"] = "true" if once else "false"
    given = {name: value for name, value in given.items() if value}
    if action == "list":
        if trigger_id or given:
            raise click.UsageError("list takes no trigger and no options of one")
        return _list(recorded_run(data, run, market=False), as_json)
    if not trigger_id:
        raise click.UsageError(f"name the trigger: tickdeck trigger {run} {action} TRIGGER_ID")
    if action == "delete" and given:
        raise click.UsageError(f"--{next(iter(given))} applies to create and update")
    if action == "create" and not (when and then):
        raise click.UsageError("give --when and --then with create")
    if action == "update" and not given:
        raise click.UsageError("give what to change: --when, --then, --once, --each-time, --every or --expires")
    return send(data, run, f"trigger-{action}", reason, command_id, as_json, trigger_id=trigger_id, **given)


def _list(folder: Path, as_json: bool) -> int:
    from tickdeck.bootstrap import triggers_of

    triggers = triggers_of(folder)
    if as_json:
        print_lines(msgspec.json.encode(_row(trigger)) for trigger in triggers)
    elif triggers:
        _print(triggers)
    else:
        note("the run has no triggers")
    return DONE


def _row(trigger: Trigger) -> dict[str, object]:
    settings = trigger.settings
    assert settings is not None
    return {
        "trigger_id": trigger.trigger_id,
        "status": trigger.status.value,
        "holds": trigger.holds,
        "fired": trigger.fired,
        "fired_at": iso_time(trigger.fired_ts) if trigger.fired_ts else None,
        **msgspec.structs.asdict(settings),
        "created_by": trigger.created_by,
    }


def _print(triggers: list[Trigger]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("trigger", "status", "fired", "condition and action"):
        table.add_column(name, no_wrap=name != "condition and action", justify="right" if name == "fired" else "left")
    for trigger in triggers:
        settings = trigger.settings
        assert settings is not None
        about = f" of account {settings.account}" if settings.account else ""
        how = [] if settings.once else [f"each time{f', not within {span(settings.every)}' if settings.every else ''}"]
        if settings.expires:
            how.append(f"until {iso_time(settings.expires)[:19]}Z")
        text = f"when {settings.when} then {settings.then}{about}" + (f" ({'; '.join(how)})" if how else "")
        table.add_row(Text(trigger.trigger_id), trigger.status.value, str(trigger.fired), Text(text))
    console().print(table)
