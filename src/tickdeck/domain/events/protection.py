"""Stops and targets: what protects a position, and what was decided about it."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.strategy import ActionIntent, ProtectionTerms
from tickdeck.domain.values import Price, Quantity, Side

__all__ = [
    "ProtectionDecidedEvent",
    "ProtectionEndedEvent",
    "ProtectionEvent",
    "ProtectionGuardedEvent",
    "ProtectionSetEvent",
    "ProtectionYieldedEvent",
]


class ProtectionEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to the protection of one position.

    ``protection_id`` is the id of the order that opens the position. If the position was there already, it is an id of
    the same form. ``user_id`` is the owner of the account; empty if there is none.
    """

    priority: ClassVar[Priority] = Priority.P1
    protection_id: str
    symbol: str
    account_id: str = "main"
    user_id: str = ""
    strategy_id: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.protection_id

    @property
    def stream(self) -> str:
        return f"protection/{self.account_id}/{self.protection_id}"


class ProtectionSetEvent(ProtectionEvent, frozen=True, kw_only=True, gc=False):
    """A position is protected from now on, or in another way than before. Emitted by the risk
    engine.

    ``side`` is that of the entry. ``terms`` are all that count now. ``quantity`` (base) and ``price`` (quote, its
    average) describe a position that was there already; for an entry order they are 0.
    """

    event_type: ClassVar[str] = "protection.set"
    side: Side
    terms: ProtectionTerms
    quantity: Quantity = Decimal(0)
    price: Price = Decimal(0)


class ProtectionDecidedEvent(ProtectionEvent, frozen=True, kw_only=True, gc=False):
    """An order that closes the position is sent, or cancelled. Emitted by the risk engine, before
    ``risk.approved`` with the same ``intent``. If the action of ``intent`` is ``exit``, nothing is sent yet: the
    position is closed when other orders that close it have ended.

    ``reason`` is ``stop``, ``target`` or ``trailing`` if its price was reached. ``protect``: the order waits at the
    venue. ``move``: the order is replaced, because the quantity or a price has changed. ``yield``: it makes room for
    another order. ``rest``: an earlier order did not close everything. ``exit``: the position is to be closed at once.
    ``end``: the position is no longer protected. ``trails``: the order's stop is the trailing one.
    """

    event_type: ClassVar[str] = "protection.decided"
    intent: ActionIntent
    reason: str
    trails: bool = False


class ProtectionGuardedEvent(ProtectionEvent, frozen=True, kw_only=True, gc=False):
    """No order at the venue protects the position; the run itself watches the prices. Emitted by the risk engine.

    ``reason`` says why.
    """

    event_type: ClassVar[str] = "protection.guarded"
    reason: str


class ProtectionYieldedEvent(ProtectionEvent, frozen=True, kw_only=True, gc=False):
    """An order of the strategy waits until the orders that protect its position are cancelled. Emitted by the risk
    engine, which reviews and sends the order then.

    ``intent`` is what the strategy asked for.
    """

    event_type: ClassVar[str] = "protection.yielded"
    intent: ActionIntent


class ProtectionEndedEvent(ProtectionEvent, frozen=True, kw_only=True, gc=False):
    """The protection has ended. Emitted by the risk engine.

    ``reason`` is ``closed`` (nothing of the position is left), ``unfilled`` (the entry
    ended without a fill), ``dust`` (what is left is too little for an order) or ``removed``.
    """

    event_type: ClassVar[str] = "protection.ended"
    reason: str
