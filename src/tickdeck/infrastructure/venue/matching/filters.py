"""What a request must satisfy before it may trade: the filters of its market, and a sufficient balance."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.infrastructure.venue.matching.book import Side
from tickdeck.infrastructure.venue.matching.desk import Desk
from tickdeck.infrastructure.venue.matching.orders import HOUSE, NewOrder, OrderRefused, Refusal, Type

__all__ = ["amount_to_lock", "check_filters", "cost_of"]

ZERO = Decimal(0)
_LIMIT = Type.LIMIT  # a member looked up in its enum costs several times as much as a global


def check_filters(desk: Desk, request: NewOrder, working: int) -> None:
    """Raises ``OrderRefused`` if the request violates a filter of its market. The venue's own accounts are exempt.
    ``working`` is the number of open orders of the account in this market.
    """
    market = desk.market
    price, quantity = request.price, request.quantity
    kind, stop_price = request.type, request.stop_price
    if kind is not _LIMIT and ((price is not None) != kind.has_price or (stop_price is not None) != kind.is_stop):
        raise OrderRefused(Refusal.PRICE_FILTER)
    if (quantity is None) == (request.quote_quantity is None):
        raise OrderRefused(Refusal.PRICE_FILTER)
    if (price is not None or stop_price is not None) and quantity is None:
        raise OrderRefused(Refusal.LOT_SIZE)
    if request.account[:1] == HOUSE:
        return
    if quantity is not None and (
        quantity < market.min_quantity or quantity > market.max_quantity or quantity % market.step_size
    ):
        raise OrderRefused(Refusal.LOT_SIZE)
    if stop_price is not None:
        if stop_price % market.tick_size or not market.min_price <= stop_price <= market.max_price:
            raise OrderRefused(Refusal.PRICE_FILTER)
        mine = sum(order.account == request.account for order in desk.stops.values())
        if mine >= market.max_stop_orders:
            raise OrderRefused(Refusal.MAX_NUM_ALGO_ORDERS)
    if price is not None:
        assert quantity is not None
        if price < market.min_price or price > market.max_price or price % market.tick_size:
            raise OrderRefused(Refusal.PRICE_FILTER)
        if price * quantity < market.min_notional:
            raise OrderRefused(Refusal.NOTIONAL)
        if working >= market.max_orders:
            raise OrderRefused(Refusal.MAX_NUM_ORDERS)
    elif request.quote_quantity is not None:
        if request.quote_quantity < market.min_notional:
            raise OrderRefused(Refusal.NOTIONAL)
    else:
        book = desk.book
        best = book.asks.best if request.is_buy else book.bids.best
        reference = stop_price if stop_price is not None else best.price if best is not None else None
        assert quantity is not None
        if reference is not None and reference * quantity < market.min_notional:
            raise OrderRefused(Refusal.NOTIONAL)


def amount_to_lock(request: NewOrder, opposite: Side) -> Decimal:
    """The balance that the account needs: the cost of a buy in quote, the quantity of a sell in base."""
    if request.quantity is None:
        assert request.quote_quantity is not None
        if request.is_buy:
            return request.quote_quantity
        return ZERO  # a sell sized in quote locks as it trades, and never more than is free
    if not request.is_buy:
        return request.quantity
    price = request.price if request.price is not None else request.stop_price
    if price is not None:
        return price * request.quantity
    return cost_of(request.quantity, opposite)


def cost_of(quantity: Decimal, opposite: Side) -> Decimal:
    """The current cost of a market buy of ``quantity`` (base), as far as the book reaches."""
    left, cost = quantity, ZERO
    for level in opposite.from_best():
        part = min(left, level.quantity)
        cost += part * level.price
        left -= part
        if not left:
            break
    return cost
