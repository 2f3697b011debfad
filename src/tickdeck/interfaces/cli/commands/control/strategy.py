"""``tickdeck strategy`` creates, pauses, activates, updates or deletes a strategy of a run."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_given, control_options, one_account, send

__all__ = ["strategy"]


@click.command()
@control_options
@one_account("With create: the account to trade with, if the run has several.")
@click.argument("action", type=click.Choice(("create", "pause", "activate", "update", "delete")))
@click.argument("strategy_id", metavar="STRATEGY_ID")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="With create and update: a parameter. Repeatable.")
def strategy(
    run: str,
    action: str,
    strategy_id: str,
    param: tuple[str, ...],
    reason: str,
    command_id: str,
    data: Path,
    as_json: bool,
) -> int:
    """Create, pause, activate, update or delete a strategy of RUN.

    A paused strategy keeps its orders and its state, and receives no events. A deleted one cancels its orders. Only
    strategies without code (`rules`) can be created, with indicators and candles that the run computes already.

    \b
    Examples:
      tickdeck strategy last pause ema-cross
      tickdeck strategy last update ema-cross --param fast=5
      tickdeck strategy last create dip --param symbol=BTCUSDT --param "enter=price < 60000" --param quantity=0.01
    """
    if bool(param) != (action in ("create", "update")):
        raise click.UsageError("give --param with create and update, and only there")
    if account_given() and action != "create":
        raise click.UsageError(f"--account applies to create; {strategy_id} keeps its account")
    parameters = dict(_parameter(text) for text in param)
    return send(data, run, f"strategy-{action}", reason, command_id, as_json, strategy_id=strategy_id, **parameters)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if name == "account":
        raise click.UsageError("--param account: no strategy has it; give --account with create")
    if not name or not equals or name == "strategy_id":
        raise click.UsageError(f"--param {text!r}: give NAME=VALUE")
    return name, value
