"""Bracket orders: an entry with its stop and target, and how far it has come."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.strategy import ProtectionTerms
from tickdeck.domain.values import Price, Quantity, Side

__all__ = ["BracketChangedEvent", "BracketEvent", "BracketOpenedEvent", "bracket_stream"]


class BracketEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one bracket order.

    ``bracket_id`` is the id of its entry order, and of the protection of what that fills. ``user_id`` is the owner of
    the account; empty if there is none.
    """

    priority: ClassVar[Priority] = Priority.P1
    bracket_id: str
    symbol: str
    account_id: str = "main"
    user_id: str = ""
    strategy_id: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.bracket_id

    @property
    def stream(self) -> str:
        return bracket_stream(self.account_id, self.bracket_id)


def bracket_stream(account_id: str, bracket_id: str) -> str:
    """The stream of one bracket order."""
    return f"bracket/{account_id}/{bracket_id}"


class BracketOpenedEvent(BracketEvent, frozen=True, kw_only=True, gc=False):
    """A bracket order begins. Emitted by the bracket engine, or by the strategy's call ``bracket``, after the decision
    that orders its entry.

    ``side``, ``quantity`` (base) and ``limit`` (quote; null for a market order) are those of the entry. ``terms`` say
    where what it fills is closed. ``expires`` is when what is not filled of the entry is cancelled (ns UTC); 0 is
    never.
    """

    event_type: ClassVar[str] = "bracket.opened"
    side: Side
    quantity: Quantity
    limit: Price | None = None
    terms: ProtectionTerms
    expires: int = 0

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise invalid(self, "quantity", "above 0")
        if self.expires < 0:
            raise invalid(self, "expires", "a time, or 0")


class BracketChangedEvent(BracketEvent, frozen=True, kw_only=True, gc=False):
    """A bracket order took a step of its life cycle. Emitted by the bracket engine.

    ``status`` is one of ``entering``, ``cancelling``, ``in_doubt``, ``protecting``, ``protected``, ``guarded``,
    ``closing``, ``done`` and ``failed``; ``reason`` says why. ``filled`` is what its entry has filled, ``held`` what is
    left of that (both base). ``refusals`` counts how often in a row the venue refused the order at its stop and target.
    """

    event_type: ClassVar[str] = "bracket.changed"
    status: str
    reason: str = ""
    filled: Quantity = Decimal(0)
    held: Quantity = Decimal(0)
    refusals: int = 0
