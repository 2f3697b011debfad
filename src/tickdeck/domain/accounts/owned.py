"""What each strategy holds of the positions of an account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    VenueLiquidationReported,
)
from tickdeck.domain.trading import EXACT, FOR_ALL, Ownership, position_change
from tickdeck.domain.values import ZERO, Money, Price, Quantity

__all__ = ["Owned", "OwnedPositions"]


class Owned(NamedTuple):
    """What a strategy holds of a symbol: that of its open trade in the journal.

    ``quantity`` is in base (negative: short). It was entered for ``cost`` (quote) in all, ``entered`` (base) in all.
    ``borrowed`` (base): what the strategy sold of coins that no order bought (negative), or bought where such coins
    were owed. No trade of the strategy has it, and a strategy that may be short counts it as its own. It ends when the
    operator, risk, the venue or a payment leaves the account flat.
    """

    quantity: Quantity = ZERO
    entered: Quantity = ZERO
    cost: Money = ZERO
    borrowed: Quantity = ZERO

    def counted(self, *, long_only: bool) -> Quantity:
        """The position as the strategy counts it. ``long_only``: it is never below 0, and a sale of other coins is not
        bought back."""
        if long_only:
            return max(EXACT.add(self.quantity, max(self.borrowed, ZERO)), ZERO)
        return EXACT.add(self.quantity, self.borrowed)

    @property
    def entry_price(self) -> Price:
        """The average over the fills that entered it (quote); 0 if nothing is held."""
        return self.cost / self.entered if self.entered else ZERO


_NOTHING = Owned()


class OwnedPositions:
    """Follows one account, and says as ``StrategyTrades`` does what each strategy holds. ``Ownership`` is the rule of
    both. Pass it each fill and each liquidation once."""

    def __init__(self) -> None:
        self._shares: dict[str, Ownership] = {}  # by symbol
        self._borrowed: dict[str, dict[str, Quantity]] = {}  # by symbol and owner
        self._entries: dict[tuple[str, str], tuple[Quantity, Money]] = {}  # entered and its cost, by owner and symbol

    def of(self, strategy_id: str, symbol: str) -> Owned:
        """What a strategy holds of ``symbol``."""
        shares = self._shares.get(symbol)
        if shares is None:
            return _NOTHING
        entered, cost = self._entries.get((strategy_id, symbol), (ZERO, ZERO))
        borrowed = self._borrowed.get(symbol, {}).get(strategy_id, ZERO)
        return Owned(shares.of(strategy_id), entered, cost, borrowed)

    def unowned(self, symbol: str) -> Quantity:
        """The coins that no order bought (base), since their first price."""
        shares = self._shares.get(symbol)
        return shares.unowned if shares is not None else ZERO

    def shares(self) -> dict[str, Ownership]:
        """Copies of what each strategy holds, by symbol."""
        return {symbol: shares.copy() for symbol, shares in self._shares.items()}

    def take(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent, base: str) -> None:
        """Book a fill in a symbol whose base currency is ``base``."""
        self._take(fill.symbol, fill.strategy_id, position_change(fill, base), fill.price)

    def liquidate(self, report: VenueLiquidationReported) -> None:
        """Book what the venue closed by itself."""
        change = EXACT.multiply(report.quantity, report.side.sign)
        self._take(report.symbol, "", change, report.price)

    def pay(self, moved: Iterable[DomainEvent], before: Quantity) -> None:
        """Book coins that were paid in or out, when they have their first price. ``moved``: the events of their
        position, which was ``before``."""
        for event in moved:
            if isinstance(event, PositionEvent):
                change, before = EXACT.subtract(event.quantity, before), event.quantity
                for owner, _ in self._of(event.symbol).pay(change):
                    if owner is not None and not self._shares[event.symbol].of(owner):
                        del self._entries[owner, event.symbol]
                if not event.quantity:
                    self._borrowed.pop(event.symbol, None)

    def _of(self, symbol: str) -> Ownership:
        shares = self._shares.get(symbol)
        if shares is None:
            shares = self._shares[symbol] = Ownership()
        return shares

    def _take(self, symbol: str, owner: str, change: Quantity, price: Price) -> None:
        shares = self._of(symbol)
        parts = shares.take(owner, change)
        for place, (whose, part) in enumerate(parts, 1):
            if not part:
                continue
            if whose is None:
                if owner not in FOR_ALL:
                    borrowed = self._borrowed.setdefault(symbol, {})
                    borrowed[owner] = EXACT.add(borrowed.get(owner, ZERO), part)
                continue
            held, key = shares.of(whose), (whose, symbol)
            if not held or place < len(parts):  # only the last part leaves something, or opens
                del self._entries[key]
            elif (held > 0) is (part > 0):
                entered, cost = self._entries.get(key, (ZERO, ZERO))
                quantity = abs(part)
                self._entries[key] = EXACT.add(entered, quantity), EXACT.add(cost, EXACT.multiply(quantity, price))
        if owner in FOR_ALL and not shares.total:
            self._borrowed.pop(symbol, None)
