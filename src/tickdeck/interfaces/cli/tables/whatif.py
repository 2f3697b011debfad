"""The output of ``tickdeck whatif``: the settings, the first differences, and the figures side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from tickdeck.application.bus import type_name
from tickdeck.application.units import clock_time, day
from tickdeck.domain.values import Money
from tickdeck.infrastructure.reporting.words import amount, fraction
from tickdeck.interfaces.cli.describing import describe_event

if TYPE_CHECKING:
    from tickdeck.application.proof import Difference
    from tickdeck.domain.events import DomainEvent, StrategyDecisionEvent
    from tickdeck.infrastructure.reporting import Session
    from tickdeck.infrastructure.runs import Manifest, StrategyRecord

__all__ = ["decision_lines", "figures_table", "settings_lines"]


def settings_lines(original: Manifest, other: Manifest) -> Iterator[str]:
    """One line per strategy of either run; for a strategy of both, the parameters that differ."""
    before = {record.strategy_id: record for record in original.strategies}
    after = {record.strategy_id: record for record in other.strategies}
    for strategy_id, record in before.items():
        now = after.get(strategy_id)
        if now is None:
            yield f"  {strategy_id}: only in the run ({_parameters(record)})"
        else:
            changed = [
                f"{name} {record.parameters.get(name, '-')} -> {value}"
                for name, value in now.parameters.items()
                if record.parameters.get(name) != value
            ]
            if now.sha256 != record.sha256:
                changed.append("changed source")
            yield f"  {strategy_id}: {', '.join(changed) or 'unchanged'}"
    for strategy_id, record in after.items():
        if strategy_id not in before:
            yield f"  {strategy_id}: only in the what-if ({_parameters(record)})"


def _parameters(record: StrategyRecord) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.parameters.items()) or "no parameters"


def decision_lines(difference: Difference, causes: Sequence[Mapping[str, Sequence[DomainEvent]]]) -> Iterator[str]:
    """What each side decided at that time, each below the chain of its causes."""
    yield f"  {day(difference.ts)} {clock_time(difference.ts)} UTC"
    sides = (("run    ", difference.original), ("what-if", difference.other))
    for (name, decision), known in zip(sides, causes, strict=True):
        if decision is None:
            yield f"    {name}  nothing"
            continue
        yield f"    {name}  {describe_event(decision)}  ({decision.event_id})"
        yield from (f"             because {line}" for line in _because(decision, known))


def _because(decision: StrategyDecisionEvent, known: Mapping[str, Sequence[DomainEvent]]) -> Iterator[str]:
    for cause in reversed(known.get(decision.event_id, ())):
        yield f"{type_name(cause)} {cause.event_id} {describe_event(cause)}".rstrip()


def figures_table(original: Session, other: Session) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("")
    for name in ("run", "what-if", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, count in (("decisions", "strategy.decision"), ("orders", "order.submitted")):
        _add_count(table, name, original.counts.get(count, 0), other.counts.get(count, 0))
    _add_count(table, "fills", len(original.fills), len(other.fills))
    one, two = original.performance, other.performance
    _add_count(table, "trades closed", one.trades, two.trades)
    _add_money(table, f"pnl after fees, {original.currency}", original.pnl, other.pnl)
    _add_money(table, f"fees, {original.currency}", original.fees, other.fees)
    fall = _change(f"{other.max_drawdown - original.max_drawdown:+.4%}")
    table.add_row("largest drawdown", f"{original.max_drawdown:.4%}", f"{other.max_drawdown:.4%}", fall)
    table.add_row("win rate, before fees", fraction(one.win_rate), fraction(two.win_rate), "")
    return table


def _add_count(table: Table, name: str, one: int, two: int) -> None:
    table.add_row(name, f"{one:,}", f"{two:,}", _change(f"{two - one:+,}"))


def _add_money(table: Table, name: str, one: Money, two: Money) -> None:
    table.add_row(name, amount(one), amount(two), _change(amount(two - one, sign=True)))


def _change(text: str) -> str:
    """Shorten a change that is zero, or too small to be visible."""
    return text if any(digit in text for digit in "123456789") else "0"
