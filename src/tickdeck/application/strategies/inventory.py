"""What a strategy bought itself, apart from what the account held before."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from tickdeck.application.strategies.strategy import PositionView
from tickdeck.domain.events import OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Quantity

__all__ = ["Inventory"]


class Inventory:
    """The sum of a strategy's own fills by symbol, after fees in base currency (negative: short).

    A live account may hold coins that the strategy did not buy. A strategy that sells ``position.quantity`` sells those
    too; one that sells the quantity of ``view(position)`` does not.

    ``long_only``: the sum never falls below 0. A sale of other coins, such as an earlier version of a strategy made, is
    then not bought back.
    """

    def __init__(self, *, long_only: bool = True) -> None:
        self._long_only = long_only
        self._quantities: dict[str, Quantity] = {}

    def take(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent, position: PositionView) -> None:
        """Take the next fill of the strategy. ``position`` is the account's in that symbol, and names its base
        currency."""
        change = EXACT.multiply(fill.quantity, Decimal(fill.side.sign))
        if position.instrument is not None and fill.fee_currency == position.instrument.base:
            change = EXACT.subtract(change, fill.fee)
        total = EXACT.add(self._quantities.get(fill.symbol, ZERO), change)
        self._quantities[fill.symbol] = max(total, ZERO) if self._long_only else total

    def view(self, position: PositionView) -> PositionView:
        """The account's ``position`` with the strategy's own quantity. Call it whenever you look at the position: coins
        that someone else sold, such as the operator with ``flatten``, are then no longer counted."""
        own = self._quantities.get(position.symbol, ZERO)
        if own > position.quantity and own > 0:
            own = self._quantities[position.symbol] = max(position.quantity, ZERO)
        return position if own == position.quantity else replace(position, quantity=own)
