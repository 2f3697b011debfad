"""``tickdeck flatten`` cancels the orders of a run and closes its positions."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["flatten"]


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
