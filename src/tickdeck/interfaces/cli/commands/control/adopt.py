"""``tickdeck adopt`` takes the venue's balance where it differs from a run's."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["adopt"]


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
