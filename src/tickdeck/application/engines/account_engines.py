"""The engines of one account."""

from __future__ import annotations

from typing import NamedTuple

from tickdeck.application.engines.account_bus import AccountBus, CoreBus
from tickdeck.application.engines.execution import ExecutionEngine
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.risk import RiskEngine
from tickdeck.domain.events import DomainEvent

__all__ = ["AccountEngines"]


class AccountEngines(NamedTuple):
    """The engines of one account. ``bus`` is the kernel, or this account's part of it if the run has several."""

    bus: CoreBus
    risk: RiskEngine
    execution: ExecutionEngine
    portfolio: PortfolioEngine

    @property
    def account_id(self) -> str:
        return self.portfolio.account_id

    def recall(self, event: DomainEvent) -> None:
        """Fold an event of the record into the state of the engines."""
        if isinstance(self.bus, AccountBus) and not self.bus.is_ours(event):
            return
        self.portfolio.recall(event)  # which published what it had booked; risk judges the equity
        self.risk.recall(event)
        self.execution.recall(event)
