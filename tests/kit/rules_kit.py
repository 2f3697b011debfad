"""Runs of the strategy without code, on hand-made events."""

from __future__ import annotations

from typing import Any

from application_kit import SECOND, Core

from tickdeck.application.strategies import Rules
from tickdeck.domain.events import CommandReceived, DomainEvent, StrategyDecisionEvent, SystemWarning

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def decided(core: Core) -> list[str]:
    """The reasons of all decisions."""
    return [event.reason for event in core.of("strategy.decision") if isinstance(event, StrategyDecisionEvent)]


def run(rules: Rules, *events: DomainEvent, **options: Any) -> Core:
    return Core({"dip": rules}, **options).start().feed(*events)


def command(core: Core, name: str, **arguments: str) -> list[str]:
    """Send a command about ``dip``. Returns what the run did not do, and why."""
    before = core.kernel.seq
    core.feed(CommandReceived(command=f"strategy-{name}", arguments={"strategy_id": "dip", **arguments}))
    return [e.message for e in core.tape.events if isinstance(e, SystemWarning) and e.seq > before]
