"""``tickdeck settle`` ends an order in doubt that the venue does not have."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["settle"]


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
