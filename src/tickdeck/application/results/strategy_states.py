"""What each strategy of a run is, and what it said last about its state: a projection of the run's events."""

from __future__ import annotations

from tickdeck.application.bus import EventBus
from tickdeck.domain.events import DomainEvent, StateUpdated, StrategyCreated, StrategyEvent
from tickdeck.domain.trading import StrategyDefinition

__all__ = ["STRATEGY_EVENTS", "StrategyStates"]

STRATEGY_EVENTS: tuple[type[DomainEvent], ...] = (StrategyEvent, StateUpdated)
"""The events that it is made from."""


class StrategyStates:
    """Follows any bus, or takes the events of a record one by one.

    ``definitions`` has the strategies by id, in the order in which they joined the run, also those that were deleted.
    ``said`` is the last ``state.updated`` of each that published one.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, StrategyDefinition] = {}
        self.said: dict[str, StateUpdated] = {}

    def follow(self, bus: EventBus) -> None:
        """Subscribe to everything that it needs."""
        for event_class in STRATEGY_EVENTS:
            bus.subscribe(event_class, self.apply, name="strategy states", priority=-100, component="report")

    def apply(self, event: DomainEvent) -> None:
        """Take the next event. Other events than ``STRATEGY_EVENTS`` change nothing."""
        if isinstance(event, StateUpdated):
            if event.kind == "strategy":
                self.said[event.owner] = event
        elif isinstance(event, StrategyEvent):
            if isinstance(event, StrategyCreated):  # one that was deleted may join again under its id
                self.definitions.pop(event.strategy_id, None)
                self.said.pop(event.strategy_id, None)
            known = self.definitions.setdefault(
                event.strategy_id, StrategyDefinition(event.strategy_id, event.name, event.role, in_run=True)
            )
            known.apply(event)
