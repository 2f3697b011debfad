"""Runs with triggers, and what their tests ask of them."""

from __future__ import annotations

from typing import Any

from application_kit import SECOND, Core

from tickdeck.application.engines import TriggerWish
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CommandReceived, DomainEvent, SystemWarning, TriggerFired

__all__ = ["HOUR", "Quiet", "command", "fired", "run", "topics", "wish"]

HOUR = 3_600 * SECOND


class Quiet(Strategy):
    """Does nothing."""


def wish(when: str, then: str = "notify", name: str = "t", **how: Any) -> TriggerWish:
    return TriggerWish(name=name, when=when, then=then, **how)


def run(*wishes: TriggerWish, **options: Any) -> Core:
    return Core({"quiet": Quiet()}, triggers=wishes, **options).start()


def fired(core: Core) -> list[tuple[str, dict[str, str]]]:
    return [(event.trigger_id, event.values) for event in core.of("trigger.fired") if isinstance(event, TriggerFired)]


def command(core: Core, name: str, trigger_id: str = "t", **arguments: str) -> list[str]:
    """Send a command. Returns what the run did not do, and why."""
    before = core.kernel.seq
    core.feed(CommandReceived(command=f"trigger-{name}", arguments={"trigger_id": trigger_id, **arguments}))
    return [e.message for e in core.tape.events if isinstance(e, SystemWarning) and e.seq > before]


def topics(core: Core) -> set[type[DomainEvent]]:
    """The events that may change a condition and that the engine receives."""
    return set(core.triggers._inputs._hearing)
