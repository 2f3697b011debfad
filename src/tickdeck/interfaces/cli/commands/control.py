"""Commands to a running run: ``tickdeck halt``, ``resume``, ``submit``, ``amend``, ``protect``, ``unprotect``,
``flatten``, ``close``, ``cancel``, ``settle``, ``adopt`` and ``strategy``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from tickdeck.domain.values import TimeInForce
from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE, NO
from tickdeck.interfaces.cli.options import data_option, json_option, run_argument
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.control import Answer

__all__ = [
    "account_options",
    "adopt",
    "amend",
    "cancel",
    "close",
    "control_options",
    "flatten",
    "halt",
    "protect",
    "resume",
    "send",
    "settle",
    "strategy",
    "submit",
    "unprotect",
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
_ACCOUNT = "tickdeck.account"  # where the option is kept until the command is sent


def _keep_account(context: click.Context, _: click.Parameter, name: str) -> None:
    context.meta[_ACCOUNT] = name


_account = click.option(
    "--account",
    default="",
    metavar="NAME",
    expose_value=False,
    callback=_keep_account,
    help="Only this account, if the run has several; default: all that the command concerns.",
)


def account_options(command: F) -> F:
    """``control_options``, and the account that a command is for."""
    return control_options(_account(command))


def _stops(command: F) -> F:
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
    folder, answer = _ask(data, run, "halt", reason, command_id)
    if answer is not None:
        return _print(folder, "halt", command_id, answer, as_json)
    if _one_account():
        raise _not_running(folder)
    from tickdeck.infrastructure.control import order_halt

    path = order_halt(folder, reason)
    what = f"no process runs {folder.name}; {path} was written, and the run continues halted when it is resumed"
    return _print_offline("halt", command_id, what, as_json)


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

    folder, answer = _ask(data, run, "resume", reason, command_id)
    lifted = (answer is None or answer.accepted) and not _one_account() and lift_halt(folder)
    if answer is not None:
        return _print(folder, "resume", command_id, answer, as_json)
    if not lifted:
        raise _not_running(folder)
    what = f"no process runs {folder.name}; the file HALT in its folder was removed"
    return _print_offline("resume", command_id, what, as_json)


@click.command()
@account_options
@click.argument("side", type=click.Choice(("buy", "sell")))
@click.argument("symbol", metavar="SYMBOL")
@click.argument("quantity", metavar="QUANTITY")
@click.option("--limit", default="", metavar="PRICE", help="A limit order at this price; default: at market.")
@click.option(
    "--time-in-force",
    type=click.Choice([kind.value for kind in TimeInForce]),
    help="How long it stays; default: gtc, until it is cancelled.",
)
@click.option("--reduce-only", is_flag=True, help="Refuse it if it would do more than reduce the position.")
@_stops
def submit(
    run: str,
    side: str,
    symbol: str,
    quantity: str,
    limit: str,
    time_in_force: str | None,
    reduce_only: bool,
    stop_loss: str,
    take_profit: str,
    trailing: str,
    reason: str,
    command_id: str,
    data: Path,
    as_json: bool,
) -> int:
    """Send an order of your own to the venue of RUN: buy or sell QUANTITY of the base currency of SYMBOL.

    It passes the limits of the run like an order of a strategy, and counts as the one of the strategy `operator`. It is
    refused while trading is halted. What it fills is closed at the stop or the target, if you give them.

    \b
    Examples:
      tickdeck submit last buy BTCUSDT 0.01 --limit 60000 --reason "the dip"
      tickdeck submit last buy BTCUSDT 0.01 --stop-loss 2% --take-profit 65000
      tickdeck submit last sell BTCUSDT 0.01 --reduce-only
    """
    return send(
        data,
        run,
        "submit",
        reason,
        command_id,
        as_json,
        side=side,
        symbol=symbol,
        quantity=quantity,
        limit=limit,
        time_in_force=time_in_force or "",
        reduce_only="true" if reduce_only else "",
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing=trailing,
    )


@click.command()
@account_options
@click.argument("symbol", required=False, default="", metavar="[SYMBOL]")
@click.option("--order", "order_id", default="", metavar="ID", help="Only what this order opened, or will.")
@_stops
def protect(
    run: str,
    symbol: str,
    order_id: str,
    stop_loss: str,
    take_profit: str,
    trailing: str,
    reason: str,
    command_id: str,
    data: Path,
    as_json: bool,
) -> int:
    """Set or change the stop and the target of the position of RUN in SYMBOL, whoever opened it, or of an order.

    What you leave out stays as it is. `unprotect` removes both.

    \b
    Examples:
      tickdeck protect last BTCUSDT --stop-loss 58000 --take-profit 5%
      tickdeck protect last BTCUSDT --trailing 1.5%
    """
    _check_one(symbol, order_id)
    if not (stop_loss or take_profit or trailing):
        raise click.UsageError("give --stop-loss, --take-profit, --trailing or several of them")
    return send(
        data,
        run,
        "protect",
        reason,
        command_id,
        as_json,
        symbol=symbol,
        order_id=order_id,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing=trailing,
    )


@click.command()
@account_options
@click.argument("symbol", required=False, default="", metavar="[SYMBOL]")
@click.option("--order", "order_id", default="", metavar="ID", help="Only what this order opened, or will.")
def unprotect(run: str, symbol: str, order_id: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Remove the stops and targets of the positions of RUN in SYMBOL, or of an order. The positions stay.

    \b
    Examples:
      tickdeck unprotect last BTCUSDT
    """
    _check_one(symbol, order_id)
    return send(data, run, "unprotect", reason, command_id, as_json, symbol=symbol, order_id=order_id)


