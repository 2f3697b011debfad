"""``tickdeck submit`` sends an order of the operator's."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.domain.values import TimeInForce
from tickdeck.interfaces.cli.sending import account_options, send, stop_options

__all__ = ["submit"]


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
@stop_options
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
