"""Which strategies of a run are paused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from tickdeck.domain.events import DomainEvent, StrategyActivated, StrategyDeleted, StrategyPaused

__all__ = ["PausedStrategies"]


class PausedStrategies(list[str]):
    """The ids of the strategies that are paused, in the order in which they were. Change it with ``apply`` alone."""

    @classmethod
    def fold(cls, events: Iterable[DomainEvent]) -> Self:
        """Those that are paused after ``events``: all of ``strategy.*``, in order; others change nothing."""
        paused = cls()
        for event in events:
            paused.apply(event)
        return paused

    def apply(self, event: DomainEvent) -> None:
        """Take in what happened to a strategy."""
        if isinstance(event, StrategyPaused):
            if event.strategy_id not in self:
                self.append(event.strategy_id)
        elif isinstance(event, StrategyActivated | StrategyDeleted) and event.strategy_id in self:
            self.remove(event.strategy_id)
