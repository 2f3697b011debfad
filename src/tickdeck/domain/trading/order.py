"""One order of ours and what we may conclude about it from the venue's reports.

Reports come late, twice and out of order. The rules, each of which makes the end of the story the same whatever
the order of arrival:

- A fill is evidence and is never dropped: it counts once, by its ``venue_trade_id``, in every state, even after
  ``cancelled``, ``expired`` or ``rejected``.
- ``filled`` is concluded from fills alone. A report that says ``filled`` or ``partially_filled`` shows that the venue
  has the order, no more: it carries no price. What it counts is kept, and ``missing`` tells what is still owed.
- ``cancelled`` and ``expired`` end the order at once, even where fills are missing; those are applied when they come,
  and the status stays, unless they complete the order: then it is ``filled``.
- ``rejected`` says that nothing was or will be executed. After a fill it is contradicted by evidence and ignored; a
  fill after it revokes it.
- ``unknown`` replaces ``submitted`` alone and never a state that the venue told. Any word from the venue ends it.
- Final states are left only by fills, as above; of two contradicting final reports the first counts.
- Amends are numbered by us. ``quantity`` and ``limit`` are those of the highest revision that the venue confirmed. A
  fill beyond ``quantity`` is true where an amend that was asked for and not answered yet allows it. Should an amend or
  such a fill show that an order which looked filled was not, it is open again, or as the venue ended it; should a
  confirmed amend leave nothing to fill, the order is filled without a further fill.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context
from typing import Any, Self, TypeVar

from tickdeck.domain.events import (
    DomainEvent,
    OrderAcceptedEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderAmendRequestedEvent,
    OrderCancelledEvent,
    OrderCancelRejectedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderExpiredEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading.position import EXACT
from tickdeck.domain.values import ZERO, Money, OrderStatus, OrderType, Price, Quantity, Side, TimeInForce
from tickdeck.errors import TickdeckError

__all__ = ["Order", "OrderEvidenceError", "reservation"]

E = TypeVar("E", bound=OrderEvent)

_AVERAGE = Context(prec=28, rounding=ROUND_HALF_EVEN)
"""For averages, which may have no last digit: never the thread's context, which a program may have changed."""

_IN_DOUBT = (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)
_ENDED_BY_VENUE = (OrderStatus.CANCELLED, OrderStatus.EXPIRED)


class OrderEvidenceError(TickdeckError, ValueError):
    """A report cannot be true of the order that it names, so our books and the venue's differ.

    The order is left as it was. Whoever gets it stops trading: nothing computed from such books can be relied on.
    """


def reservation(side: Side, remaining: Quantity, limit: Price | None) -> Money:
    """What an order for ``remaining`` (base) holds back, without fees: a sell its base, a buy its price in quote; 0 for
    a market buy, whose price nobody knows yet."""
    if side is Side.SELL:
        return remaining
    return ZERO if limit is None else EXACT.multiply(remaining, limit)


