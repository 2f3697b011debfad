"""The copy of one trade of a leader, from the reservation to its end: which step may follow, and with how much."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events import OrderEvent, OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.domain.trading.copy_life_cycle import COPY_FOUND_AFTER_ALL, COPY_TRANSITIONS, CopyStatus
from tickdeck.domain.trading.exact import EXACT, average_of
from tickdeck.domain.trading.saga import Saga
from tickdeck.domain.trading.trade import Trade
from tickdeck.domain.values import ZERO, Money, Price, Quantity
from tickdeck.errors import InvalidTransition

__all__ = ["CopySaga"]


class CopySaga(Saga[CopyStatus]):
    """What became of a copy so far. Each attempt is a trade in two phases with one order.

    ``wanted`` (base) is its size; ``filled`` (base) counts all attempts, and ``attempts`` their number. ``is_over``:
    its time is over, or its order is being cancelled, so no other attempt follows.
    """

    what: ClassVar[str] = "copy"
    transitions = COPY_TRANSITIONS

    def __init__(self, copy_id: str) -> None:
        super().__init__(copy_id, CopyStatus.NEW)
        self.wanted: Quantity = ZERO
        self.filled: Quantity = ZERO
        self.attempts = 0
        self.is_over = False
        self.trade = Trade("", copy_id)  # of the current attempt
        self._filled: Quantity = ZERO  # by the current attempt
        self._reported: Quantity = ZERO  # what the venue says is filled of it
        self._notional: Money = ZERO
        self._fees: dict[str, Money] = {}

    @property
    def is_under_way(self) -> bool:
        """Whether an order may still be filled, as far as anybody knows."""
        return self.status in (CopyStatus.ORDERED, CopyStatus.CANCELLING)

    @property
    def rest(self) -> Quantity:
        """What is not executed (base)."""
        return EXACT.subtract(self.wanted, self.filled)

    # -- steps -------------------------------------------------------------------------------------------------------

    def order(self, trade: Trade) -> None:
        """An attempt begins: the money of ``trade`` is reserved, and its order follows."""
        self.become(CopyStatus.ORDERED)
        self._begin(trade)

    def resume(self, trade: Trade) -> None:
        """``order`` from the record, where the end of the attempt before it is known first."""
        self.status = CopyStatus.ORDERED
        self._begin(trade)

    def sent(self, quantity: Quantity) -> None:
        """The order of the current attempt is sent. It is smaller than its trade if stops and targets closed a part of
        the position meanwhile: that part is no longer wanted."""
        self.wanted = EXACT.subtract(self.wanted, max(EXACT.subtract(self.trade.quantity, quantity), ZERO))

    def cancel(self) -> None:
        """Its time is over: its order is being cancelled."""
        self.is_over = True
        self.become(CopyStatus.CANCELLING)

    def doubt(self) -> None:
        """Nobody knows whether the venue has the order. Does nothing if that is known already."""
        if self.status is not CopyStatus.IN_DOUBT:
            self.become(CopyStatus.IN_DOUBT)

    def reopen(self) -> None:
        """The venue has the order of the last attempt after all, which was taken for dead. No other attempt follows."""
        if self.status not in COPY_FOUND_AFTER_ALL:
            raise InvalidTransition(f"copy {self.saga_id} is {self.status}; only one that has ended comes back")
        self.status, self.is_over = CopyStatus.IN_DOUBT, True

    def end(self) -> None:
        """No other attempt follows."""
        self.become(CopyStatus.COPIED if self.filled else CopyStatus.FAILED)

    # -- what happens to the order -----------------------------------------------------------------------------------

    def count(self, event: OrderEvent, quote: str) -> bool:
        """Count an event of the current attempt's order. A fee without a currency is in ``quote``. Returns whether the
        order has ended, and all its fills are known: then ``conclude`` the trade."""
        if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            self.filled = EXACT.add(self.filled, event.quantity)
            self._filled = EXACT.add(self._filled, event.quantity)
            self._notional = EXACT.fma(event.price, event.quantity, self._notional)
            if event.fee:
                currency = event.fee_currency or quote
                self._fees[currency] = EXACT.add(self._fees.get(currency, ZERO), event.fee)
        self._reported = max(self._reported, event.filled or ZERO)
        return event.status is not None and event.status.is_final and self._filled >= self._reported

    def conclude(self, reason: str) -> None:
        """Confirm the trade of this attempt as far as it was filled, or roll it back."""
        if self._filled:
            price: Price = average_of(self._notional, self._filled)
            self.trade.confirm(price, self._filled, self._fees)
        else:
            self.trade.roll_back(reason)

    def may_try_again(self, attempts: int) -> bool:
        """Whether the remainder may be ordered again, after evidence of how the order ended."""
        return not self.is_over and self.rest > 0 and self.attempts < attempts

    def _begin(self, trade: Trade) -> None:
        self.trade = trade
        self.attempts += 1
        if self.attempts == 1:
            self.wanted = trade.quantity
        self._filled = self._reported = self._notional = ZERO
        self._fees = {}
