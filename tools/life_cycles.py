"""Draws the life cycles of docs/life-cycles.md from the tables of transitions.

    python tools/life_cycles.py            print them
    python tools/life_cycles.py --write    write them to the page

A table maps each state to the states that may follow. A life cycle may have several tables, each for one kind of cause,
whose name is written at its arrows. Exit codes: 0 for success, 2 for wrong arguments.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tickdeck.domain.trading import (
    BRACKET_TRANSITIONS,
    COPY_FOUND_AFTER_ALL,
    COPY_TRANSITIONS,
    ORDER_BY_FILL,
    ORDER_BY_REPORT,
    ORDER_FOUND_AFTER_ALL,
    POSITION_TRANSITIONS,
    PROTECTION_TRANSITIONS,
    RECONCILIATION_TRANSITIONS,
    STRATEGY_TRANSITIONS,
    TRADE_FOUND_AFTER_ALL,
    TRADE_TRANSITIONS,
    TRIGGER_TRANSITIONS,
    BracketStatus,
    CopyStatus,
    PositionStatus,
    ProtectionStatus,
    ReconciliationStatus,
    StrategyStatus,
    TradeStatus,
    TriggerStatus,
)
from tickdeck.domain.values import OrderStatus

__all__ = ["LIFE_CYCLES", "LifeCycle", "diagram", "in_page"]


class LifeCycle(NamedTuple):
    """Where something begins, and its tables by the cause that is written at their arrows; empty for none."""

    first: StrEnum
    tables: Mapping[str, Mapping[Any, Iterable[StrEnum]]]


LIFE_CYCLES: dict[str, LifeCycle] = {
    "order": LifeCycle(
        OrderStatus.SUBMITTED,
        {"report": ORDER_BY_REPORT, "fill or amend": ORDER_BY_FILL, "found after all": ORDER_FOUND_AFTER_ALL},
    ),
    "trade": LifeCycle(TradeStatus.NEW, {"": TRADE_TRANSITIONS, "found after all": TRADE_FOUND_AFTER_ALL}),
    "copy": LifeCycle(CopyStatus.NEW, {"": COPY_TRANSITIONS, "found after all": COPY_FOUND_AFTER_ALL}),
    "reconciliation": LifeCycle(ReconciliationStatus.NEW, {"": RECONCILIATION_TRANSITIONS}),
    "bracket": LifeCycle(BracketStatus.NEW, {"": BRACKET_TRANSITIONS}),
    "strategy": LifeCycle(StrategyStatus.NEW, {"": STRATEGY_TRANSITIONS}),
    "trigger": LifeCycle(TriggerStatus.NEW, {"": TRIGGER_TRANSITIONS}),
    "position": LifeCycle(PositionStatus.FLAT, {"": POSITION_TRANSITIONS}),
    "protection": LifeCycle(ProtectionStatus.WAITING, {"": PROTECTION_TRANSITIONS}),
}
"""By the name that the page gives them."""
PAGE = Path(__file__).resolve().parent.parent / "docs" / "life-cycles.md"
_BLOCK = re.compile(r"(<!-- life cycle: (\w+), made by tools/life_cycles.py -->\n)```mermaid\n.*?^```\n", re.S | re.M)


def diagram(cycle: LifeCycle) -> str:
    """A Mermaid state diagram, with one arrow for each step."""
    causes: dict[tuple[StrEnum, StrEnum], list[str]] = {}
    for cause, table in cycle.tables.items():
        for before, steps in table.items():
            for after in steps:
                causes.setdefault((before, after), []).append(cause)
    lines = ["stateDiagram-v2", f"    [*] --> {cycle.first}"]
    for (before, after), named in sorted(causes.items()):
        label = ", ".join(filter(None, named))
        lines.append(f"    {before} --> {after}" + (f": {label}" if label else ""))
    states = dict.fromkeys(state for table in cycle.tables.values() for state in table)
    lines += [f"    {state} --> [*]" for state in states if not any(before is state for before, _ in causes)]
    return "\n".join(lines) + "\n"


def in_page(page: str) -> str:
    """The page with the current diagrams. Raises ``ValueError`` if the page lacks one, or has one that is unknown."""
    found = [name for _, name in _BLOCK.findall(page)]
    if sorted(found) != sorted(LIFE_CYCLES):
        raise ValueError(f"the page draws the life cycles {found}; it must draw each of {list(LIFE_CYCLES)} once")
    return _BLOCK.sub(lambda block: f"{block[1]}```mermaid\n{diagram(LIFE_CYCLES[block[2]])}```\n", page)


def main(words: list[str]) -> int:
    if words == ["--write"]:
        PAGE.write_text(in_page(PAGE.read_text("utf-8")), "utf-8")
    elif not words:
        for name, cycle in LIFE_CYCLES.items():
            print(f"{name}\n{diagram(cycle)}")
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