class Order:
    """The state of one order: quantities in base, prices and ``notional`` in quote.

    ``filled`` is the sum of the fills seen, ``notional`` the sum of their price x quantity; ``venue_filled`` is the
    most that a report of the venue ever counted. ``reason`` is the venue's for the last change that had one.
    ``revision`` is that of the newest amend that the venue confirmed, 0 before any.
    """

    __slots__ = (
        "_amends",
        "_ended",
        "_trade_ids",
        "_unanswered",
        "account_id",
        "filled",
        "limit",
        "notional",
        "order_id",
        "quantity",
        "reason",
        "reduce_only",
        "reserved_currency",
        "revision",
        "side",
        "status",
        "strategy_id",
        "symbol",
        "time_in_force",
        "user_id",
        "venue_filled",
        "venue_order_id",
    )

    def __init__(self, submitted: OrderSubmittedEvent) -> None:
        self.order_id: str = submitted.order_id
        self.symbol: str = submitted.symbol
        self.account_id: str = submitted.account_id
        self.user_id: str = submitted.user_id
        self.strategy_id: str = submitted.strategy_id
        self.reduce_only: bool = submitted.reduce_only
        self.reserved_currency: str = submitted.reserved_currency
        self.side: Side = submitted.side
        self.quantity: Quantity = submitted.quantity
        self.limit: Price | None = submitted.limit
        self.time_in_force: TimeInForce = submitted.time_in_force
        self.status: OrderStatus = OrderStatus.SUBMITTED
        self.filled: Quantity = ZERO
        self.notional: Money = ZERO
        self.venue_filled: Quantity = ZERO
        self.venue_order_id: str = ""
        self.reason: str = ""
        self.revision: int = 0
        self._trade_ids: set[str] = set()
        self._amends = 0  # asked for; the newest has this revision
        self._unanswered: dict[int, Quantity] = {}  # the quantities of those without an answer, by revision, ascending
        self._ended: VenueOrderReported | None = None  # the venue's first word that it is cancelled or expired

    # -- what is asked of it ---------------------------------------------------------------------------------------

    @property
    def order_type(self) -> OrderType:
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT

    @property
    def remaining(self) -> Quantity:
        """What was ordered and not filled (base); of an ended order, what will not be."""
        return max(EXACT.subtract(self.quantity, self.filled), ZERO)

    @property
    def exposure(self) -> Quantity:
        """What may still be filled at most (base): ``remaining``, were the amends that wait for an answer confirmed."""
        return max(EXACT.subtract(self._most, self.filled), ZERO)

    @property
    def average_price(self) -> Price | None:
        """Over all fills, quote per base, to 28 significant digits; ``None`` before the first."""
        return _AVERAGE.divide(self.notional, self.filled) if self.filled else None

    @property
    def reserved(self) -> Money:
        """What the rest of the order holds back, in ``reserved_currency``; 0 where that is not known, and at the
        end."""
        if not self.reserved_currency or self.status.is_final:
            return ZERO
        return reservation(self.side, self.remaining, self.limit)

    @property
    def is_open(self) -> bool:
        """The venue may still work it; an order in doubt counts as open."""
        return not self.status.is_final

    @property
    def missing(self) -> Quantity:
        """What the venue counted as filled and no fill has shown yet (base)."""
        return max(self.venue_filled - self.filled, ZERO)

    # -- what happens to it ----------------------------------------------------------------------------------------

    def request_amend(self, quantity: Quantity, limit: Price) -> OrderAmendRequestedEvent:
        """Ask for ``quantity`` in all (base) at ``limit`` (quote) instead; returns the request to publish.

        Nothing else changes before the venue's answer.
        """
        self._amends = revision = self._amends + 1
        self._unanswered[revision] = quantity
        return self._event(OrderAmendRequestedEvent, 0, revision=revision, quantity=quantity, limit=limit)

    def request_cancel(self) -> OrderCancelRequestedEvent:
        """Ask the venue to cancel; returns the request to publish. Nothing changes before the venue's answer."""
        return self._event(OrderCancelRequestedEvent, 0)

    def cancel_refused(self, reason: str, ts: int) -> OrderCancelRejectedEvent:
        """A cancel did not succeed, at ``ts`` (ns); returns the event to publish. The order is as it was."""
        return self._event(OrderCancelRejectedEvent, ts, reason=reason)

    def apply_report(self, report: VenueOrderReported) -> list[OrderEvent]:
        """Take in what the venue said about the order's state, or about an amend; returns the conclusions to publish,
        often none.

        Raises ``OrderEvidenceError`` where the report is of another order, counts more than was ordered, or answers an
        amend that was not asked for or cannot be.
        """
        events = self._conclusions(report) if self._note(report) else []
        if report.revision in self._unanswered:
            events += self._take_answer(report)
        return events

    def _note(self, report: VenueOrderReported) -> bool:
        """Keep what the report says beyond conclusions; false where it says nothing about the order's state."""
        self._check_addressee(report)
        if report.revision:
            self._check_answer(report)
            if report.status is OrderStatus.UNKNOWN:
                return False
        if report.filled > self._most:
            raise OrderEvidenceError(
                f"order {self.order_id}: the venue counts {report.filled} filled of {self.quantity} ordered; "
                "compare the order with the venue's before trading on"
            )
        self.venue_filled = max(self.venue_filled, report.filled)
        self.venue_order_id = self.venue_order_id or report.venue_order_id
        if report.status in _ENDED_BY_VENUE:
            self._ended = self._ended or report
        return True

    def _conclusions(self, report: VenueOrderReported) -> list[OrderEvent]:
        if self.status.is_final:
            return []
        match report.status:
            case OrderStatus.UNKNOWN:
                return self._doubt(report)
            case OrderStatus.REJECTED:
                return self._reject(report)
            case OrderStatus.CANCELLED | OrderStatus.EXPIRED:
                return self._end(report)
            case _:
                return self._acknowledge(report)

    def apply_fill(self, fill: VenueFillReported) -> list[OrderEvent]:
        """Take in an execution; returns ``order.partially_filled`` or ``order.filled``, or nothing for a repeat.

        Raises ``OrderEvidenceError`` where the fill is of another order or side, has no trade id, or would fill more
        than was ordered.
        """
        if not self._check_fill(fill):
            return []
        filled = EXACT.add(self.filled, fill.quantity)
        self._trade_ids.add(fill.venue_trade_id)
        self.filled = filled
        self.notional = EXACT.fma(fill.price, fill.quantity, self.notional)
        self.venue_order_id = self.venue_order_id or fill.venue_order_id
        ended = self._settle()
        conclusion = OrderFilledEvent if self.status is OrderStatus.FILLED else OrderPartiallyFilledEvent
        return [
            self._event(
                conclusion,
                fill.ts,
                price=fill.price,
                quantity=fill.quantity,
                order_quantity=self.quantity,
                fee=fill.fee,
                fee_currency=fill.fee_currency,
                liquidity=fill.liquidity,
                venue_trade_id=fill.venue_trade_id,
            ),
            *ended,
        ]

    # -- from the tape ---------------------------------------------------------------------------------------------

    @classmethod
    def fold(cls, events: Iterable[DomainEvent]) -> Self:
        """The order after ``events``: all of its stream, in order. What came before ``order.submitted`` is skipped.

        Conclusions (``order.*``) count as they stand, whatever rules made them. The venue's reports only add what no
        conclusion tells: the venue's own count and order id, and its word on the order's end. Raises ``ValueError``
        where there is no ``order.submitted``.
        """
        order: Self | None = None
        for event in events:
            if order is not None:
                order.apply(event)
            elif isinstance(event, OrderSubmittedEvent):
                order = cls(event)
        if order is None:
            raise ValueError("there is no order.submitted among the events; give all events of the order's stream")
        return order

    def apply(self, event: DomainEvent) -> None:
        """Take in the next event of the order's stream, as ``fold`` does. Other types change nothing."""
        match event:
            case VenueFillReported():
                self._note_fill(event)
            case VenueOrderReported():
                self._note_report(event)
            case OrderAmendRequestedEvent():
                self._amends = event.revision
                self._unanswered[event.revision] = event.quantity
            case OrderAmendRejectedEvent():
                self._unanswered.pop(event.revision, None)
            case OrderAmendedEvent():
                self._unanswered.pop(event.revision, None)
                self.revision, self.quantity, self.limit = event.revision, event.quantity, event.limit
                self._conclude(event)
            case OrderPartiallyFilledEvent() | OrderFilledEvent():
                self._trade_ids.add(event.venue_trade_id)
                self.filled = event.filled
                self.notional = EXACT.fma(event.price, event.quantity, self.notional)
                self._conclude(event)
            case OrderAcceptedEvent():
                self.status, self.venue_order_id = event.status, event.venue_order_id
            case OrderCancelledEvent() | OrderExpiredEvent() | OrderRejectedEvent() | OrderUnknownEvent():
                self.status, self.reason = event.status, event.reason

    def _conclude(self, event: OrderEvent) -> None:
        if event.status is not None:
            self.status = event.status
        elif self.filled:  # a tape of an earlier version, which does not tell it
            self._settle()

    def _note_fill(self, fill: VenueFillReported) -> None:
        try:
            is_new = self._check_fill(fill)
        except OrderEvidenceError:
            return  # it was refused then too, and changed nothing
        if is_new:
            self.venue_order_id = self.venue_order_id or fill.venue_order_id

    def _note_report(self, report: VenueOrderReported) -> None:
        try:
            self._note(report)
        except OrderEvidenceError:
            return  # it was refused then too, and changed nothing
        self._unanswered.pop(report.revision, None)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _doubt(self, report: VenueOrderReported) -> list[OrderEvent]:
        if self.status is not OrderStatus.SUBMITTED:
            return []
        self.status, self.reason = OrderStatus.UNKNOWN, report.reason
        return [self._event(OrderUnknownEvent, report.ts, reason=report.reason)]

    def _reject(self, report: VenueOrderReported) -> list[OrderEvent]:
        if self.filled:
            return []
        self.status, self.reason = OrderStatus.REJECTED, report.reason
        return [self._event(OrderRejectedEvent, report.ts, reason=report.reason)]

    def _end(self, report: VenueOrderReported) -> list[OrderEvent]:
        self.status, self.reason = report.status, report.reason
        conclusion = OrderCancelledEvent if report.status is OrderStatus.CANCELLED else OrderExpiredEvent
        # The larger count is the true one: either we have fills that the report left out, or some are on their way.
        filled = max(self.filled, self.venue_filled)
        remaining = max(EXACT.subtract(self.quantity, filled), ZERO)
        return [self._event(conclusion, report.ts, filled=filled, remaining=remaining, reason=report.reason)]

    def _settle(self) -> list[OrderEvent]:
        """The status of an order that has fills; what the venue had said of its end where it looked filled till now."""
        looked_filled = self.status is OrderStatus.FILLED
        if self.filled == self.quantity:
            self.status = OrderStatus.FILLED
        elif self._ended is None:
            self.status = OrderStatus.PARTIALLY_FILLED
        elif looked_filled:
            return self._end(self._ended)
        return []

    def _take_answer(self, report: VenueOrderReported) -> list[OrderEvent]:
        """The first answer to an amend."""
        del self._unanswered[report.revision]
        quantity, limit = report.quantity, report.limit
        if quantity is None or limit is None:
            return [self._event(OrderAmendRejectedEvent, report.ts, revision=report.revision, reason=report.reason)]
        if report.revision < self.revision:
            return []  # a later one has taken its place
        self.revision, self.quantity, self.limit = report.revision, quantity, limit
        ended = self._settle() if self.filled else []
        return [self._event(OrderAmendedEvent, report.ts, revision=report.revision), *ended]

    @property
    def _most(self) -> Quantity:
        """The largest quantity that the order may have at the venue (base)."""
        return self._ceiling(self.quantity, self.revision)

    def _ceiling(self, quantity: Quantity, confirmed: int, without: int = 0) -> Quantity:
        """The same if ``confirmed`` were the newest confirmed amend, with ``quantity``, and amend ``without`` were
        answered. Looks at no amend up to ``confirmed``."""
        most = quantity
        for revision in reversed(self._unanswered):
            if revision <= confirmed:
                break
            if revision != without:
                most = max(most, self._unanswered[revision])
        return most

    def _acknowledge(self, report: VenueOrderReported) -> list[OrderEvent]:
        if self.status not in _IN_DOUBT:
            return []
        self.status = OrderStatus.ACCEPTED
        return [self._event(OrderAcceptedEvent, report.ts, venue_order_id=self.venue_order_id)]

    def _event(self, kind: type[E], ts: int, **own: Any) -> E:
        """An event with the order as it is now and its ``own`` fields; ``ts`` is the venue's time of what it is
        concluded from."""
        fields: dict[str, Any] = {
            "order_id": self.order_id,
            "symbol": self.symbol,
            "account_id": self.account_id,
            "user_id": self.user_id,
            "strategy_id": self.strategy_id,
            "side": self.side,
            "quantity": self.quantity,
            "limit": self.limit,
            "status": self.status,
            "filled": self.filled,
            "remaining": self.remaining,
            "average_price": self.average_price,
            "reduce_only": self.reduce_only,
            "reserved": self.reserved,
            "reserved_currency": self.reserved_currency,
            "ts": ts,
        }
        fields.update(own)
        return kind(**fields)

    def _check_addressee(self, report: VenueOrderReported | VenueFillReported) -> None:
        if (report.order_id, report.symbol) != (self.order_id, self.symbol):
            raise OrderEvidenceError(
                f"order {self.order_id} on {self.symbol}: "
                f"was given a report of order {report.order_id} on {report.symbol}"
            )

    def _check_answer(self, report: VenueOrderReported) -> None:
        revision, asked = report.revision, self._amends
        if not 0 < revision <= asked or (report.quantity is None) is not (report.limit is None):
            raise OrderEvidenceError(
                f"order {self.order_id}: the venue answers amend {revision} with {report.quantity} at {report.limit}, "
                f"and {asked} were asked for; compare the order with the venue's before trading on"
            )
        if revision not in self._unanswered or revision < self.revision:
            return
        if report.quantity is None:
            most = self._ceiling(self.quantity, self.revision, without=revision)
        else:
            most = self._ceiling(report.quantity, revision)
        if self.filled > most:
            raise OrderEvidenceError(
                f"order {self.order_id}: the answer to amend {revision} leaves {most}, and {self.filled} is filled; "
                "compare the order with the venue's before trading on"
            )

    def _check_fill(self, fill: VenueFillReported) -> bool:
        """Whether the fill is new. Raises ``OrderEvidenceError`` where it cannot be true."""
        self._check_addressee(fill)
        if fill.side is not self.side:
            raise OrderEvidenceError(
                f"order {self.order_id}: is a {self.side}, and fill {fill.venue_trade_id} a {fill.side}"
            )
        if not fill.venue_trade_id:
            # Two fills without an id would look like one and its repeat.
            raise OrderEvidenceError(
                f"order {self.order_id}: a fill without a venue_trade_id cannot be told from a repeat"
            )
        if fill.venue_trade_id in self._trade_ids:
            return False
        filled = EXACT.add(self.filled, fill.quantity)
        if filled > self._most:
            raise OrderEvidenceError(
                f"order {self.order_id}: fill {fill.venue_trade_id} of {fill.quantity} makes {filled} filled of "
                f"{self.quantity} ordered; compare the order with the venue's before trading on"
            )
        return True
