"""What we hold of one symbol, with the profit that it made.

Kept as a signed quantity and a signed cost (the sum of quantity x price of the open part), never as an average:
an average such as 100/3 has no last digit, and rounding it would make money appear or vanish.

When a part is closed, the same part of the cost goes with it. That share is rounded at the 18th decimal of the quote
currency where it is longer, and exactly what was taken is what stays away from the rest, so nothing drifts: once
flat, the realised profit is the sum of all sales less the sum of all purchases, to the last digit. A position that
goes through zero is closed whole, then opened on the other side at the fill's price.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext

from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["EXACT", "Position"]

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The books' own decimal context: wide enough that no sum or product of venues' numbers is rounded (28 digits, the
default, are not), and out of reach of code that changes the thread's context."""

_COST_STEP = Decimal("1E-18")
_AVERAGE_STEP = Decimal("1E-12")


class Position:
    """``quantity`` in base, negative when short; ``cost`` in quote, of the same sign; ``realized_pnl`` in quote, before
    fees, since the position was created. Change it with ``apply`` alone."""

    __slots__ = ("cost", "quantity", "realized_pnl", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol: str = symbol
        self.quantity: Quantity = ZERO
        self.cost: Money = ZERO
        self.realized_pnl: Money = ZERO

    @property
    def is_flat(self) -> bool:
        return not self.quantity

    @property
    def average_price(self) -> Price:
        """What a unit of the open part cost, quote per base; 0 when flat. For show: rounded at the 12th decimal where
        it is longer, while the accounts use ``cost``."""
        if not self.quantity:
            return ZERO
        return _cut(EXACT.divide(self.cost, self.quantity), _AVERAGE_STEP)

    def unrealized_pnl(self, price: Price) -> Money:
        """What closing everything at ``price`` would add to ``realized_pnl``, quote, before fees. Exact."""
        return EXACT.subtract(EXACT.multiply(self.quantity, price), self.cost)

    def apply(self, side: Side, price: Price, quantity: Quantity) -> Money:
        """Take in an execution of ``quantity`` (base, above 0) at ``price`` (quote); returns the profit that it
        realised (quote, before fees), 0 where it closed nothing. Raises ``ValueError`` where ``quantity`` is not
        above 0."""
        if not quantity > 0:
            raise ValueError(f"position {self.symbol}: a fill's quantity is {quantity}; it must be above 0")
        with localcontext(EXACT):
            signed = quantity * side.sign
            held = self.quantity
            self.quantity = held + signed
            if held * signed >= 0:
                self.cost += signed * price
                return ZERO
            if quantity < abs(held):
                closed_quantity = -signed
                closed_cost = _cut(self.cost * closed_quantity / held, _COST_STEP)
                self.cost -= closed_cost
            else:
                closed_quantity, closed_cost = held, self.cost
                self.cost = self.quantity * price if self.quantity else ZERO
                self.quantity = self.quantity or ZERO  # a plain 0, not 0E-8
            realized = (closed_quantity * price - closed_cost) or ZERO
            self.realized_pnl += realized
            return realized


def _cut(value: Decimal, step: Decimal) -> Decimal:
    """``value`` rounded to ``step`` where it is finer, else as it is, without zeros added."""
    rounded = value.quantize(step, context=EXACT)
    return value if value == rounded else rounded
