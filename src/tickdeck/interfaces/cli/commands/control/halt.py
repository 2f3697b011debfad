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
def halt(run: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Halt the trading of RUN: no order leaves from now on, except those of `flatten` and `close`. Open orders stay;
    `cancel` ends them. Everything else continues.

    If no process runs it, the file HALT is written to its folder, and the run continues halted when it is resumed.

    \b
    Examples:
      tickdeck halt last
      tickdeck halt maker --reason "the venue is odd"
    """
    folder, answer = ask_run(data, run, "halt", reason, command_id)
    if answer is not None:
        return print_answer(folder, "halt", command_id, answer, as_json)
    if account_given():
        raise not_running(folder)
    from tickdeck.infrastructure.control import order_halt

    path = order_halt(folder, reason)
    what = f"no process runs {folder.name}; {path} was written, and the run continues halted when it is resumed"
    return print_offline("halt", command_id, what, as_json)
