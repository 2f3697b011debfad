"""The position of a strategy itself, where others trade the same symbol in its account."""

from __future__ import annotations

from msgspec.structs import replace

from tickdeck.application.strategies.desk import PositionView
from tickdeck.domain.accounts import Owned
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO

__all__ = ["own_position"]


def own_position(position: PositionView, owned: Owned, *, long_only: bool = True) -> PositionView:
    """The account's ``position`` with the quantity, entry price and unrealized PnL of what a strategy holds.

    A live account may hold coins that the strategy did not buy. A strategy that sells ``position.quantity`` sells those
    too; one that sells the quantity of this does not. What others close of it is gone; what others hold on the other
    side changes nothing. ``Ownership`` is the rule. ``long_only``: as in ``Owned.counted``.
    """
    quantity = owned.counted(long_only=long_only)
    average = owned.entry_price if quantity == owned.quantity else position.average_price
    if (quantity, average) == (position.quantity, position.average_price):
        return position
    price = position.price
    unrealized = ZERO if price is None else EXACT.multiply(EXACT.subtract(price, average), quantity)
    return replace(position, quantity=quantity, average_price=average, unrealized_pnl=unrealized)
