"""What the orders of each strategy have traded."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tickdeck.domain.events import OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Quantity

__all__ = ["Traded", "TradedQuantities"]

_CLOSE_ALL = ("operator", "risk")
"""Whose orders may close the positions of every strategy."""


class Traded(NamedTuple):
    """What was bought less what was sold in one symbol of one account (base, after fees in base): by one strategy
    (``own``), and by all strategies ``together``. Orders of the operator and of the risk engine are in neither."""

    own: Quantity = ZERO
    together: Quantity = ZERO


class TradedQuantities:
    """Adds up the fills of one account by strategy and symbol. Pass it each fill once."""

    def __init__(self) -> None:
        self._own: dict[tuple[str, str], Quantity] = {}  # by strategy and symbol
        self._together: dict[str, Quantity] = {}  # by symbol

    def take(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent, base: str) -> None:
        """Count a fill in a symbol whose base currency is ``base``."""
        if fill.strategy_id in _CLOSE_ALL:
            return
        change = EXACT.multiply(fill.quantity, Decimal(fill.side.sign))
        if fill.fee and fill.fee_currency == base:
            change = EXACT.subtract(change, fill.fee)
        key = (fill.strategy_id, fill.symbol)
        self._own[key] = EXACT.add(self._own.get(key, ZERO), change)
        self._together[fill.symbol] = EXACT.add(self._together.get(fill.symbol, ZERO), change)

    def of(self, strategy_id: str, symbol: str) -> Traded:
        """What a strategy, and all together, have traded in ``symbol``."""
        return Traded(self._own.get((strategy_id, symbol), ZERO), self._together.get(symbol, ZERO))
