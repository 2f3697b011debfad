"""What a strategy bought itself, apart from what the account held before."""

from __future__ import annotations

from msgspec.structs import replace

from tickdeck.application.strategies.strategy import PositionView
from tickdeck.domain.accounts import Traded
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Quantity

__all__ = ["Inventory"]


class Inventory:
    """What is left of a strategy's own trades by symbol, in base (negative: short).

    A live account may hold coins that the strategy did not buy. A strategy that sells ``position.quantity`` sells those
    too; one that sells the quantity of ``view(...)`` does not.

    What others do to the position counts, too: an operator who closes it, a limit, a liquidation by the venue, or a
    sale outside of the run. They close what the strategy does not own first, and everything once the position is flat.
    What other strategies trade is theirs.

    ``long_only``: the quantity never falls below 0. A sale of other coins, such as an earlier version of a strategy
    made, is then not bought back.
    """

    def __init__(self, *, long_only: bool = True) -> None:
        self._long_only = long_only
        self._quantities: dict[str, Quantity] = {}
        self._seen: dict[str, tuple[Quantity, Traded]] = {}  # the account's position and what was traded, by symbol

    def begin(self, position: PositionView, traded: Traded) -> None:
        """Count from now on: what the strategy traded before is not its own."""
        self._quantities.pop(position.symbol, None)
        self._seen[position.symbol] = position.quantity, traded

    def view(self, position: PositionView, traded: Traded) -> PositionView:
        """The account's ``position`` with the strategy's own quantity. ``traded``: what strategies have traded there so
        far. Call it at each fill and each position, and whenever you look at the position: what happened between two
        calls counts as if it had happened at once."""
        symbol = position.symbol
        held, before = self._seen.get(symbol) or (EXACT.subtract(position.quantity, traded.together), Traded())
        self._seen[symbol] = position.quantity, traded
        own = EXACT.add(self._quantities.get(symbol, ZERO), EXACT.subtract(traded.own, before.own))
        if self._long_only:
            own = max(own, ZERO)
        expected = EXACT.add(held, EXACT.subtract(traded.together, before.together))
        if own and position.quantity != expected:
            if position.is_flat:
                own = ZERO
            elif own > 0:
                own = _left(own, expected, position.quantity)
            else:
                left = _left(own.copy_negate(), expected.copy_negate(), position.quantity.copy_negate())
                own = left.copy_negate()
        if own > position.quantity and own > 0:
            own = max(position.quantity, ZERO)
        self._quantities[symbol] = own
        return position if own == position.quantity else replace(position, quantity=own)


def _left(own: Quantity, expected: Quantity, now: Quantity) -> Quantity:
    """What is left of ``own``, above 0, where others changed the account's position from ``expected`` to ``now``."""
    held = max(expected, ZERO)
    closed = min(max(EXACT.subtract(expected, now), ZERO), held)
    of_others = max(EXACT.subtract(held, own), ZERO)
    return max(EXACT.subtract(own, max(EXACT.subtract(closed, of_others), ZERO)), ZERO)
