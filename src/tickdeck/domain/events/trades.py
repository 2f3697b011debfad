"""Events of trades in two phases: what a use case reserved, and how the trade ended.

A run trades with orders alone, and emits none of these. Use cases outside of runs emit them, such as copy trading.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.values import Money, Price, Quantity, Side

__all__ = [
    "TradeExecutedEvent",
    "TradeFailedEvent",
    "TradeNeedsReconciliationEvent",
    "TradeReservedEvent",
    "TwoPhaseTradeEvent",
    "trade_stream",
]


class TwoPhaseTradeEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one trade.

    ``order_id`` is the client order id of its only order. ``quantity`` (base) and ``limit`` (quote; null for a market
    order) are what was asked for. ``copied_from`` names the trade or order that it copies; empty if it copies none.
    ``user_id`` is the owner of the account; empty if there is none.
    """

    priority: ClassVar[Priority] = Priority.P1
    trade_id: str
    account_id: str = "main"
    user_id: str = ""
    symbol: str
    side: Side
    quantity: Quantity
    limit: Price | None = None
    order_id: str
    copied_from: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.trade_id

    @property
    def stream(self) -> str:
        return trade_stream(self.account_id, self.trade_id)


def trade_stream(account_id: str, trade_id: str) -> str:
    """The stream of one trade."""
    return f"trade/{account_id}/{trade_id}"


class TradeReservedEvent(TwoPhaseTradeEvent, frozen=True, kw_only=True, gc=False):
    """The account's money is reserved for a trade: ``reserved`` units of ``reserved_currency``. Its order may be sent
    from now on. Emitted by a use case."""

    event_type: ClassVar[str] = "trade.reserved"
    reserved: Money
    reserved_currency: str

    def __post_init__(self) -> None:
        for name in ("quantity", "reserved"):
            if getattr(self, name) <= 0:
                raise invalid(self, name, "above 0")


class TradeExecutedEvent(TwoPhaseTradeEvent, frozen=True, kw_only=True, gc=False):
    """The exchange executed a trade, in full or in part, and no part of it is open. Emitted by a use case.

    ``executed_quantity`` is in base, ``executed_price`` the average in quote. ``fees`` are by currency. ``fee`` is the
    fee in ``fee_currency``, if there is only one.
    """

    event_type: ClassVar[str] = "trade.executed"
    executed_price: Price
    executed_quantity: Quantity
    fee: Money = Decimal(0)
    fee_currency: str = ""
    fees: dict[str, Money] = {}

    def __post_init__(self) -> None:
        for name in ("executed_price", "executed_quantity"):
            if getattr(self, name) <= 0:
                raise invalid(self, name, "above 0")


class TradeFailedEvent(TwoPhaseTradeEvent, frozen=True, kw_only=True, gc=False):
    """A trade was not executed: ``reason`` says why. What it reserved is free again. If its order was taken for dead,
    and the exchange has it after all, ``trade.needs_reconciliation`` follows. Emitted by a use case."""

    event_type: ClassVar[str] = "trade.failed"
    reason: str


class TradeNeedsReconciliationEvent(TwoPhaseTradeEvent, frozen=True, kw_only=True, gc=False):
    """Nobody knows whether the exchange executed a trade: ``reason`` says why. What it reserved stays reserved until
    the exchange shows what became of the order. Emitted by a use case."""

    event_type: ClassVar[str] = "trade.needs_reconciliation"
    priority: ClassVar[Priority] = Priority.P0
    reason: str
