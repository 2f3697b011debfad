"""Generates the wiring diagram of docs/design.md from the events that each engine declares.

    python tools/wiring.py            print it
    python tools/wiring.py --write    write it to the page

An arrow shows which events of one engine another engine receives. A family such as ``order.*`` stands for more than
three of its members. Exit codes: 0 for success, 2 for wrong arguments.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from tickdeck.application.engines import (
    BracketEngine,
    CopyEngine,
    ExecutionEngine,
    FeedMonitor,
    HeartbeatEngine,
    InstrumentEngine,
    MarketDataEngine,
    OperatorEngine,
    PortfolioEngine,
    RiskEngine,
    SignalEngine,
    StrategyEngine,
    StrategyProfits,
    TriggerEngine,
    VenueGateway,
)
from tickdeck.domain.events import DomainEvent, iter_event_classes

__all__ = ["ENGINES", "diagram", "in_page"]

ENGINES: tuple[Any, ...] = (
    InstrumentEngine,
    MarketDataEngine,
    FeedMonitor,
    SignalEngine,
    StrategyEngine,
    StrategyProfits,
    TriggerEngine,
    OperatorEngine,
    RiskEngine,
    ExecutionEngine,
    VenueGateway,
    PortfolioEngine,
    HeartbeatEngine,
    BracketEngine,
    CopyEngine,
)
SOURCES = {
    "market": ("market.trade", "market.tick", "market.book", "market.book_delta", "market.candle"),
    "driver": ("run.started", "run.stopped", "feed.connected", "feed.disconnected", "timer.fired"),
    "commands": ("command.received",),
    "venue": (
        "venue.order_reported",
        "venue.fill_reported",
        "venue.balance_reported",
        "venue.margin_call_reported",
        "venue.liquidation_reported",
        "venue.instrument_reported",
        "venue.external_fill_reported",
        "venue.transfer_reported",
    ),
    "kernel": ("system.handler_failed", "trading.halted", "timer.set", "timer.cancelled"),
}
"""Events from outside the engines."""
PAGE = Path(__file__).resolve().parent.parent / "docs" / "design.md"
_BLOCK = re.compile(r"(?<=<!-- wiring: made by tools/wiring.py -->\n)```mermaid\n.*?^```\n", re.DOTALL | re.MULTILINE)


def diagram() -> str:
    """A Mermaid flowchart of sources and engines, with an arrow for each pair that shares events."""
    lines = ["flowchart LR"]
    lines += [f"  {name}([{name}])" for name in SOURCES]
    lines += [f"  {engine.component}[{engine.component.replace('_', ' ')}]" for engine in ENGINES]
    lines.append("  gateway -->|sends| venue")
    publishers = [(name, set(types)) for name, types in SOURCES.items()]
    publishers += [(engine.component, {cls.event_type for cls in engine.publishes}) for engine in ENGINES]
    for name, published in publishers:
        for engine in ENGINES:
            received = _received(engine)
            shared = published & received
            if shared and not (name == engine.component or (name == "gateway" and engine is ExecutionEngine)):
                lines.append(f'  {name} -->|"{_describe(shared)}"| {engine.component}')
    return "\n".join(lines) + "\n"


def _received(engine: Any) -> set[str]:
    return {cls.event_type for cls in _ours() if issubclass(cls, engine.hears)}


def _ours() -> list[type[DomainEvent]]:
    return [cls for cls in iter_event_classes() if cls.__module__.startswith("tickdeck.")]


def _describe(types: set[str]) -> str:
    """Returns, for example, ``order.accepted, cancelled``: members of a family share its name."""
    families: dict[str, list[str]] = {}
    for name in sorted(types):
        family, _, member = name.partition(".")
        families.setdefault(family, []).append(member)
    return "; ".join(
        f"{family}.*" if len(members) > 3 else f"{family}.{', '.join(members)}" for family, members in families.items()
    )


def in_page(page: str) -> str:
    """The page with the current diagram. Raises ``ValueError`` if the page has no diagram."""
    if _BLOCK.search(page) is None:
        raise ValueError("there is no wiring diagram in the page; mark its place with the comment that names this tool")
    return _BLOCK.sub(lambda _: f"```mermaid\n{diagram()}```\n", page)


def main(words: list[str]) -> int:
    if words == ["--write"]:
        PAGE.write_text(in_page(PAGE.read_text("utf-8")), "utf-8")
    elif not words:
        print(diagram(), end="")
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
