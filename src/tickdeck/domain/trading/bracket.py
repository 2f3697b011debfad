"""A bracket order: an entry, and the stop and target of what it fills, from the order to the end."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events import (
    BracketChangedEvent,
    BracketOpenedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    ProtectionDecidedEvent,
    ProtectionEndedEvent,
    ProtectionEvent,
    ProtectionTerms,
)
from tickdeck.domain.trading.bracket_life_cycle import BRACKET_TRANSITIONS, BracketStatus
from tickdeck.domain.trading.order import Order
from tickdeck.domain.trading.protection import Protection
from tickdeck.domain.trading.protection_life_cycle import ProtectionStatus
from tickdeck.domain.trading.saga import Saga
from tickdeck.domain.values import ZERO, OrderStatus, Quantity

__all__ = ["Bracket"]

_REACHED = {"stop": "stop", "target": "target", "trailing": "trailing stop", "exit": "closed at market"}


class Bracket(Saga[BracketStatus]):
    """How far a bracket order has come. The entry is an order with a protection, which look after the fills; this adds
    when the entry ends, what follows if the venue refuses to protect what is held, and what a person is told.

    - ``filled`` and ``held`` (base): what its entry has filled, and what is left of that.
    - ``is_over``: the entry is being cancelled, so no more is entered than what is on its way.
    - ``is_late``: its time was over while the entry was open.
    - ``refusals``: how often in a row the venue refused the order at its stop and target.
    - ``retry_id``: the timer after which that order is placed again; 0 is none.
    """

    what: ClassVar[str] = "bracket"
    transitions = BRACKET_TRANSITIONS

    def __init__(self, opened: BracketOpenedEvent) -> None:
        super().__init__(opened.bracket_id, BracketStatus.NEW)
        self.opened = opened
        self.filled: Quantity = ZERO
        self.held: Quantity = ZERO
        self.reason = ""
        self.is_over = False
        self.is_late = False
        self.refusals = 0
        self.retry_id = 0
        self._exit_id = ""  # the last order that closes what is held
        self._exit_reason = ""
        self._trails = False
        self._ended = ""  # why the protection ended
        self._has_held = False  # whether its entry ever opened a position

    @property
    def terms(self) -> ProtectionTerms:
        """The stop and the target that it began with; ``protect`` may have changed them since."""
        return self.opened.terms

    # -- what happens ------------------------------------------------------------------------------------------------

    def hear(self, event: OrderEvent | ProtectionEvent) -> None:
        """Note an event of its orders or its protection."""
        if isinstance(event, OrderCancelRequestedEvent):
            self.is_over = self.is_over or event.order_id == self.saga_id
        elif isinstance(event, ProtectionEvent):
            self._ended = event.reason if isinstance(event, ProtectionEndedEvent) else ""
            if isinstance(event, ProtectionDecidedEvent) and event.intent.action == "order":
                self._exit_id, self._exit_reason, self._trails = event.intent.order_id, event.reason, event.trails

    def time_out(self) -> None:
        """Its time is over, and its timer has fired."""
        self.timer_id, self.is_late = 0, True

    def apply(self, event: BracketChangedEvent) -> None:
        """Take the step that was recorded."""
        self.become(BracketStatus(event.status))
        self.filled, self.held, self.reason = event.filled, event.held, event.reason
        self.refusals = event.refusals
        self._has_held = self._has_held or bool(event.held)

    # -- queries -----------------------------------------------------------------------------------------------------

    @property
    def exit_id(self) -> str:
        """The id of the newest order that closes what is held; empty before the first."""
        return self._exit_id

    def observe(self, entry: Order, protection: Protection, exit_order: Order | None) -> tuple[BracketStatus, str]:
        """The status that follows from the orders and the protection as they are now, and the reason."""
        entering = entry.is_open or bool(entry.missing)
        if protection.ended and not entering and self._ended:
            return self._end(entry, exit_order)
        for order in (entry, exit_order):
            if order is not None and order.status is OrderStatus.UNKNOWN:
                return BracketStatus.IN_DOUBT, f"order {order.order_id} is in doubt: {order.reason}"
        status = protection.status
        if protection.held and status is ProtectionStatus.CLOSING:
            return BracketStatus.CLOSING, _REACHED.get(protection.triggered, "closed at market")
        if entering and self.is_over:
            return BracketStatus.CANCELLING, "its entry is being cancelled"
        if not protection.held:  # without an open entry, the end of the protection follows
            return (BracketStatus.ENTERING, "") if entering else (self.status, self.reason)
        if protection.exit is None:
            return BracketStatus.GUARDED, "no order at the venue protects it"
        rests = exit_order is not None and exit_order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
        if rests and not protection.exit.is_leaving:
            return BracketStatus.PROTECTED, ""
        return BracketStatus.PROTECTING, ""

    def _end(self, entry: Order, exit_order: Order | None) -> tuple[BracketStatus, str]:
        if not entry.filled:
            return BracketStatus.FAILED, entry.reason or f"its entry was {entry.status.value}, and nothing was filled"
        if self._ended == "removed":
            return BracketStatus.DONE, "its stop and target were removed"
        if exit_order is None and not self._has_held and self._ended == "closed":
            return BracketStatus.DONE, "its entry only closed a position; there is nothing to protect"
        if exit_order is None or not exit_order.filled:
            why = "what is left is too little for an order" if self._ended == "dust" else "closed by another order"
            return BracketStatus.DONE, why
        if self._exit_reason in _REACHED:
            return BracketStatus.DONE, _REACHED[self._exit_reason]
        price, target = exit_order.average_price, exit_order.limit
        if target is not None and price is not None and entry.side.sign * (price - target) >= 0:
            return BracketStatus.DONE, _REACHED["target"]
        return BracketStatus.DONE, _REACHED["trailing" if self._trails else "stop"]
