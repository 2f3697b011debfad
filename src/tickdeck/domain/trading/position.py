"""What we hold of one symbol, with the profit that it made.

Kept as a signed quantity and a signed cost (the sum of quantity x price of the open part), never as an average:
an average such as 100/3 has no last digit, and rounding it would make money appear or vanish.

When a part is closed, the same part of the cost goes with it. That share is rounded at the 18th decimal of the quote
currency where it is longer, and exactly what was taken is what stays away from the rest, so nothing drifts: once
flat, the realised profit is the sum of all sales less the sum of all purchases, to the last digit. A position that
goes through zero is closed whole, then opened on the other side at the fill's price.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Self

from tickdeck.domain.events import DomainEvent, PositionClosedEvent, PositionEvent, PositionOpenedEvent
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["EXACT", "Position", "average_of", "with_order"]

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The books' own decimal context: wide enough that no sum or product of venues' numbers is rounded (28 digits, the
default, are not), and out of reach of code that changes the thread's context."""

_COST_STEP = Decimal("1E-18")
_AVERAGE = Context(prec=28, rounding=ROUND_HALF_EVEN)
_NAMED = 100
"""So many orders a position remembers of its round trip, the newest, so that one that is never flat does not grow."""


class Position:
    """``quantity`` in base, negative when short; ``cost`` in quote, of the same sign; ``realized_pnl`` in quote, before
    fees, since the position was created. ``opened_by`` and ``closed_by`` are the ids of the orders that made it larger
    and smaller since it was last flat, oldest first, at most the newest 100 each; they stay while it is flat. Change it
    with ``apply`` alone."""

    __slots__ = ("closed_by", "cost", "opened_by", "quantity", "realized_pnl", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol: str = symbol
        self.quantity: Quantity = ZERO
        self.cost: Money = ZERO
        self.realized_pnl: Money = ZERO
        self.opened_by: tuple[str, ...] = ()
        self.closed_by: tuple[str, ...] = ()

    @classmethod
    def fold(cls, symbol: str, events: Iterable[DomainEvent]) -> Self:
        """The position of ``symbol`` after ``events``, all that its account published in order (those that are not
        about this position change nothing)."""
        position = cls(symbol)
        for event in events:
            if isinstance(event, PositionEvent) and event.symbol == symbol:
                position.apply_event(event)
        return position

    def apply_event(self, event: PositionEvent) -> None:
        """Take in what was concluded before, as it is on the tape."""
        self.quantity, self.cost, self.realized_pnl = event.quantity, event.cost, event.total_realized_pnl
        if isinstance(event, PositionOpenedEvent | PositionClosedEvent):  # these name all orders of the round trip
            self.opened_by, self.closed_by = event.opened_by_orders, event.closed_by_orders
            return
        for order_id in event.opened_by_orders:
            self.opened_by = with_order(self.opened_by, order_id)
        for order_id in event.closed_by_orders:
            self.closed_by = with_order(self.closed_by, order_id)

    @property
    def is_flat(self) -> bool:
        return not self.quantity

    @property
    def average_price(self) -> Price:
        """What a unit of the open part cost, quote per base, to 28 significant digits; 0 when flat. For show: the
        books use ``cost``."""
        return average_of(self.cost, self.quantity)

    def unrealized_pnl(self, price: Price) -> Money:
        """What closing everything at ``price`` would add to ``realized_pnl``, quote, before fees. Exact."""
        return EXACT.subtract(EXACT.multiply(self.quantity, price), self.cost)

    def apply(self, side: Side, price: Price, quantity: Quantity, order_id: str = "") -> Money:
        """Take in an execution of ``quantity`` (base, above 0) at ``price`` (quote) by ``order_id``; returns the profit
        that it realised (quote, before fees), 0 where it closed nothing. Raises ``ValueError`` where ``quantity`` is
        not above 0."""
        if not quantity > 0:
            raise ValueError(f"position {self.symbol}: a fill's quantity is {quantity}; it must be above 0")
        with localcontext(EXACT):
            signed = quantity * side.sign
            held = self.quantity
            self.quantity = held + signed
            if held * signed >= 0:
                self.cost += signed * price
                if held:
                    self.opened_by = with_order(self.opened_by, order_id)
                else:
                    self.opened_by, self.closed_by = with_order((), order_id), ()
                return ZERO
            self.closed_by = with_order(self.closed_by, order_id)
            if quantity < abs(held):
                closed_quantity = -signed
                closed_cost = _cut(self.cost * closed_quantity / held, _COST_STEP)
                self.cost -= closed_cost
            else:
                closed_quantity, closed_cost = held, self.cost
                self.cost = self.quantity * price if self.quantity else ZERO
                self.quantity = self.quantity or ZERO  # a plain 0, not 0E-8
                if self.quantity:
                    self.opened_by, self.closed_by = with_order((), order_id), ()
            realized = (closed_quantity * price - closed_cost) or ZERO
            self.realized_pnl += realized
            return realized


def average_of(cost: Money, quantity: Quantity) -> Price:
    """``cost`` / ``quantity`` to 28 significant digits, 0 where the quantity is 0."""
    return _AVERAGE.divide(cost, quantity) if quantity else ZERO


def with_order(orders: tuple[str, ...], order_id: str) -> tuple[str, ...]:
    """``orders`` and ``order_id``, once each, at most the newest 100."""
    if not order_id or order_id in orders:
        return orders
    return (*orders, order_id)[-_NAMED:]


def _cut(value: Decimal, step: Decimal) -> Decimal:
    """``value`` rounded to ``step`` where it is finer, else as it is, without zeros added."""
    rounded = value.quantize(step, context=EXACT)
    return value if value == rounded else rounded
