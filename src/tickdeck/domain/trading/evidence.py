"""Checks of the venue's reports: what cannot be true for our order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from tickdeck.domain.events import VenueFillReported, VenueOrderReported
from tickdeck.domain.trading.amend_requests import AmendRequests
from tickdeck.domain.trading.exact import EXACT
from tickdeck.domain.values import Quantity, Side
from tickdeck.errors import TickdeckError

__all__ = ["OrderEvidenceError", "check_answer", "check_count", "check_fill", "check_order_id"]

_COMPARE = "compare the order with the venue before you continue trading"


class OrderEvidenceError(TickdeckError, ValueError):
    """A report cannot be true for the order that it names, so our books and the venue's differ.

    The order remains unchanged. The caller must stop trading, because the books are not reliable any more.
    """


class _Order(Protocol):
    order_id: str
    symbol: str
    side: Side
    quantity: Quantity
    filled: Quantity
    revision: int


def check_order_id(order: _Order, report: VenueOrderReported | VenueFillReported) -> None:
    """Raise ``OrderEvidenceError`` if the report is about another order."""
    if (report.order_id, report.symbol) != (order.order_id, order.symbol):
        raise OrderEvidenceError(
            f"order {order.order_id} on {order.symbol}: the report is about order {report.order_id} on {report.symbol}"
        )


def check_count(order: _Order, report: VenueOrderReported, largest: Quantity) -> None:
    """Raise ``OrderEvidenceError`` if the venue counts more as filled than ``largest``, the most that the order may
    have there (base)."""
    if report.filled > largest:
        raise OrderEvidenceError(
            f"order {order.order_id}: the venue counts {report.filled} filled of {order.quantity} ordered; {_COMPARE}"
        )


def check_answer(order: _Order, amends: AmendRequests, report: VenueOrderReported) -> None:
    """Raise ``OrderEvidenceError`` if the report answers an amend that was not requested, or is impossible."""
    revision, requested = report.revision, amends.count
    if not 0 < revision <= requested or (report.quantity is None) is not (report.limit is None):
        raise OrderEvidenceError(
            f"order {order.order_id}: the venue answers amend {revision} with {report.quantity} at {report.limit}, "
            f"but {requested} were requested; {_COMPARE}"
        )
    if revision not in amends or revision < order.revision:
        return
    if report.quantity is None:
        largest = amends.largest_quantity(order.quantity, order.revision, without=revision)
    else:
        largest = amends.largest_quantity(report.quantity, revision)
    if order.filled > largest:
        raise OrderEvidenceError(
            f"order {order.order_id}: the answer to amend {revision} allows {largest}, but {order.filled} is filled; "
            f"{_COMPARE}"
        )


def check_fill(order: _Order, known: Collection[str], fill: VenueFillReported, largest: Quantity) -> bool:
    """Whether the fill is new: its trade id is not ``known``. ``largest`` is as for ``check_count``.

    Raises ``OrderEvidenceError`` if it cannot be true.
    """
    check_order_id(order, fill)
    if fill.side is not order.side:
        raise OrderEvidenceError(
            f"order {order.order_id} is a {order.side}, but fill {fill.venue_trade_id} is a {fill.side}"
        )
    if not fill.venue_trade_id:
        # Without ids, two fills and a repeated fill look the same.
        raise OrderEvidenceError(
            f"order {order.order_id}: a fill has no venue_trade_id, so a repeated fill cannot be detected"
        )
    if fill.venue_trade_id in known:
        return False
    filled = EXACT.add(order.filled, fill.quantity)
    if filled > largest:
        raise OrderEvidenceError(
            f"order {order.order_id}: fill {fill.venue_trade_id} of {fill.quantity} makes {filled} filled of "
            f"{order.quantity} ordered; {_COMPARE}"
        )
    return True
