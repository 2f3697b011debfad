"""``tickdeck close`` closes the position of a run in one symbol."""

from __future__ import annotations

from pathlib import Path

import click

from tickdeck.interfaces.cli.sending import account_options, send

__all__ = ["close"]


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
