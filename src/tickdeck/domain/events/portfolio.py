"""What we hold: positions and balances, as we account for them."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.values import Money, Price, Quantity

__all__ = ["BalanceEvent", "PositionClosedEvent", "PositionEvent", "PositionOpenedEvent", "PositionUpdatedEvent"]


class PositionEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one position. Emitted by the portfolio engine after a fill.

    ``quantity`` in base, negative when short; ``average_price`` of the open part in quote; ``realized_pnl`` (quote,
    before fees) of this change, ``total_realized_pnl`` since the run began.
    """

    priority: ClassVar[Priority] = Priority.P1
    symbol: str
    account_id: str = "main"
    quantity: Quantity
    average_price: Price
    realized_pnl: Money = Decimal(0)
    total_realized_pnl: Money = Decimal(0)

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.symbol}"

    @property
    def stream(self) -> str:
        return f"position/{self.account_id}/{self.symbol}"


class PositionOpenedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """From flat to long or short, or through flat to the other side. Emitted by the portfolio engine after a fill."""

    event_type: ClassVar[str] = "position.opened"


class PositionUpdatedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """Larger or smaller, on the same side. Emitted by the portfolio engine after a fill."""

    event_type: ClassVar[str] = "position.updated"


class PositionClosedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """Flat again; ``quantity`` is 0, ``average_price`` that of what was closed. Emitted by the portfolio engine after a
    fill."""

    event_type: ClassVar[str] = "position.closed"


class BalanceEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An account's holding of one currency changed. Emitted by the portfolio engine.

    ``total`` and ``change`` in units of ``currency``."""

    event_type: ClassVar[str] = "balance.updated"
    priority: ClassVar[Priority] = Priority.P1
    account_id: str = "main"
    currency: str
    total: Money
    change: Money = Decimal(0)

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.currency}"

    @property
    def stream(self) -> str:
        return f"balance/{self.account_id}/{self.currency}"
