"""Sends a command to a running run, and prints its answer: what ``tickdeck halt``, ``submit`` and the others share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from tickdeck.domain.values import plain
from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import data_option, json_option, run_argument
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.control import Answer

__all__ = [
    "account_given",
    "account_options",
    "ask_run",
    "control_options",
    "not_running",
    "one_account",
    "print_answer",
    "print_offline",
    "send",
    "stop_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_reason = click.option("--reason", default="", metavar="TEXT", help="Why. It is recorded with the command.")
_id = click.option(
    "--id",
    "command_id",
    default=lambda: token_hex(8),
    show_default=False,
    metavar="ID",
    help="Your name for this command; one is made up by default. The run carries out each id once, so give it again if "
    "an answer was lost.",
)
_NUMBERS = ("quantity", "limit", "stop")
_ACCOUNT = "tickdeck.account"  # where the option is kept until the command is sent


def one_account(text: str) -> Callable[[F], F]:
    """The option ``--account``. Its name is sent with the command."""

    def keep(context: click.Context, _: click.Parameter, name: str) -> None:
        context.meta[_ACCOUNT] = name

    return click.option("--account", default="", metavar="NAME", expose_value=False, callback=keep, help=text)


_any_account = one_account("Only this account, if the run has several; default: all that the command concerns.")


def account_options(command: F) -> F:
    """``control_options``, and the account that a command is for."""
    return control_options(_any_account(command))


def stop_options(command: F) -> F:
    """The options for a stop and a target."""
    price = "PRICE|N%"
    for option in (
        click.option(
            "--trailing", default="", metavar=price, help="A stop at this distance from the best price since."
        ),
        click.option("--take-profit", default="", metavar=price, help="The target, or its distance from the entry."),
        click.option("--stop-loss", default="", metavar=price, help="The stop, or its distance from the entry."),
    ):
        command = option(command)
    return command


def control_options(command: F) -> F:
    """The argument and the options that all these commands share."""
    as_json = json_option("The answer as one JSON object: `accepted`, `event_id`, `problems`, `events` and more")
    for option in (as_json, data_option, _id):
        command = option(command)
    return run_argument(_reason(command))


def send(data: Path, run: str, command: str, reason: str, command_id: str, as_json: bool, **arguments: str) -> int:
    """Send ``command`` with its ``arguments`` to a run, and print its answer. Returns the exit code. Raises
    ``RunError`` if no process runs it."""
    folder, answer = ask_run(data, run, command, reason, command_id, **arguments)
    if answer is None:
        raise not_running(folder)
    return print_answer(folder, command, command_id, answer, as_json)


def ask_run(
    data: Path, run: str, command: str, reason: str, command_id: str, **arguments: str
) -> tuple[Path, Answer | None]:
    """Send ``command``. Returns the run's folder, and the answer, which is ``None`` if no process runs it. Raises
    ``RunError`` if one does, but does not listen."""
    from tickdeck.infrastructure.control import Request, ask
    from tickdeck.infrastructure.runs import find_run
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path

    folder = find_run(data, run)
    given = {name: value for name, value in {**arguments, "account": account_given()}.items() if value}
    answer = ask(folder, Request(command=command, id=command_id, arguments=given, reason=reason))
    if answer is None and (process := writer_of(tape_path(folder))) is not None:
        raise RunError(
            f"process {process} runs {folder.name}, but does not listen at its socket; try again, or stop it with "
            f"`kill {process}`"
        )
    return folder, answer


def account_given() -> str:
    """The account that the command is for; empty if it is for all."""
    name: str = click.get_current_context().meta.get(_ACCOUNT, "")
    return name


def not_running(folder: Path) -> RunError:
    """The error of a command that only a process can carry out."""
    return RunError(f"no process runs {folder.name}; `tickdeck run --resume {folder.name}` continues it")


def print_answer(folder: Path, command: str, command_id: str, answer: Answer, as_json: bool) -> int:
    """Print what became of a command. Returns the exit code."""
    if as_json:
        print_json({"command": command, "id": command_id} | msgspec.structs.asdict(answer))
        return DONE if answer.accepted else NO
    if answer.accepted:
        counts = Counter(event["event_type"] for event in answer.events)
        effects = ", ".join(f"{name} {count}x" if count > 1 else name for name, count in counts.items())
        done = "had accepted it before" if answer.repeated else "accepted it"
        note(
            f"{command}: run {folder.name} {done} and recorded it as event {answer.event_id}; "
            f"effects: {effects or 'none'}"
        )
        for event in answer.events:
            if event["event_type"] == "order.submitted":
                note(f"order {event['order_id']}: {_order(event)}")
            elif event["event_type"] == "notification.alert":
                note(event["text"])
    elif answer.repeated:
        note(f"{command}: run {folder.name} had taken it before, as event {answer.event_id}, and refused it:")
    for problem in answer.problems:
        note(problem)
    return DONE if answer.accepted else NO


def _order(event: dict[str, Any]) -> str:
    """The order of an ``order.submitted``, in words. One with a stop waits until the price reaches it."""
    quantity, limit, stop = (None if event[name] is None else plain(Decimal(event[name])) for name in _NUMBERS)
    at = "at market" if limit is None else f"at {limit}"
    waits = "" if stop is None else f", once the price is {stop}"
    return f"{event['side']} {quantity} {event['symbol']} {at}{waits}"


def print_offline(command: str, command_id: str, what: str, as_json: bool) -> int:
    """Print ``what`` was done to the folder of a run that no process runs, in the form of an answer. Returns the exit
    code."""
    if as_json:
        done = {"accepted": True, "repeated": False, "problems": (), "event_id": "", "seq": 0, "events": ()}
        print_json({"command": command, "id": command_id} | done | {"note": what})
    else:
        note(what)
    return DONE
