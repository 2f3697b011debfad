"""``tickdeck resume`` lets a run trade again after a halt."""

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

__all__ = ["resume"]


@click.command()
@account_options
def resume(run: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Let RUN trade again after a halt by an operator or by a limit. A halt by an error stays.

    To continue a run that was stopped or killed, use `tickdeck run --resume RUN`.

    \b
    Examples:
      tickdeck resume last
    """
    from tickdeck.infrastructure.control import lift_halt

    folder, answer = ask_run(data, run, "resume", reason, command_id)
    lifted = (answer is None or answer.accepted) and not account_given() and lift_halt(folder)
    if answer is not None:
        return print_answer(folder, "resume", command_id, answer, as_json)
    if not lifted:
        raise not_running(folder)
    what = f"no process runs {folder.name}; the file HALT in its folder was removed"
    if why := _why_halted(folder):
        what += f", but its record says that trading is halted: {why}; give this command again when it runs"
    return print_offline("resume", command_id, what, as_json)


def _why_halted(folder: Path) -> str:
    """Why trading is halted at the end of a run's tape; empty if it is not."""
    from tickdeck.application.ports import TapeQuery
    from tickdeck.domain.events import TradingHalted
    from tickdeck.infrastructure.tape.opening import open_reader, tape_path

    path, halted = tape_path(folder), dict[str, str]()
    if not path.exists():
        return ""
    with open_reader(path) as tape:
        for event in tape.read(TapeQuery(types=("trading.halted", "trading.resumed"))):
            account = event.account_id  # type: ignore[attr-defined]
            if isinstance(event, TradingHalted):
                halted[account] = event.reason
            else:
                halted.pop(account, None)
    return "; ".join(halted.values())
