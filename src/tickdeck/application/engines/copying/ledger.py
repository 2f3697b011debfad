"""What the copies of one account hold and reserve, as the events of their orders say."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.domain.events import (
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, CopySaga, Trade
from tickdeck.domain.values import ZERO, Money, Quantity, Side

__all__ = ["CopyLedger", "pays_with"]

_KEPT = 10_000  # copies, and their orders, that are remembered


class CopyLedger:
    """``portfolio`` is the follower's."""

    def __init__(self, portfolio: PortfolioEngine, instrument: Callable[[str], Instrument]) -> None:
        self._portfolio = portfolio
        self._instrument = instrument
        self.copies: dict[str, CopySaga] = {}
        """The newest copies, by id."""
        self.orders: dict[str, CopySaga] = {}
        """The newest copies, by the ids of their orders."""
        self._waiting: dict[str, tuple[str, Money]] = {}  # reserved by trades whose order does not reserve it yet
        self._exits: dict[str, tuple[str, Side, Money]] = {}  # what stops and targets of copies reserve, by order
        self._holds: dict[str, Quantity] = {}  # what copies bought minus what they sold, by symbol

    def held(self, symbol: str) -> Quantity:
        """What copies bought minus what they sold (base)."""
        return self._holds.get(symbol, ZERO)

    def is_under_way(self, symbol: str) -> bool:
        """Whether a copy in a symbol has not ended."""
        return any(copy.is_under_way and copy.trade.symbol == symbol for copy in self.copies.values())

    def count(self, event: OrderEvent) -> CopySaga | None:
        """Count an order event in what copies hold and reserve. Returns the copy, if its trade has not ended."""
        copy = self.orders.get(event.order_id)
        if isinstance(event, OrderSubmittedEvent):
            self._waiting.pop(event.order_id, None)  # from now on the order reserves it
            if copy is not None:
                copy.sent(event.quantity)
            elif event.protects:
                self._exits[event.order_id] = event.symbol, event.side, event.reserved
        elif isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            change = EXACT.multiply(event.quantity, Decimal(event.side.sign))
            if event.fee and event.fee_currency == self._instrument(event.symbol).base:
                change = EXACT.subtract(change, event.fee)
            self._holds[event.symbol] = EXACT.add(self._holds.get(event.symbol, ZERO), change)
        elif isinstance(event, OrderCancelRequestedEvent) and copy is not None:
            copy.is_over = True
        if event.order_id in self._exits:
            symbol, side, _ = self._exits[event.order_id]
            self._exits[event.order_id] = symbol, side, event.reserved
            if event.status is not None and event.status.is_final:
                del self._exits[event.order_id]
        if copy is None or copy.trade.order_id != event.order_id or copy.trade.status.is_final:
            return None
        return copy

    def refused(self, breach: RiskLimitBreachedEvent) -> CopySaga | None:
        """The copy whose order risk refused."""
        if breach.intent.action != "order" or self._waiting.pop(breach.intent.order_id, None) is None:
            return None
        return self.orders[breach.intent.order_id]

    def file(self, copy: CopySaga, trade: Trade) -> None:
        """Keep a copy by its id and by the id of its order."""
        self.copies[copy.saga_id] = copy
        self.orders[trade.order_id] = copy
        if trade.status is trade.status.RESERVED and not copy.status.is_final:
            self._waiting[trade.order_id] = trade.reserved_currency, trade.reserved
        for kept in (self.copies, self.orders):
            while len(kept) > _KEPT and next(iter(kept.values())).status.is_final:
                del kept[next(iter(kept))]

    def free(self, currency: str) -> Money:
        """What no order and no trade of a copy reserves, of the follower's account."""
        reserved = sum((amount for of, amount in self._waiting.values() if of == currency), ZERO)
        return EXACT.subtract(self._portfolio.account.free(currency), reserved)

    def spendable(self, symbol: str, side: Side, instrument: Instrument) -> Money:
        """What an order of a copy may spend: what is free, and what its own stops and targets on the same side reserve,
        because they yield to it."""
        free = self.free(pays_with(side, instrument))
        for of, on, reserved in self._exits.values():
            if (of, on) == (symbol, side):
                free = EXACT.add(free, reserved)
        return free


def pays_with(side: Side, instrument: Instrument) -> str:
    """The currency that an order spends."""
    return instrument.quote if side is Side.BUY else instrument.base
