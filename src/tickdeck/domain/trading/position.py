"""The position in one symbol, and the profit that it made.

A position stores a signed quantity and a signed cost (the sum of quantity x price of the open part). It does not store
an average price: an average such as 100/3 has infinitely many digits, and rounding it would create or lose money.

When a part is closed, its share of the cost is removed. This share is rounded to the 18th decimal of the quote
currency, and exactly the rounded amount is subtracted from the rest, so errors do not accumulate. Once the position is
flat, the realized profit is exactly the sum of all sales minus the sum of all purchases. A position that changes sides
is first closed completely, then opened on the other side at the price of the fill.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Self

from tickdeck.domain.events import DomainEvent, PositionClosedEvent, PositionEvent, PositionOpenedEvent
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["EXACT", "Position", "average_of", "with_order"]

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The decimal context of the books. Its precision is high enough that no sum or product of numbers from venues is
rounded; the default of 28 digits is too low. It does not depend on the thread's context, which other code may
change."""

_COST_STEP = Decimal("1E-18")
_AVERAGE = Context(prec=28, rounding=ROUND_HALF_EVEN)
_MAX_ORDERS = 100
"""How many orders of a round trip a position remembers: the newest. Otherwise a position that is never flat would grow
without limit."""


class Position:
    """A position in one symbol. Use only ``apply`` to change it.

    - ``quantity``: in base, negative when short.
    - ``cost``: in quote, with the sign of ``quantity``.
    - ``realized_pnl``: in quote, before fees, since the position was created.
    - ``opened_by``, ``closed_by``: the ids of the orders that made the position larger and smaller since it was last
      flat, oldest first, at most the newest 100 each. They remain while it is flat.
    """

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
        """The position in ``symbol`` after ``events``: all events of its account, in order. Events of other positions
        change nothing."""
        position = cls(symbol)
        for event in events:
            if isinstance(event, PositionEvent) and event.symbol == symbol:
                position.apply_event(event)
        return position

    def apply_event(self, event: PositionEvent) -> None:
        """Apply a recorded position event."""
        self.quantity, self.cost, self.realized_pnl = event.quantity, event.cost, event.total_realized_pnl
        if isinstance(event, PositionOpenedEvent | PositionClosedEvent):  # these list all orders of the round trip
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
        """The cost of one unit of the open part, quote per base, to 28 significant digits; 0 when flat. For display
        only: the books use ``cost``."""
        return average_of(self.cost, self.quantity)

    def unrealized_pnl(self, price: Price) -> Money:
        """The exact profit (quote, before fees) of closing the whole position at ``price``."""
        return EXACT.subtract(EXACT.multiply(self.quantity, price), self.cost)

    def apply(self, side: Side, price: Price, quantity: Quantity, order_id: str = "") -> Money:
        """Apply a fill of ``quantity`` (base, above 0) at ``price`` (quote) by ``order_id``. Returns the profit that it
        realized (quote, before fees), which is 0 if it closed nothing.

        Raises ``ValueError`` if ``quantity`` is not above 0.
        """
        if not quantity > 0:
            raise ValueError(f"position {self.symbol}: the quantity of a fill is {quantity}; it must be above 0")
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
                closed_cost = _rounded(self.cost * closed_quantity / held, _COST_STEP)
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
    """``cost`` / ``quantity`` to 28 significant digits; 0 if the quantity is 0."""
    return _AVERAGE.divide(cost, quantity) if quantity else ZERO


def with_order(orders: tuple[str, ...], order_id: str) -> tuple[str, ...]:
    """``orders`` with ``order_id`` added if it is new; at most the newest 100."""
    if not order_id or order_id in orders:
        return orders
    return (*orders, order_id)[-_MAX_ORDERS:]


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    """``value`` rounded to ``step`` if it has more digits. Otherwise ``value`` itself, without added zeros."""
    rounded = value.quantize(step, context=EXACT)
    return value if value == rounded else rounded
