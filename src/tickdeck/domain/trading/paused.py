"""Which strategies of a run are paused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from tickdeck.domain.events import DomainEvent, StrategyActivated, StrategyDeleted, StrategyPaused

__all__ = ["PausedStrategies"]


class PausedStrategies(list[str]):
    """The ids of the paused strategies, in the order in which they were paused. Use only ``apply`` to change it."""

    __slots__ = ()

    @classmethod
    def fold(cls, events: Iterable[DomainEvent]) -> Self:
        """The paused strategies after ``events``: all ``strategy.*`` events, in order. Other events change nothing."""
        paused = cls()
        for event in events:
            paused.apply(event)
        return paused

    def apply(self, event: DomainEvent) -> None:
        """Apply an event. Events other than ``strategy.*`` change nothing."""
        if isinstance(event, StrategyPaused):
            if event.strategy_id not in self:
                self.append(event.strategy_id)
        elif isinstance(event, StrategyActivated | StrategyDeleted) and event.strategy_id in self:
            self.remove(event.strategy_id)
