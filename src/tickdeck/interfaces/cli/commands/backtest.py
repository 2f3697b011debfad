"""``tickdeck backtest``."""

from __future__ import annotations

from typing import Any

import click

from tickdeck.interfaces.cli.commands.run import execute, name_option, run_options, speed_value

__all__ = ["backtest"]


@click.command()
@run_options
@name_option
@click.option(
    "--speed", type=speed_value, metavar="X|max", default="max", show_default=True, help="Times real time, or max."
)
def backtest(speed: float, **options: Any) -> int:
    """Run on recorded market data at full speed, and report the results of the strategies.

    Sharpe and Sortino use the equity's daily returns (hourly if the session is shorter than a week), scaled to a year,
    without a risk-free rate. Sessions shorter than a day have neither. The drawdown is exact, as a fraction of the
    peak. The win rate is before fees.

    \b
    Examples:
      tickdeck backtest --tape btcusdt.raw.gz --strategy ema-cross
      tickdeck backtest --tape btc.csv.gz --tape eth.csv.gz --strategy mine.py:Pairs --json
    """
    return execute(speed, report=True, **options)
