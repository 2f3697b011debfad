"""``tickdeck show``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from tickdeck.application.units import clock_time, day
from tickdeck.errors import RunError
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, json_option, recorded_run, run_argument
from tickdeck.interfaces.cli.output import folded, note, one_line, print_json, terminal_width

__all__ = ["show"]

_WHAT = ("health", "orders", "positions", "brackets", "balances", "pnl", "strategies", "history")
_BY = ("strategy", "symbol", "day", "user", "account")


@click.command()
@run_argument
@click.argument("what", type=click.Choice(_WHAT), default="health")
@click.option("--symbol", default="", metavar="S", help="With orders, history and brackets: only this symbol.")
@click.option("--strategy", default="", metavar="ID", help="With orders, history, brackets, strategies: only this one.")
@click.option("--account", default="", metavar="NAME", help="Only this account, in a run with several.")
@click.option("--limit", default="", metavar="N", help="With history: at most this many orders; default: 100.")
@click.option("--by", type=click.Choice(_BY), metavar="KEY", help=f"With pnl: by {', '.join(_BY)}; default: strategy.")
@data_option
@json_option("The answer as one JSON object")
def show(
    run: str,
    what: str,
    symbol: str,
    strategy: str,
    account: str,
    limit: str,
    by: str | None,
    data: Path,
    as_json: bool,
) -> int:
    """Show the open orders of RUN, its positions, its bracket orders, its balances, its PnL, its strategies, the orders
    that ended, or how it is (health, the default).

    A running run answers from its memory; nothing of this is recorded. Of another run, the state at the end of its tape
    is shown, without prices. `tickdeck trades` lists the trades behind the PnL.

    \b
    Examples:
      tickdeck show last
      tickdeck show last orders --symbol BTCUSDT
      tickdeck show last pnl --by day --json
    """
    arguments = {"symbol": symbol, "strategy": strategy, "account": account, "limit": limit, "by": by or ""}
    given = {name: value for name, value in arguments.items() if value}
    answer = _answer(data, run, what, given)
    if as_json:
        print_json(answer)
        return DONE
    if not answer["running"]:
        until = f"{day(answer['ts'])} {clock_time(answer['ts'])[:8]}" if answer["seq"] else "its beginning"
        note(f"no process runs {answer['run']}; this is the end of its tape, at {until}")
    _PRINT[what](answer)
    return DONE


def _answer(data: Path, run: str, what: str, arguments: dict[str, str]) -> dict[str, Any]:
    from tickdeck.infrastructure.control import query
    from tickdeck.infrastructure.runs import find_run
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path

    folder = find_run(data, run)
    answer = query(folder, what, arguments)
    if answer is not None:
        return answer
    if (process := writer_of(tape_path(folder))) is not None:
        raise RunError(
            f"process {process} runs {folder.name}, but does not listen at its socket; try again in a moment"
        )
    from tickdeck.bootstrap import answer_from_tape

    return answer_from_tape(recorded_run(data, run, market=False), what, arguments)


def _print_orders(answer: dict[str, Any]) -> None:
    rows = [
        (
            order["order_id"],
            order["strategy_id"],
            f"{order['side']} {order['quantity']} {order['symbol']}",
            " ".join(filter(None, (order["limit"], order["stop"] and f"stop {order['stop']}"))) or "market",
            order["filled"],
            order["average_price"] and _short(order["average_price"]),
            order["status"] + (f": {order['reason']}" if order["reason"] else ""),
        )
        for order in answer["orders"]
    ]
    columns = ("order", "strategy", "what", ">limit", ">filled", ">at", "status")
    _table(*_with_account(columns, rows, answer["orders"]), "there are no such orders")


def _print_positions(answer: dict[str, Any]) -> None:
    rows = [
        (
            position["symbol"],
            position["quantity"] + (" (dust)" if position["dust"] else ""),
            _short(position["average_price"]),
            position["price"] and _short(position["price"]),
            _money(position["unrealized_pnl"], position["currency"]),
            _money(position["realized_pnl"], position["currency"]),
        )
        for position in answer["positions"]
    ]
    columns = ("symbol", ">quantity", ">entry", ">price", ">open pnl", ">realized")
    _table(*_with_account(columns, rows, answer["positions"]), "there are no positions")
    for position in answer["positions"]:
        for part in position["protections"]:
            prices = [
                _exit("trailing stop" if part["trails"] else "stop", part["stop"], part["stop_percent"]),
                _exit("target", part["target"], part["target_percent"]),
            ]
            what = f"{part['quantity']} of {part['strategy_id']}: {', '.join(filter(None, prices)) or 'no price yet'}"
            doubt = f"; its exit order {part['in_doubt']} is in doubt, it may not protect" if part["in_doubt"] else ""
            click.echo(f"{position['symbol']}: {what} ({part['status']}, order {part['order_id']}{doubt})")


def _print_brackets(answer: dict[str, Any]) -> None:
    rows = [
        (
            each["bracket_id"],
            each["strategy_id"],
            f"{each['side']} {each['quantity']} {each['symbol']}",
            each["limit"] or "market",
            each["filled"],
            each["held"],
            each["status"] + (f": {each['reason']}" if each["reason"] else ""),
        )
        for each in answer["brackets"]
    ]
    columns = ("bracket", "strategy", "entry", ">limit", ">filled", ">held", "status")
    _table(*_with_account(columns, rows, answer["brackets"]), "there are no such bracket orders")


def _print_balances(answer: dict[str, Any]) -> None:
    rows = [
        tuple(balance[name] for name in ("currency", "total", "free", "reserved", "locked"))
        for balance in answer["balances"]
    ]
    columns = ("currency", ">total", ">free", ">reserved", ">locked by others")
    _table(*_with_account(columns, rows, answer["balances"]), "no balance is known yet")


def _print_pnl(answer: dict[str, Any]) -> None:
    currency = answer["currency"]
    for name in ("equity", "pnl", "unrealized_pnl", "fees"):
        if answer[name] is not None:
            click.echo(f"{name.replace('_', ' '):<15} {_money(answer[name], currency)}")
    rows = [
        (
            line[answer["by"]] or "-",
            f"{line['trades']:,}",
            f"{line['win_rate']:.0%}",
            _short(line["volume"]),
            _short(line["fees"]),
            _money(line["pnl"], line["currency"]),
        )
        for line in answer["closed"]
    ]
    _table((answer["by"], ">trades", ">won after fees", ">volume", ">fees", ">pnl"), rows, "no trade was closed")
    for trip in answer["open"]:
        held, entered = _short(trip["held"]), _short(trip["quantity"])
        amount = held if held == entered else f"{held} of {entered}"
        what = f"{trip['side']} {trip['symbol']}, {amount} entered at {_short(trip['entry_price'])}"
        click.echo(f"open: {trip['strategy_id'] or 'no strategy'}: {what}, {_money(trip['pnl'], trip['currency'])}")


def _print_strategies(answer: dict[str, Any]) -> None:
    rows = [
        (
            each["strategy_id"],
            each["strategy_type"],
            each["role"],
            each["status"],
            f"{each['open_orders']:,}",
            each["created_by"],
            each["reason"],
        )
        for each in answer["strategies"]
    ]
    columns = ("strategy", "class", "role", "status", ">open orders", "created by", "because")
    _table(columns, rows, "there are no such strategies")
    for each in answer["strategies"]:
        for leg in each["legs"]:
            account = f" in {leg['account_id']}" if len({one["account_id"] for one in each["legs"]}) > 1 else ""
            what = f"{leg['side']} {_short(leg['held'])} {leg['symbol']}{account} at {_short(leg['entry_price'])}"
            click.echo(f"{each['strategy_id']}: {what}, {_money(leg['pnl'], leg['currency'])}")
        if each["state"] is not None:
            said = ", ".join(f"{name}={value}" for name, value in each["state"]["values"].items())
            legs = (f"{leg['quantity']} {leg['symbol']}" for leg in each["state"]["legs"])
            click.echo(one_line(f"{each['strategy_id']} says: {', '.join(filter(None, (said, *legs))) or 'nothing'}"))


def _print_health(answer: dict[str, Any]) -> None:
    lines: list[tuple[str, str]] = [("status", answer["status"])]
    lines.append(("trading", _trading(answer["halted_by"], answer["halted"])))
    lines.append(("open orders", f"{answer['open_orders']:,}"))
    lines.append(("in doubt", ", ".join(answer["unknown_orders"]) or "none"))
    lines.append(("paused", ", ".join(answer["paused"]) or "none"))
    for name, connected in answer.get("feeds", {}).items():
        lines.append((f"feed {name}", "connected" if connected else "not connected"))
    if answer["running"]:
        lines.append(("failures", f"{answer['failures']:,}; dead letters: {answer['dead_letters']:,}"))
        written = answer["tape_failure"] or f"{answer['tape_waiting']:,} events wait to be durable"
        lines.append(("tape", written))
    for name, value in lines:
        click.echo(f"{name:<15} {value}")


def _trading(halted_by: str | None, why: str | None) -> str:
    if halted_by is None:
        return "allowed"
    return f"over: {why}" if halted_by == "end" else f"halted by {halted_by}: {why}"


_PRINT: dict[str, Callable[[dict[str, Any]], None]] = {
    "health": _print_health,
    "orders": _print_orders,
    "history": _print_orders,
    "positions": _print_positions,
    "brackets": _print_brackets,
    "balances": _print_balances,
    "pnl": _print_pnl,
    "strategies": _print_strategies,
}


def _with_account(
    columns: Sequence[str], rows: Sequence[Sequence[str | None]], of: Sequence[dict[str, Any]]
) -> tuple[Sequence[str], Sequence[Sequence[str | None]]]:
    """The table with the account of each row, if there are several."""
    if len({each["account_id"] for each in of}) < 2:
        return columns, rows
    return ("account", *columns), [(each["account_id"], *row) for each, row in zip(of, rows, strict=True)]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | None]], none: str) -> None:
    """Print ``rows``, or the note ``none``. A column whose name begins with ``>`` is aligned to the right."""
    if not rows:
        note(none)
        return
    # In full, however narrow the terminal is: ids are there to be copied. A row that is too long is folded.
    width = terminal_width()
    cells = [[name.removeprefix(">") for name in columns], *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    for row in cells:
        aligned = [
            one_line(cell.rjust(widest) if name.startswith(">") else cell.ljust(widest))
            for cell, widest, name in zip(row, widths, columns, strict=True)
        ]
        for line in folded(aligned, width):
            click.echo(line)


def _exit(what: str, price: str | None, percent: str | None) -> str:
    """A price at which a position is closed, or its distance while there is no entry yet; empty if there is none."""
    if price is not None:
        return f"{what} {_short(price)}"
    return f"{what} {_short(percent)}%" if percent is not None else ""


def _short(text: str) -> str:
    """At most 8 decimals, without zeros at the end."""
    number = f"{Decimal(text):,.8f}"
    return number.rstrip("0").rstrip(".")


def _money(text: str | None, currency: str) -> str:
    return "-" if text is None else f"{Decimal(text):+,.4f} {currency}"
