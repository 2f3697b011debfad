"""``tickdeck cancel`` cancels open orders of a run."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["cancel"]


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