def _check_one(symbol: str, order_id: str) -> None:
    if bool(symbol) == bool(order_id):
        raise click.UsageError("give SYMBOL or --order, and only one of them")


@click.command()
@account_options
@click.argument("order_id", metavar="ORDER_ID")
@click.option("--quantity", default="", metavar="Q", help="The new quantity in all, with what is filled.")
@click.option("--limit", default="", metavar="PRICE", help="The new limit.")
def amend(
    run: str, order_id: str, quantity: str, limit: str, reason: str, command_id: str, data: Path, as_json: bool
) -> int:
    """Change the quantity or the limit of an open limit order of RUN, also of a strategy's.

    The venue's answer follows later: order.amended or order.amend_rejected. Some venues can only reduce the quantity.

    \b
    Examples:
      tickdeck amend last tdd7c374427dbffdd81f9c26bbe00e --limit 59000
    """
    if not quantity and not limit:
        raise click.UsageError("give --quantity, --limit or both")
    return send(data, run, "amend", reason, command_id, as_json, order_id=order_id, quantity=quantity, limit=limit)


@click.command()
@account_options
@click.option("--symbol", default="", metavar="S", help="Only this symbol.")
def flatten(run: str, symbol: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Cancel the open orders of RUN and close its positions at market. This passes limits and halts, except a halt by
    an error, after which only cancels pass.

    \b
    Examples:
      tickdeck flatten last
      tickdeck flatten last --symbol BTCUSDT
    """
    return send(data, run, "flatten", reason, command_id, as_json, symbol=symbol)


@click.command()
@account_options
@click.argument("symbol", metavar="SYMBOL")
def close(run: str, symbol: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Close the position of RUN in SYMBOL at market, and cancel its open orders there.

    \b
    Examples:
      tickdeck close last BTCUSDT
    """
    return send(data, run, "close", reason, command_id, as_json, symbol=symbol)


@click.command()
@account_options
@click.argument("order_id", required=False, default="", metavar="[ORDER_ID]")
@click.option("--symbol", default="", metavar="S", help="The open orders in this symbol.")
@click.option("--all", "everything", is_flag=True, help="All open orders.")
def cancel(
    run: str, order_id: str, symbol: str, everything: bool, reason: str, command_id: str, data: Path, as_json: bool
) -> int:
    """Cancel an open order of RUN, those in a symbol, or all. Cancels always pass.

    \b
    Examples:
      tickdeck cancel last tdd7c374427dbffdd81f9c26bbe00e
      tickdeck cancel last --all
    """
    if sum(map(bool, (order_id, symbol, everything))) != 1:
        raise click.UsageError("give the id of an order, --symbol or --all, and only one of them")
    return send(data, run, "cancel", reason, command_id, as_json, order_id=order_id, symbol=symbol)


@click.command()
@account_options
@click.argument("order_id", metavar="ORDER_ID")
def settle(run: str, order_id: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """End an order of RUN that is in doubt. Do this when you have seen that the venue does not have it: it never
    arrived, or it ended there without a fill.

    The order is rejected, with your name and reason, and its capital is free. If the venue reports it after all, it is
    open again, with an alert.

    \b
    Examples:
      tickdeck settle last tdd7c374427dbffdd81f9c26bbe00e --reason "not in the order history"
    """
    return send(data, run, "settle", reason, command_id, as_json, order_id=order_id)


@click.command()
@account_options
@click.argument("currency", required=False, default="", metavar="[CURRENCY]")
def adopt(run: str, currency: str, reason: str, command_id: str, data: Path, as_json: bool) -> int:
    """Take the venue's balance where RUN found a difference that nothing explains, in one currency or in all.

    The difference counts as money that was paid in or out, not as a profit or a loss.

    \b
    Examples:
      tickdeck adopt last BTC --reason "sold on the web site"
    """
    return send(data, run, "adopt", reason, command_id, as_json, currency=currency)


@click.command()
@control_options
@click.option(
    "--account",
    default="",
    metavar="NAME",
    expose_value=False,
    callback=_keep_account,
    help="With create: the account to trade with, if the run has several.",
)
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
    if _one_account() and action != "create":
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


def send(data: Path, run: str, command: str, reason: str, command_id: str, as_json: bool, **arguments: str) -> int:
    """Send ``command`` with its ``arguments`` to a run, and print its answer. Returns the exit code. Raises
    ``RunError`` if no process runs it."""
    folder, answer = _ask(data, run, command, reason, command_id, **arguments)
    if answer is None:
        raise _not_running(folder)
    return _print(folder, command, command_id, answer, as_json)


def _ask(
    data: Path, run: str, command: str, reason: str, command_id: str, **arguments: str
) -> tuple[Path, Answer | None]:
    from tickdeck.infrastructure.control import Request, ask
    from tickdeck.infrastructure.runs import find_run
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path

    folder = find_run(data, run)
    given = {name: value for name, value in {**arguments, "account": _one_account()}.items() if value}
    answer = ask(folder, Request(command=command, id=command_id, arguments=given, reason=reason))
    if answer is None and (process := writer_of(tape_path(folder))) is not None:
        raise RunError(
            f"process {process} runs {folder.name}, but does not listen at its socket; try again, or stop it with "
            f"`kill {process}`"
        )
    return folder, answer


def _one_account() -> str:
    """The account that the command is for; empty if it is for all."""
    name: str = click.get_current_context().meta.get(_ACCOUNT, "")
    return name


def _not_running(folder: Path) -> RunError:
    return RunError(f"no process runs {folder.name}; `tickdeck run --resume {folder.name}` continues it")


def _print(folder: Path, command: str, command_id: str, answer: Answer, as_json: bool) -> int:
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
    elif answer.repeated:
        note(f"{command}: run {folder.name} had taken it before, as event {answer.event_id}, and refused it:")
    for problem in answer.problems:
        note(problem)
    return DONE if answer.accepted else NO


def _order(event: dict[str, Any]) -> str:
    at = f"at {event['limit']}" if event["limit"] is not None else "at market"
    return f"{event['side']} {event['quantity']} {event['symbol']} {at}"


def _print_offline(command: str, command_id: str, what: str, as_json: bool) -> int:
    if as_json:
        done = {"accepted": True, "repeated": False, "problems": (), "event_id": "", "seq": 0, "events": ()}
        print_json({"command": command, "id": command_id} | done | {"note": what})
    else:
        note(what)
    return DONE
