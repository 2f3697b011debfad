"""What the copies of one account hold and reserve, as the events of their orders say."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.domain.events import (
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, CopySaga, Trade, TradeStatus
from tickdeck.domain.values import ZERO, Money, Quantity, Side

__all__ = ["CopyLedger", "pays_with"]

_KEPT = 10_000  # copies, and their orders, that are remembered


class CopyLedger:
    """``portfolio`` is the follower's, and ``name`` the ``strategy_id`` of the copies. ``yielding(symbol, side)`` are
    the ids of the orders of ``side`` that yield to an order of the copies: those of stops and targets."""

    def __init__(self, name: str, portfolio: PortfolioEngine, yielding: Callable[[str, Side], Iterable[str]]) -> None:
        self._name = name
        self._portfolio = portfolio
        self._yielding = yielding
        self.copies: dict[str, CopySaga] = {}
        """The newest copies, by id."""
        self.orders: dict[str, CopySaga] = {}
        """The newest copies, by the ids of their orders."""
        self._waiting: dict[str, tuple[str, Money]] = {}  # reserved by trades whose order does not reserve it yet

    def held(self, symbol: str) -> Quantity:
        """What is left of what copies bought and sold (base; negative: short), whoever closed the rest."""
        return self._portfolio.owned.of(self._name, symbol).counted(long_only=False)

    def is_waiting(self, order_id: str) -> bool:
        """Whether an order is decided, but not sent: orders of stops and targets are being cancelled first."""
        return order_id in self._waiting

    def is_under_way(self, symbol: str) -> bool:
        """Whether a copy in a symbol has not ended."""
        return any(copy.is_under_way and copy.trade.symbol == symbol for copy in self.copies.values())

    def count(self, event: OrderEvent) -> CopySaga | None:
        """Count an order event in what copies reserve. Returns the copy, if its trade has not ended."""
        copy = self.orders.get(event.order_id)
        if isinstance(event, OrderSubmittedEvent):
            self._waiting.pop(event.order_id, None)  # from now on the order reserves it
            if copy is not None:
                copy.sent(event.quantity)
        elif isinstance(event, OrderCancelRequestedEvent) and copy is not None:
            copy.is_over = True
        if copy is None or copy.trade.order_id != event.order_id or copy.trade.status.is_final:
            return None
        return copy

    def found_after_all(self, event: OrderEvent) -> CopySaga | None:
        """The copy whose last trade was rolled back, and whose order ``event`` shows to be open or filled."""
        copy = self.orders.get(event.order_id)
        if copy is None or copy.trade.order_id != event.order_id or copy.trade.status is not TradeStatus.FAILED:
            return None
        is_open = event.status is not None and not event.status.is_final
        return copy if copy.status.is_final and (is_open or event.filled) else None

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
        """What an order of a copy may spend: what is free, and what stops and targets on the same side reserve that
        yield to it."""
        free = self.free(pays_with(side, instrument))
        for order_id in self._yielding(symbol, side):
            free = EXACT.add(free, self._portfolio.account.reserved_by(order_id))
        return free


def pays_with(side: Side, instrument: Instrument) -> str:
    """The currency that an order spends."""
    return instrument.quote if side is Side.BUY else instrument.base
