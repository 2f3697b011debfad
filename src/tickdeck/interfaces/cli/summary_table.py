"""A run's figures as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tickdeck.application.summary import Summary, plain
from tickdeck.interfaces.cli.output import console
from tickdeck.interfaces.cli.times import clock_time, day, span

if TYPE_CHECKING:
    from tickdeck.application.report import Performance

__all__ = ["print_summary"]

_Rows = list[tuple[str, str]]


def print_summary(
    summary: Summary, performance: Performance | None, assumptions: Sequence[str], *, data: Path, resumed: bool
) -> None:
    """Print the figures, what the fills rest on, where the tape is, and what to do next."""
    out = console()
    out.print(_headline(summary))
    columns = Table.grid(padding=(0, 4))
    columns.add_row(_column("trading", _trading(summary)), _column(f"account in {summary.currency}", _account(summary)))
    columns.add_row("", "")
    report = _column("strategies", _report(performance)) if performance is not None else ""
    columns.add_row(_column("machine", _machine(summary)), report)
    out.print(Padding(columns, (1, 2)))
    out.print("What the fills rest on:", style="bold")
    for sentence in assumptions:
        line = Table.grid(padding=(0, 1))
        line.add_row(" -", Text(sentence))
        out.print(line)
    out.print()
    out.print(Text.assemble(("tape  ", "bold"), _near(summary.tape)), soft_wrap=True)
    out.print(Text.assemble(("next  ", "bold"), _next(summary, data, resumed)), soft_wrap=True)


def _headline(summary: Summary) -> Text:
    text = Text.assemble(("run ", "bold"), (summary.run, "bold"), f" {summary.status}")
    text.append(f": {summary.reason}\n")
    text.append(f"{', '.join(summary.strategies) or 'no strategy'} on {', '.join(summary.symbols)}, ")
    text.append(f"{day(summary.first_ts)} {clock_time(summary.first_ts)[:8]} UTC, ")
    text.append(span(summary.last_ts - summary.first_ts))
    if summary.halted is not None:
        text.append(f"\ntrading was halted: {summary.halted}", style="bold red")
    if summary.paused:
        text.append(f"\npaused after a fault: {', '.join(summary.paused)}", style="bold red")
    return text


def _column(title: str, rows: _Rows) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_row(Text(title, style="bold"), "")
    for name, value in rows:
        table.add_row(name, value)
    return table


def _trading(summary: Summary) -> _Rows:
    return [
        ("signals", f"{summary.signals:,}"),
        ("decisions", f"{summary.decisions:,}"),
        ("refused by risk", f"{summary.refused:,}"),
        ("orders", f"{summary.orders:,}"),
        ("fills", f"{summary.fills:,}"),
        ("rejected", f"{summary.rejected:,}"),
        ("unknown", f"{summary.unknown:,}"),
    ]


def _account(summary: Summary) -> _Rows:
    amounts = {
        "equity": summary.equity,
        "cash": summary.cash,
        "pnl, fees paid": summary.pnl,
        "fees": summary.fees,
    }
    decimals = max(2, *(_decimals(amount) for amount in amounts.values()))
    rows = [(name, f"{amount:,.{decimals}f}") for name, amount in amounts.items()]
    rows += [(f"position {symbol}", plain(quantity)) for symbol, quantity in summary.position.items()]
    return rows


def _machine(summary: Summary) -> _Rows:
    latency = summary.latency_us
    return [
        ("events", f"{summary.events:,}"),
        ("inputs", f"{summary.inputs:,}"),
        ("dropped", f"{summary.dropped:,}"),
        ("seconds", f"{summary.wall_s:,.2f}"),
        ("events/s", f"{summary.events_per_s:,.0f}"),
        ("µs an input, p50", _optional(latency.p50)),
        ("µs an input, p99", _optional(latency.p99)),
    ]


def _report(performance: Performance) -> _Rows:
    return [
        ("closed trades", f"{performance.trades:,}"),
        ("win rate", "-" if performance.win_rate is None else f"{performance.win_rate:.1%}"),
        ("max drawdown", f"{performance.max_drawdown:.4%}"),
        ("sharpe, a year", "-" if performance.sharpe is None else f"{performance.sharpe:,.2f}"),
    ]


def _decimals(amount: Decimal) -> int:
    """How many count, up to the eighth: people need no more."""
    return len(plain(round(amount, 8)).partition(".")[2])


def _optional(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _near(tape: str) -> str:
    """From the current folder where it is below it."""
    path = Path(tape)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else tape


def _next(summary: Summary, data: Path, resumed: bool) -> str:
    run = summary.run if resumed else "last"
    where = "" if data == Path("tickdeck-data") else f" --data {data}"
    if summary.status != "completed":
        return f"tickdeck run --resume {run}{where}"
    return f"tickdeck verify {run}{where}"
