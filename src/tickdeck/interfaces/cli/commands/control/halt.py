"""``tickdeck halt`` halts the trading of a run."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import (
    account_given,
    account_options,
    ask_run,
    not_running,
    print_answer,
    print_offline,
)

__all__ = ["halt"]


@click.command()
@account_options
@click.option(
    "--cancel-orders/--leave-orders",
    "cancels",
    help="Whether to cancel the open orders too, except stops and targets; default: they stay.",
)
def halt(run: str, cancels: bool, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Halt the trading of RUN: no order leaves from now on, except those of `flatten` and `close`. Everything else
    continues. The answer says what becomes of the open orders.

    If no process runs it, the file HALT is written to its folder, and the run continues halted when it is resumed.

    \b
    Examples:
      tickdeck halt last
      tickdeck halt maker --cancel-orders --reason "the venue is odd"
    """
    folder, answer = ask_run(data, run, "halt", reason, command_id, orders="cancel" if cancels else "")
    if answer is not None:
        return print_answer(folder, "halt", command_id, answer, as_json)
    if account_given():
        raise not_running(folder)
    from tickdeck.infrastructure.control import order_halt, ordered_halt

    before = ordered_halt(folder)
    if before is not None and before.arguments.get("orders") == "cancel":
        cancels = True  # a second halt takes nothing back
    path = order_halt(folder, reason, cancels=cancels)
    what = f"no process runs {folder.name}; {path} was written, and the run continues halted when it is resumed"
    if cancels:
        what += ", and cancels its open orders then"
    if before is not None:
        what += f". It replaces one that was there already: {before.reason}"
    return print_offline("halt", command_id, what, as_json)
