"""The reconciliation of a trade whose outcome is not known: from reading to reading, until there is evidence."""

from __future__ import annotations

from typing import Any, ClassVar

from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.events import (
    DomainEvent,
    ReconciliationEvent,
    ReconciliationHandedOverEvent,
    ReconciliationReadEvent,
    ReconciliationSettledEvent,
    reconciliation_stream,
)
from tickdeck.domain.trading.reconciliation_life_cycle import RECONCILIATION_TRANSITIONS, ReconciliationStatus
from tickdeck.domain.trading.saga import Saga
from tickdeck.domain.trading.trade import Trade

__all__ = ["Reconciliation"]

_MOST_READINGS = 60  # in a row; about ten minutes
_LONGEST_WAIT = 10.0  # seconds


class Reconciliation(AggregateRoot, Saga[ReconciliationStatus]):
    """What is known about the order of one trade. ``since`` is the exchange's time of the first reading in a row that
    found it nowhere (ns UTC; 0: none), ``was_shown`` whether any reading found it, and ``readings`` their number since
    it began or was asked for again."""

    what: ClassVar[str] = "reconciliation"
    transitions = RECONCILIATION_TRANSITIONS

    def __init__(self, account_id: str, trade_id: str) -> None:
        AggregateRoot.__init__(self)
        Saga.__init__(self, trade_id, ReconciliationStatus.NEW)
        self.account_id = account_id
        self.since = 0
        self.was_shown = False
        self.readings = 0

    @property
    def identity(self) -> tuple[str, str]:
        return self.account_id, self.saga_id

    @property
    def stream(self) -> str:
        return reconciliation_stream(self.account_id, self.saga_id)

    @property
    def pause(self) -> float:
        """Seconds until the exchange is asked again: 1, 2, 4 and so on, at most 10."""
        return min(2.0 ** max(self.readings - 1, 0), _LONGEST_WAIT)

    # -- steps -------------------------------------------------------------------------------------------------------

    def read(self, trade: Trade, found: str, reason: str, since: int = 0) -> None:
        """A reading settles nothing. Too many of them in a row are for a person."""
        self._raise(trade, ReconciliationReadEvent, found=found, since=since, reason=reason)
        if self.readings >= _MOST_READINGS:
            self.hand_over(trade, f"{self.readings} readings settled nothing; the last one: {reason}")

    def hand_over(self, trade: Trade, reason: str) -> None:
        """No reading will ever settle it, or none did."""
        self._raise(trade, ReconciliationHandedOverEvent, reason=reason)

    def settle(self, trade: Trade, reason: str) -> None:
        """There is evidence, and the trade is confirmed or rolled back."""
        self._raise(trade, ReconciliationSettledEvent, reason=reason)

    # -- state -------------------------------------------------------------------------------------------------------

    def apply(self, event: DomainEvent) -> None:
        if isinstance(event, ReconciliationReadEvent):
            if self.status is ReconciliationStatus.FOR_A_PERSON:
                self.readings = 0
            self.become(ReconciliationStatus.SEARCHING)
            self.readings += 1
            if event.found != "no_answer":  # which says nothing
                self.since = event.since
            self.was_shown = self.was_shown or event.found == "open"
        elif isinstance(event, ReconciliationHandedOverEvent):
            self.become(ReconciliationStatus.FOR_A_PERSON)
        elif isinstance(event, ReconciliationSettledEvent):
            self.become(ReconciliationStatus.SETTLED)

    def _raise(self, trade: Trade, kind: type[ReconciliationEvent], **own: Any) -> None:
        self.raise_event(
            kind(
                trade_id=trade.trade_id,
                account_id=trade.account_id,
                user_id=trade.user_id,
                symbol=trade.symbol,
                order_id=trade.order_id,
                **own,
            )
        )
