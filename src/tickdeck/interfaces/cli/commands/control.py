"""Commands to a running run: ``tickdeck halt``, ``resume``, ``flatten``, ``close``, ``cancel``, ``settle``,
``adopt`` and ``strategy``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import data_option, json_option, run_argument
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.control import Answer

__all__ = ["adopt", "cancel", "close", "flatten", "halt", "resume", "settle", "strategy"]

F = TypeVar("F", bound=Callable[..., Any])

_reason = click.option("--reason", default="", metavar="TEXT", help="Why. It is recorded with the command.")


def _control(command: F) -> F:
    """The argument and the options that all these commands share."""
    as_json = json_option("`command`, `accepted`, `event_id`, `problems`, `events` as one JSON object")
    for option in (as_json, data_option):
        command = option(command)
    return run_argument(_reason(command))


@click.command()
@_control
def halt(run: str, reason: str, data: Path, as_json: bool) -> int:
    """Halt the trading of RUN: no order leaves from now on, except those of `flatten` and `close`. Open orders stay;
    `cancel` ends them. Everything else continues.

    If no process runs it, the file HALT is written to its folder, and the run continues halted when it is resumed.

    \b
    Examples:
      tickdeck halt last
      tickdeck halt maker --reason "the venue is odd"
    """
    folder, answer = _ask(data, run, "halt", reason)
    if answer is not None:
        return _print(folder, "halt", answer, as_json)
    from tickdeck.infrastructure.control import order_halt

    path = order_halt(folder, reason)
    what = f"no process runs {folder.name}; {path} was written, and the run continues halted when it is resumed"
    return _print_offline("halt", what, as_json)


@click.command()
@_control
def resume(run: str, reason: str, data: Path, as_json: bool) -> int:
    """Let RUN trade again after a halt by an operator or by a limit. A halt by an error stays.

    To continue a run that was stopped or killed, use `tickdeck run --resume RUN`.

    \b
    Examples:
      tickdeck resume last
    """
    from tickdeck.infrastructure.control import lift_halt

    folder, answer = _ask(data, run, "resume", reason)
    lifted = (answer is None or answer.accepted) and lift_halt(folder)
    if answer is not None:
        return _print(folder, "resume", answer, as_json)
    if not lifted:
        raise _not_running(folder)
    what = f"no process runs {folder.name}; the file HALT in its folder was removed"
    return _print_offline("resume", what, as_json)


@click.command()
@_control
@click.option("--symbol", default="", metavar="S", help="Only this symbol.")
def flatten(run: str, symbol: str, reason: str, data: Path, as_json: bool) -> int:
    """Cancel the open orders of RUN and close its positions at market. This passes limits and halts, except a halt by
    an error, after which only cancels pass.

    \b
    Examples:
      tickdeck flatten last
      tickdeck flatten last --symbol BTCUSDT
    """
    return _sent(data, run, "flatten", reason, as_json, symbol=symbol)


@click.command()
@_control
@click.argument("symbol", metavar="SYMBOL")
def close(run: str, symbol: str, reason: str, data: Path, as_json: bool) -> int:
    """Close the position of RUN in SYMBOL at market, and cancel its open orders there.

    \b
    Examples:
      tickdeck close last BTCUSDT
    """
    return _sent(data, run, "close", reason, as_json, symbol=symbol)


@click.command()
@_control
@click.argument("order_id", required=False, default="", metavar="[ORDER_ID]")
@click.option("--symbol", default="", metavar="S", help="The open orders in this symbol.")
@click.option("--all", "everything", is_flag=True, help="All open orders.")
def cancel(run: str, order_id: str, symbol: str, everything: bool, reason: str, data: Path, as_json: bool) -> int:
    """Cancel an open order of RUN, those in a symbol, or all. Cancels always pass.

    \b
    Examples:
      tickdeck cancel last tdd7c374427dbffdd81f9c26bbe00e
      tickdeck cancel last --all
    """
    if sum(map(bool, (order_id, symbol, everything))) != 1:
        raise click.UsageError("give the id of an order, --symbol or --all, and only one of them")
    return _sent(data, run, "cancel", reason, as_json, order_id=order_id, symbol=symbol)


@click.command()
@_control
@click.argument("order_id", metavar="ORDER_ID")
def settle(run: str, order_id: str, reason: str, data: Path, as_json: bool) -> int:
    """End an order of RUN that is in doubt. Do this when you have seen that the venue does not have it: it never
    arrived, or it ended there without a fill.

    The order is rejected, with your name and reason, and its capital is free. If the venue reports it after all, it is
    open again, with an alert.

    \b
    Examples:
      tickdeck settle last tdd7c374427dbffdd81f9c26bbe00e --reason "not in the order history"
    """
    return _sent(data, run, "settle", reason, as_json, order_id=order_id)


@click.command()
@_control
@click.argument("currency", required=False, default="", metavar="[CURRENCY]")
def adopt(run: str, currency: str, reason: str, data: Path, as_json: bool) -> int:
    """Take the venue's balance where RUN found a difference that nothing explains, in one currency or in all.

    The difference counts as money that was paid in or out, not as a profit or a loss.

    \b
    Examples:
      tickdeck adopt last BTC --reason "sold on the web site"
    """
    return _sent(data, run, "adopt", reason, as_json, currency=currency)


@click.command()
@_control
@click.argument("action", type=click.Choice(("pause", "activate", "update", "delete")))
@click.argument("strategy_id", metavar="STRATEGY_ID")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="With update: a parameter to change. Repeatable.")
def strategy(
    run: str, action: str, strategy_id: str, param: tuple[str, ...], reason: str, data: Path, as_json: bool
) -> int:
    """Pause, activate, update or delete a strategy of RUN.

    A paused strategy keeps its orders and its state, and receives no events. A deleted one cancels its orders.

    \b
    Examples:
      tickdeck strategy last pause ema-cross
      tickdeck strategy last update ema-cross --param fast=5
    """
    if bool(param) != (action == "update"):
        raise click.UsageError("give --param with update, and only there")
    parameters = dict(_parameter(text) for text in param)
    return _sent(data, run, f"strategy-{action}", reason, as_json, strategy_id=strategy_id, **parameters)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or name == "strategy_id":
        raise click.UsageError(f"--param {text!r}: give NAME=VALUE")
    return name, value


def _sent(data: Path, run: str, command: str, reason: str, as_json: bool, **arguments: str) -> int:
    folder, answer = _ask(data, run, command, reason, **arguments)
    if answer is None:
        raise _not_running(folder)
    return _print(folder, command, answer, as_json)


def _ask(data: Path, run: str, command: str, reason: str, **arguments: str) -> tuple[Path, Answer | None]:
    from tickdeck.infrastructure.control import Request, ask
    from tickdeck.infrastructure.runs import find_run
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path

    folder = find_run(data, run)
    given = {name: value for name, value in arguments.items() if value}
    answer = ask(folder, Request(command=command, arguments=given, reason=reason))
    if answer is None and (process := writer_of(tape_path(folder))) is not None:
        raise RunError(
            f"process {process} runs {folder.name}, but does not listen at its socket; try again, or stop it with "
            f"`kill {process}`"
        )
    return folder, answer


def _not_running(folder: Path) -> RunError:
    return RunError(f"no process runs {folder.name}; `tickdeck run --resume {folder.name}` continues it")


def _print(folder: Path, command: str, answer: Answer, as_json: bool) -> int:
    if as_json:
        fields = {"accepted": answer.accepted, "event_id": answer.event_id}
        print_json({"command": command} | fields | {"problems": answer.problems, "events": answer.events})
        return DONE if answer.accepted else NO
    if answer.accepted:
        counts = Counter(event["event_type"] for event in answer.events)
        effects = ", ".join(f"{name} {count}x" if count > 1 else name for name, count in counts.items())
        note(
            f"{command}: run {folder.name} accepted it and recorded it as event {answer.event_id}; "
            f"effects: {effects or 'none'}"
        )
    for problem in answer.problems:
        note(problem)
    return DONE if answer.accepted else NO


def _print_offline(command: str, what: str, as_json: bool) -> int:
    if as_json:
        print_json({"command": command, "accepted": True, "event_id": "", "problems": (), "events": (), "note": what})
    else:
        note(what)
    return DONE
