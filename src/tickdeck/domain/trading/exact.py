"""The arithmetic of the books: sums and products are exact, and whatever is divided is rounded in one way."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

from tickdeck.domain.values import ZERO, Money, Price, Quantity

__all__ = ["EXACT", "average_of", "cut"]

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The decimal context of the books. Its precision is high enough that no sum or product of numbers from venues is
rounded; the default of 28 digits is too low. It does not depend on the thread's context, which other code may
change."""

_AVERAGE = Context(prec=28, rounding=ROUND_HALF_EVEN)
_STEP = Decimal("1E-18")


def average_of(cost: Money, quantity: Quantity) -> Price:
    """``cost`` / ``quantity`` to 28 significant digits; 0 if the quantity is 0."""
    return _AVERAGE.divide(cost, quantity) if quantity else ZERO


def cut(value: Decimal) -> Decimal:
    """``value`` rounded to 18 decimals if it has more, because an average may be a repeating decimal. Otherwise
    ``value`` itself, without added zeros."""
    rounded = value.quantize(_STEP, context=EXACT)
    return value if value == rounded else rounded
