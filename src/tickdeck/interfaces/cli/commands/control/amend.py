"""``tickdeck amend`` changes an open order."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["amend"]


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
