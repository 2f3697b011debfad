"""The reconciliation of trades whose outcome is not known: what an exchange was asked, and what followed."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority

__all__ = [
    "ReconciliationEvent",
    "ReconciliationHandedOverEvent",
    "ReconciliationReadEvent",
    "ReconciliationSettledEvent",
    "reconciliation_stream",
]


class ReconciliationEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to the reconciliation of one trade, whose only order is ``order_id``."""

    priority: ClassVar[Priority] = Priority.P1
    trade_id: str
    account_id: str = "main"
    user_id: str = ""
    symbol: str
    order_id: str

    @property
    def aggregate_id(self) -> str:
        return self.trade_id

    @property
    def stream(self) -> str:
        return reconciliation_stream(self.account_id, self.trade_id)


def reconciliation_stream(account_id: str, trade_id: str) -> str:
    """The stream of the reconciliation of one trade."""
    return f"reconciliation/{account_id}/{trade_id}"


class ReconciliationReadEvent(ReconciliationEvent, frozen=True, kw_only=True, gc=False):
    """The exchange was asked, and its answer settles nothing: ``reason`` says why. Emitted by a use case.

    ``found``: ``nowhere`` (it does not know the order), ``open`` (it knows it, but not how it ends), ``contradiction``
    or ``no_answer``. ``since`` is the exchange's time of the first reading in a row that found the order nowhere (ns
    UTC); 0 if this one did not.
    """

    event_type: ClassVar[str] = "reconciliation.read"
    found: str
    since: int = 0
    reason: str = ""


class ReconciliationHandedOverEvent(ReconciliationEvent, frozen=True, kw_only=True, gc=False):
    """A person must look at the exchange and decide: ``reason`` says why. The trade keeps its money. Emitted by a use
    case."""

    event_type: ClassVar[str] = "reconciliation.handed_over"
    priority: ClassVar[Priority] = Priority.P0
    reason: str


class ReconciliationSettledEvent(ReconciliationEvent, frozen=True, kw_only=True, gc=False):
    """The trade is confirmed or rolled back, with the evidence in ``reason``. Emitted by a use case, with the event of
    the trade."""

    event_type: ClassVar[str] = "reconciliation.settled"
    reason: str
