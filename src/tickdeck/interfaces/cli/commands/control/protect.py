"""``tickdeck protect`` and ``unprotect``: the stop and the target of a position or an order."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send, stop_options

__all__ = ["protect", "unprotect"]


@click.command()
@account_options
@click.argument("symbol", required=False, default="", metavar="[SYMBOL]")
@click.option("--order", "order_id", default="", metavar="ID", help="Only what this order opened, or will.")
@stop_options
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
