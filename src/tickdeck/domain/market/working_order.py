"""An order that is worked at a venue, and what may become of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from tickdeck.domain.values import ZERO, OrderStatus, Price, Quantity, Side, TimeInForce

__all__ = ["Ended", "Fill", "Outcome", "WorkingOrder", "expired", "would_take"]

_BUY = Side.BUY


class WorkingOrder(msgspec.Struct, kw_only=True, eq=False):
    """An order at the venue; it changes while it is worked.

    ``quantity`` and ``filled`` are in base. ``limit`` is in quote, ``None`` for a market order. ``arrival`` is the
    venue's time in ns UTC. ``worst`` (quote) is the last price that the order accepts: its limit, or the bound of a
    market order that has to wait; ``None`` accepts any price. ``stop`` (quote) is the price at which it becomes a
    market order. ``ahead`` (base) is the quantity ahead of a resting order at its price; ``None`` is unknown.
    """

    order_id: str
    side: Side
    quantity: Quantity
    arrival: int
    limit: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    worst: Price | None = None
    filled: Quantity = ZERO
    ahead: Quantity | None = None
    stop: Price | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            self.worst = self.limit

    @property
    def remaining(self) -> Quantity:
        return self.quantity - self.filled

    def is_stopped(self, price: Price) -> bool:
        """True if ``price`` reaches the stop: a sell waits for a fall, a buy for a rise."""
        stop = self.stop
        return stop is not None and (price >= stop if self.side is _BUY else price <= stop)

    def reaches(self, price: Price) -> bool:
        """True if ``price`` is no worse for this order than the worst price that it accepts."""
        worst = self.worst
        return worst is None or (price <= worst if self.side is _BUY else price >= worst)


class Fill(NamedTuple):
    """``quantity`` (base) of ``order`` was executed at ``price`` (quote). ``order.filled`` already includes it."""

    order: WorkingOrder
    price: Price
    quantity: Quantity
    liquidity: str
    """``maker`` or ``taker``."""


class Ended(NamedTuple):
    """``order`` ended before it was filled: ``status`` is ``expired`` or ``rejected``."""

    order: WorkingOrder
    status: OrderStatus
    reason: str


Outcome: TypeAlias = Fill | Ended


def expired(order: WorkingOrder, reason: str) -> Ended:
    """The venue does not work the rest of the order."""
    return Ended(order, OrderStatus.EXPIRED, reason)


def would_take(order: WorkingOrder) -> Ended:
    """The order may only rest, but would trade at once."""
    return Ended(order, OrderStatus.REJECTED, f"post only: {order.limit} would take")
