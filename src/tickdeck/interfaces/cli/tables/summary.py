"""A run's figures as a table for the user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tickdeck.application.results import Summary
from tickdeck.application.units import clock_time, day, span
from tickdeck.application.wording import counted
from tickdeck.domain.values import plain
from tickdeck.infrastructure.reporting.words import amount
from tickdeck.interfaces.cli.output import console, program

if TYPE_CHECKING:
    from tickdeck.application.results import Performance

__all__ = ["print_summary"]

_Rows = list[tuple[str, str]]


def print_summary(
    summary: Summary,
    performance: Performance | None,
    assumptions: Sequence[str],
    *,
    data: Path,
    resumed: bool,
    report: str | None = None,
) -> None:
    """Print the figures, the paths of the tape and the report, the assumptions about fills, and what to do next. The
    most important comes last, so that it is visible without scrolling on a terminal of 80 columns and 24 lines."""
    out = console()
    whole = not out.is_terminal  # a terminal gets lines that are broken between words; a script whole ones
    out.print(_headline(summary))
    columns = Table.grid(padding=(0, 4))
    account = _column(f"account in {summary.currency}", _account(summary))
    columns.add_row(_column("trading", _trading(summary)), account)
    out.print(Padding(columns, (1, 2)))
    if summary.accounts:
        out.print(Text.assemble(("accounts ", "bold"), _accounts(summary)), soft_wrap=whole)
    if summary.copies_failed:
        out.print(Text.assemble(("copies ", "bold"), _copies(summary)), soft_wrap=whole)
    if summary.refused_because or summary.rejected_because:
        out.print(Text.assemble(("why   ", "bold"), _reasons(summary)), soft_wrap=whole)
    if performance is not None:
        out.print(Text.assemble(("trades ", "bold"), _report(performance)), soft_wrap=whole)
    out.print(Text.assemble(("data  ", "bold"), _data(summary)), soft_wrap=whole)
    out.print(Text.assemble(("speed ", "bold"), _machine(summary)), soft_wrap=whole)
    out.print(Text.assemble(("tape  ", "bold"), _near(summary.tape)), soft_wrap=True)
    fills = assumptions[0]
    if len(assumptions) > 1:
        latencies, fees = (text[:1].lower() + text[1:] for text in (assumptions[0].rstrip("."), assumptions[1]))
        fills = f"{latencies}; {fees.split(' of the')[0]} (all assumptions: docs/paper-venue.md)"
    out.print(Text.assemble(("fills ", "bold"), (fills, "dim")), soft_wrap=whole)
    if report is not None:
        out.print(Text.assemble(("report ", "bold"), _near(report)), soft_wrap=True)
    # A program that starts the run with an exchange of its own sets this to 0: the run cannot go on without it.
    if os.environ.get("TICKDECK_HINT", "1") != "0":
        out.print(Text.assemble(("next  ", "bold"), _next(summary, data, resumed)), soft_wrap=True)
    if summary.nothing_passed is not None:
        out.print(Text(summary.nothing_passed, "bold red"), soft_wrap=True)


def _headline(summary: Summary) -> Text:
    text = Text.assemble(("run ", "bold"), (summary.run, "bold"), f" {summary.status}")
    text.append(f": {summary.reason}\n")
    text.append(f"{', '.join(summary.strategies) or 'no strategy'} on {', '.join(summary.symbols)}, ")
    text.append(f"{day(summary.first_ts)} {clock_time(summary.first_ts)[:8]} UTC, ")
    text.append(span(summary.last_ts - summary.first_ts))
    if summary.halted is not None:
        text.append(f"\ntrading was halted: {summary.halted}", style="bold red")
    if summary.paused:
        why = " after an error" if summary.failures else ""
        text.append(f"\npaused{why}: {', '.join(summary.paused)}", style="bold red")
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
        ("rejected by venue", f"{summary.rejected:,}"),
        ("outcome unknown", f"{summary.unknown:,}"),
    ]


def _account(summary: Summary) -> _Rows:
    amounts = {
        "equity": summary.equity,
        "cash": summary.cash,
        "pnl (after fees)": summary.pnl,
        "fees": summary.fees,
    }
    rows = [(name, amount(value)) for name, value in amounts.items()]
    for symbol, quantity in summary.position.items():
        rows.append((f"{'dust' if symbol in summary.dust else 'position'} {symbol}", plain(quantity)))
    return rows


def _accounts(summary: Summary) -> str:
    """One line: the equity and the result of each account, and whether it is halted."""
    told = []
    for one in summary.accounts:
        halted = ", halted" if one.halted is not None else ""
        told.append(f"{one.account} {amount(one.equity)} (pnl {one.pnl:+,.2f}, {counted(one.orders, 'order')}{halted})")
    return "; ".join(told)


def _reasons(summary: Summary) -> str:
    """One line: why orders were refused and rejected, the most frequent reasons first."""
    groups = (("refused by risk", summary.refused_because), ("rejected by the venue", summary.rejected_because))
    told = (
        f"{name}: " + ", ".join(f"{reason} {count:,}x" for reason, count in reasons.items())
        for name, reasons in groups
        if reasons
    )
    return "; ".join(told)


def _copies(summary: Summary) -> str:
    """One line: how many copies failed, and the most frequent reason."""
    reason = next(iter(summary.copies_failed_because), "")
    return f"{summary.copies_failed:,} failed, most often because: {reason} (tickdeck events RUN --type trade.failed)"


def _data(summary: Summary) -> str:
    """One line: gaps in the market data, and since when each order book is usable."""
    holes = ", ".join(f"{symbol} {count:,}" for symbol, count in summary.gaps.items())
    told = [f"gaps: {holes or 'none'}"]
    for symbol, book in summary.books.items():
        since = "ever" if book.since is None else f"since {clock_time(book.since)[:8]}"
        told.append(f"book of {symbol} {'usable' if book.usable else 'not usable'} {since}")
    return "; ".join(told)


def _machine(summary: Summary) -> str:
    """One line: the amount of work, and the speed."""
    latency = summary.latency_us
    told = f"{counted(summary.events, 'event')} from {counted(summary.inputs, 'input')} in {summary.wall_s:,.2f} s"
    if summary.dropped:
        told += f", {summary.dropped:,} dropped"
    if latency.p50 is not None and latency.p99 is not None:
        told += f"; median {latency.p50:,.0f} µs an input, p99 {latency.p99:,.0f}"
    return told


def _report(performance: Performance) -> str:
    won = "-" if performance.win_rate is None else f"{performance.win_rate:.1%}"
    told = f"{performance.trades:,} closed, win rate {won}, max drawdown {performance.max_drawdown:.4%}"
    told += f", sharpe {_ratio(performance.sharpe)}"
    if performance.returns is not None:
        told += f", sortino {_ratio(performance.sortino)} (per year, from returns over {performance.returns})"
    return told


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _near(tape: str) -> str:
    """The path relative to the current folder, if it is below it."""
    path = Path(tape)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else tape


def _next(summary: Summary, data: Path, resumed: bool) -> str:
    run = summary.run if resumed else "last"
    called = program()
    where = "" if data == Path("tickdeck-data") else f" --data {data}"
    if summary.status != "completed":
        return f"{called} run --resume {run}{where}"
    return f"{called} verify {run}{where}"
