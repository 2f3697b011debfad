"""``tickdeck trades``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tickdeck.application.units import clock_time, day, span
from tickdeck.domain.values import Side, plain
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, json_option, recorded_run, run_argument
from tickdeck.interfaces.cli.output import console, note, print_lines

if TYPE_CHECKING:
    from tickdeck.application.results import TradeJournal, TradeStatistics
    from tickdeck.domain.trading import RoundTrip

__all__ = ["trades"]

_BY = ("user", "account", "strategy", "symbol", "day")


@click.command()
@run_argument
@click.option("--symbol", metavar="S", help="Only trades in this symbol.")
@click.option("--strategy", metavar="ID", help="Only trades of this strategy.")
@click.option("--by", type=click.Choice(_BY), metavar="KEY", help=f"Statistics instead: by {', '.join(_BY)}.")
@data_option
@json_option("One JSON object per trade, or per line of the statistics,")
def trades(run: str, symbol: str | None, strategy: str | None, by: str | None, data: Path, as_json: bool) -> int:
    """List the round trips of RUN: from a flat position to the next flat one, with prices, fees, PnL and reasons.

    The PnL is after fees. An open trade is listed without an end; what is still open of it counts at cost. The ids in
    brackets are those of the first and last fill, for `tickdeck trace`. Statistics have one line for each key and quote
    currency, without open trades. Where strategies trade one symbol in one account, each has trades of its own, and
    `flatten` closes the one that began first first. `tickdeck export RUN --trades` writes the trades to a file.

    \b
    Examples:
      tickdeck trades last
      tickdeck trades last --by strategy
      tickdeck trades last --symbol BTCUSDT --json
    """
    journal = _journal(data, run)
    trips = [*journal.closed, *journal.open()]
    trips = [trip for trip in trips if symbol in (None, trip.symbol) and strategy in (None, trip.strategy_id)]
    if by is not None:
        from tickdeck.application.results import trade_statistics

        _print_statistics(by, trade_statistics(trips, by), as_json)
    elif as_json:
        from tickdeck.infrastructure.exporting import trade_row

        print_lines(msgspec.json.encode(trade_row(trip)) for trip in trips)
    elif trips:
        _print(trips)
    else:
        note("there are no trades" if symbol is None and strategy is None else "no trade matches")
    return DONE


def _journal(data: Path, run: str) -> TradeJournal:
    from tickdeck.bootstrap import trade_journal

    return trade_journal(recorded_run(data, run, market=False))


def _print(trips: Sequence[RoundTrip]) -> None:
    """A line for each trade, and its strategy, reasons and fills below."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("opened", "lasted", "trade"):
        table.add_column(name, no_wrap=True)
    for name in ("entry", "exit", "pnl"):
        table.add_column(name, justify="right", no_wrap=True)
    for trip in trips:
        side = "long" if trip.side is Side.BUY else "short"
        table.add_row(
            f"{day(trip.entry_ts)} {clock_time(trip.entry_ts)[:8]}",
            "open" if trip.exit_ts is None else span(trip.exit_ts - trip.entry_ts),
            f"{side} {_amount(trip)} {trip.symbol}",
            _short(trip.entry_price),
            "-" if trip.exit_price is None else _short(trip.exit_price),
            f"{trip.pnl:+,.4f} {trip.currency}",
        )
    for number, line in enumerate(out.render_lines(table, pad=False)):
        out.print(Text("".join(segment.text for segment in line).rstrip()), soft_wrap=True)
        if number:
            out.print(Text(f"  {_details(trips[number - 1])}", style="dim"), soft_wrap=True)


def _details(trip: RoundTrip) -> str:
    entry = f"{trip.entry_reason or 'no reason'} [{trip.entry_event}]"
    leave = "" if trip.exit_ts is None else f" -> {trip.exit_reason or 'no reason'} [{trip.exit_event}]"
    return f"{trip.strategy_id or 'no strategy'}: {entry}{leave}"


def _plain(figure: TradeStatistics) -> dict[str, Any]:
    """The figures by name, amounts without trailing zeros."""
    values = msgspec.structs.asdict(figure)
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _print_statistics(by: str, figures: Sequence[TradeStatistics], as_json: bool) -> None:
    if as_json:
        print_lines(msgspec.json.encode({by: line.pop("key")} | line) for line in map(_plain, figures))
        return
    if not figures:
        note("no trade was closed")
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column(by, no_wrap=True)
    for name in ("trades", "won after fees", "volume", "fees", "pnl", "profit factor", "expectancy"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in figures:
        table.add_row(
            line.key or "-",
            f"{line.trades:,}",
            f"{line.win_rate:.0%}",
            f"{line.volume:,.2f}",
            f"{line.fees:,.4f}",
            f"{line.pnl:+,.4f} {line.currency}",
            "-" if line.profit_factor is None else f"{line.profit_factor:.2f}",
            f"{line.expectancy:+,.4f}",
        )
    console().print(table)


def _amount(trip: RoundTrip) -> str:
    """What was entered; of a trade that is partly closed also what is still held."""
    entered = _short(trip.quantity)
    return entered if trip.held in (0, trip.quantity) else f"{_short(trip.held)} of {entered}"


def _short(value: Decimal) -> str:
    """At most 8 decimals, without zeros at the end."""
    text = f"{value:,.8f}"
    return text.rstrip("0").rstrip(".")
