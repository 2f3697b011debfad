"""``tickdeck bracket`` enters a position that closes itself."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["bracket"]

_PRICE = "PRICE|N%"


@click.command()
@account_options
@click.argument("side", type=click.Choice(("buy", "sell")))
@click.argument("symbol", metavar="SYMBOL")
@click.argument("quantity", metavar="QUANTITY")
@click.option("--entry", required=True, metavar="PRICE|market", help="The limit of the entry, or `market`.")
@click.option(
    "--stop",
    "--stop-loss",
    "stop_loss",
    default="",
    metavar=_PRICE,
    help="The stop, or its distance from the entry.",
)
@click.option(
    "--target", "--take-profit", "take_profit", default="", metavar=_PRICE, help="The target, or its distance."
)
@click.option("--trailing", default="", metavar=_PRICE, help="A stop at this distance from the best price since.")
@click.option(
    "--expires", default="", metavar="TIME", help="When what is not filled is cancelled, such as 30m; default: never."
)
def bracket(
    run: str,
    side: str,
    symbol: str,
    quantity: str,
    entry: str,
    stop_loss: str,
    take_profit: str,
    trailing: str,
    expires: str,
    reason: str,
    command_id: str,
    data: Path,
    as_json: bool,
) -> int:
    """Let RUN enter a position, and close it at a stop or a target: a bracket order.

    What the entry fills is protected at once, however much of it that is. After --expires the rest is cancelled. If the
    venue refuses three times to protect the position, it is closed at market. `tickdeck show RUN brackets` shows how
    far it has come. The id of the bracket is that of its entry order: `cancel` ends the entry, `protect --order` moves
    the stop and the target, `unprotect --order` removes them.

    \b
    Examples:
      tickdeck bracket last buy BTCUSDT 0.01 --entry 64000 --stop 63000 --target 66000 --expires 30m
      tickdeck bracket last buy BTCUSDT 0.01 --entry market --stop 2% --trailing 1%
    """
    if not (stop_loss or take_profit or trailing):
        raise click.UsageError("give --stop, --target, --trailing or several of them")
    return send(
        data,
        run,
        "bracket",
        reason,
        command_id,
        as_json,
        side=side,
        symbol=symbol,
        quantity=quantity,
        entry=entry,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing=trailing,
        expires=expires,
    )
