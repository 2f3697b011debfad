"""One of our orders, and what we conclude about it from the venue's reports.

Reports arrive late, more than once and out of order. These rules make the final state independent of the order of
arrival:

- Fills are never dropped. Each fill counts once, by its ``venue_trade_id``, in every state, even after ``cancelled``,
  ``expired`` or ``rejected``.
- ``filled`` is the sum of fills only. A report with status ``filled`` or ``partially_filled`` has no price, so it only
  shows that the venue has the order. Its count is stored, and ``missing`` is the part for which no fill has arrived.
- ``cancelled`` and ``expired`` end the order immediately, even if fills are missing. Later fills are still applied, and
  the status remains, unless they complete the order: then it is ``filled``.
- ``rejected`` means that nothing was or will be filled. After a fill it is ignored, and a fill after it revokes it.
- An order in doubt that we conclude to be dead (``conclude_rejected``) is ``rejected`` until the venue shows it: then
  the venue's report counts.
- ``unknown`` only replaces ``submitted``, never a status that the venue reported. Any report from the venue ends it.
- Only fills change a final status, as described above. Of two contradicting final reports, the first one counts.
- We number our amends. ``quantity`` and ``limit`` are those of the highest revision that the venue confirmed. A fill
  beyond ``quantity`` is accepted if an unanswered amend allows it. If an amend or such a fill shows that a filled order
  has a remainder, the order is open again, or has the status with which the venue ended it. If a confirmed amend leaves
  nothing to fill, the order is filled without another fill.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, TypeVar

from tickdeck.domain.aggregates import AggregateRoot
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
    order_stream,
)
from tickdeck.domain.trading.amend_requests import AmendRequests
from tickdeck.domain.trading.evidence import (
    OrderEvidenceError,
    check_answer,
    check_count,
    check_fill,
    check_order_id,
)
from tickdeck.domain.trading.exact import EXACT, average_of
from tickdeck.domain.trading.order_life_cycle import ORDER_BY_REPORT
from tickdeck.domain.values import SELL, ZERO, Money, OrderStatus, OrderType, Price, Quantity, Side, TimeInForce
from tickdeck.errors import InvalidValue, format_value

__all__ = ["Order", "reservation"]

E = TypeVar("E", bound=OrderEvent)

_SUBMITTED, _ACCEPTED, _UNKNOWN = OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.UNKNOWN
_PARTIALLY_FILLED, _FILLED = OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED
_CANCELLED, _REJECTED = OrderStatus.CANCELLED, OrderStatus.REJECTED
_ENDED_BY_VENUE = (_CANCELLED, OrderStatus.EXPIRED)
_ONLY_SHOW_IT = (_SUBMITTED, _PARTIALLY_FILLED, _FILLED)
"""Statuses in a report that show that the venue has the order, and no more: they have no price."""


def reservation(side: Side, remaining: Quantity, limit: Price | None) -> Money:
    """The amount that an order for ``remaining`` (base) reserves, without fees: base for a sell, quote for a buy. It is
    0 for a market buy, because its price is not known yet."""
    if side is SELL:
        return remaining
    return ZERO if limit is None else EXACT.multiply(remaining, limit)


class Order(AggregateRoot):
    """One order, as an aggregate. Quantities are in base, prices and ``notional`` in quote. Its life cycle is in
    ``order_life_cycle``.

    Methods that decide something return the events to publish. Outside of a run, the order also keeps them, together
    with the reports that it was given, until a unit of work saves them.

    ``filled`` is the sum of all fills, and ``notional`` the sum of their price x quantity. ``venue_filled`` is the
    largest count that the venue reported. ``reason`` is the venue's reason for the last change that had one.
    ``stop`` (quote) and ``protects`` are as in ``order.submitted``.
    ``revision`` is the newest amend that the venue confirmed; 0 if there is none.
    """

    __slots__ = (
        "_amends",
        "_concluded",
        "_end_report",
        "_trade_ids",
        "account_id",
        "filled",
        "limit",
        "notional",
        "order_id",
        "protects",
        "quantity",
        "reason",
        "reduce_only",
        "reserved_currency",
        "revision",
        "side",
        "status",
        "stop",
        "strategy_id",
        "symbol",
        "time_in_force",
        "user_id",
        "venue_filled",
        "venue_order_id",
    )

    def __init__(self, submitted: OrderSubmittedEvent, *, in_run: bool = False) -> None:
        """The order right after ``submitted``, which is published or saved; ``submit`` is for one that is not."""
        super().__init__(in_run=in_run)
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
        self.stop: Price | None = submitted.stop
        self.protects: str = submitted.protects
        self.status: OrderStatus = _SUBMITTED
        self.filled: Quantity = ZERO
        self.notional: Money = ZERO
        self.venue_filled: Quantity = ZERO
        self.venue_order_id: str = ""
        self.reason: str = ""
        self.revision: int = 0
        self._trade_ids: set[str] = set()
        self._amends = AmendRequests()
        self._concluded = False  # rejected without a report that says so
        self._end_report: VenueOrderReported | None = None  # the first report that it is cancelled or expired

    @classmethod
    def submit(cls, submitted: OrderSubmittedEvent) -> Self:
        """A new order for a repository: add it, save it, and send it once it is durable."""
        _check_kind("Order.submit", submitted, OrderSubmittedEvent)
        order = cls(submitted)
        order._raised.append(submitted)
        return order

    # -- queries ---------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> tuple[str, str]:
        return self.account_id, self.order_id

    @property
    def stream(self) -> str:
        return order_stream(self.account_id, self.order_id)

    @property
    def order_type(self) -> OrderType:
        """Market, or limit if it has one."""
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT

    @property
    def remaining(self) -> Quantity:
        """The quantity that is not filled (base). For an ended order, it never will be."""
        return max(EXACT.subtract(self.quantity, self.filled), ZERO)

    @property
    def exposure(self) -> Quantity:
        """The most that may still be filled (base): ``remaining``, assuming that all unanswered amends are
        confirmed."""
        return max(EXACT.subtract(self._largest_quantity, self.filled), ZERO)

    @property
    def unanswered_amends(self) -> dict[int, Quantity]:
        """The total quantities (base) of amends that the venue has neither confirmed nor refused, by revision."""
        return self._amends.unanswered(self.revision)

    @property
    def average_price(self) -> Price | None:
        """The average over all fills, quote per base, to 28 significant digits; ``None`` before the first fill."""
        return average_of(self.notional, self.filled) if self.filled else None

    @property
    def reserved(self) -> Money:
        """What the rest of the order reserves, in ``reserved_currency``. 0 if the currency is unknown or the order has
        ended."""
        if not self.reserved_currency or self.status.is_final:
            return ZERO
        return reservation(self.side, self.remaining, self.limit)

    @property
    def is_open(self) -> bool:
        """Whether the venue may still fill the order. This includes orders with status ``unknown``."""
        return not self.status.is_final

    @property
    def is_taken_for_dead(self) -> bool:
        """Whether it was in doubt and we concluded that the venue never received it. The venue may still show it."""
        return self._concluded and self.status is _REJECTED

    @property
    def missing(self) -> Quantity:
        """The quantity that the venue reported as filled but for which no fill has arrived (base)."""
        return max(self.venue_filled - self.filled, ZERO)

    # -- changes ---------------------------------------------------------------------------------------------------

    def request_amend(self, quantity: Quantity, limit: Price) -> OrderAmendRequestedEvent:
        """Ask for a total ``quantity`` (base) at ``limit`` (quote). Returns the request to publish.

        Nothing else changes before the venue answers.
        """
        revision = self._amends.request(quantity)
        return self._event(OrderAmendRequestedEvent, 0, revision=revision, quantity=quantity, limit=limit)

    def request_cancel(self) -> OrderCancelRequestedEvent:
        """Ask the venue to cancel. Returns the request to publish. Nothing changes before the venue answers."""
        return self._event(OrderCancelRequestedEvent, 0)

    def cancel_refused(self, reason: str, ts: int) -> OrderCancelRejectedEvent:
        """A cancel failed at ``ts`` (ns). Returns the event to publish. The order remains as it was."""
        return self._event(OrderCancelRejectedEvent, ts, reason=reason)

    def apply_report(self, report: VenueOrderReported) -> list[OrderEvent]:
        """Apply a report about the status of the order, or about an amend. Returns the events to publish, often none.

        Raises ``OrderEvidenceError`` if the report is about another order, counts more than was ordered, or answers an
        amend that was not requested or is impossible.
        """
        if not self._in_run:
            _check_kind("apply_report", report, VenueOrderReported)
        tells_status = self._record(report)
        if not self._in_run:
            self._raised.append(report)
        events = self._react(report) if tells_status else []
        if report.revision in self._amends:
            events += self._apply_answer(report)
        return events

    def conclude_rejected(self, reason: str, ts: int) -> list[OrderEvent]:
        """End an order in doubt that the venue never received, at ``ts`` (ns). Returns the event to publish, or nothing
        if the order is not ``unknown``."""
        if self.status is not _UNKNOWN:
            return []
        self.status, self.reason, self._concluded = _REJECTED, reason, True
        return [self._event(OrderRejectedEvent, ts, reason=reason, concluded=True)]

    def _record(self, report: VenueOrderReported) -> bool:
        """Store what the report says. Returns False if it says nothing about the order's status."""
        check_order_id(self, report)
        if report.revision:
            check_answer(self, self._amends, report)
            if report.status is _UNKNOWN:
                return False
        check_count(self, report, self._largest_quantity)
        self.venue_filled = max(self.venue_filled, report.filled)
        self.venue_order_id = self.venue_order_id or report.venue_order_id
        if report.status in _ENDED_BY_VENUE:
            self._end_report = self._end_report or report
        if report.status is _REJECTED:
            self._concluded = False
        return True

    def _react(self, report: VenueOrderReported) -> list[OrderEvent]:
        if self.status is _REJECTED and self._concluded and report.status is not _UNKNOWN:
            self.status = _UNKNOWN  # the venue has it after all
        after = _ACCEPTED if report.status in _ONLY_SHOW_IT else report.status
        if after not in ORDER_BY_REPORT[self.status]:
            return []
        if after is _ACCEPTED:
            self.status = after
            return [self._event(OrderAcceptedEvent, report.ts, venue_order_id=self.venue_order_id)]
        if after in _ENDED_BY_VENUE:
            return self._finish(report)
        self.status, self.reason = after, report.reason
        conclusion = OrderUnknownEvent if after is _UNKNOWN else OrderRejectedEvent
        return [self._event(conclusion, report.ts, reason=report.reason)]

    def apply_fill(self, fill: VenueFillReported) -> list[OrderEvent]:
        """Apply a fill. Returns ``order.partially_filled`` or ``order.filled``, or nothing for a repeated fill.

        Raises ``OrderEvidenceError`` if the fill is for another order or side, has no trade id, or would fill more than
        was ordered.
        """
        if not self._in_run:
            _check_kind("apply_fill", fill, VenueFillReported)
        if not check_fill(self, self._trade_ids, fill, self._largest_quantity):
            return []
        if not self._in_run:
            self._raised.append(fill)
        filled = EXACT.add(self.filled, fill.quantity)
        self._trade_ids.add(fill.venue_trade_id)
        self.filled = filled
        self.notional = EXACT.fma(fill.price, fill.quantity, self.notional)
        self.venue_order_id = self.venue_order_id or fill.venue_order_id
        ended = self._update_status()
        conclusion = OrderFilledEvent if self.status is _FILLED else OrderPartiallyFilledEvent
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
        """The order after ``events``, which must be all events of its stream, in order. Events before
        ``order.submitted`` are skipped.

        The ``order.*`` events are applied as recorded, even if today's rules would conclude something else. The venue's
        reports only add what no ``order.*`` event contains: the venue's count, its order id, and its report of the end.
        Raises ``ValueError`` if there is no ``order.submitted``.
        """
        order: Self | None = None
        version = 0
        for event in events:
            version += 1
            if order is not None:
                order.apply(event)
            elif isinstance(event, OrderSubmittedEvent):
                order = cls(event)
        if order is None:
            raise ValueError("the events contain no order.submitted; pass all events of the order's stream")
        order.version = version
        return order

    def apply(self, event: DomainEvent) -> None:
        """Apply the next event of the order's stream, as ``fold`` does. Other events change nothing."""
        match event:
            case VenueFillReported():
                self._restore_fill(event)
            case VenueOrderReported():
                self._restore_report(event)
            case OrderAmendRequestedEvent():
                self._amends.restore(event.revision, event.quantity)
            case OrderAmendRejectedEvent():
                self._amends.close(event.revision)
            case OrderAmendedEvent():
                self._amends.close(event.revision)
                self.revision, self.quantity, self.limit = event.revision, event.quantity, event.limit
                self._take_status(event)
            case OrderPartiallyFilledEvent() | OrderFilledEvent():
                self._trade_ids.add(event.venue_trade_id)
                self.filled = event.filled
                self.notional = EXACT.fma(event.price, event.quantity, self.notional)
                self._take_status(event)
            case OrderAcceptedEvent():
                self.status, self.venue_order_id = event.status, event.venue_order_id
            case OrderCancelledEvent() | OrderExpiredEvent() | OrderUnknownEvent():
                self.status, self.reason = event.status, event.reason
            case OrderRejectedEvent():
                self.status, self.reason, self._concluded = event.status, event.reason, event.concluded

    def _take_status(self, event: OrderEvent) -> None:
        if event.status is not None:
            self.status = event.status
        elif self.filled:  # an event of an earlier version, which has no status
            self._update_status()

    def _restore_fill(self, fill: VenueFillReported) -> None:
        try:
            is_new = check_fill(self, self._trade_ids, fill, self._largest_quantity)
        except OrderEvidenceError:
            return  # it was also rejected when it arrived, and changed nothing
        if is_new:
            self.venue_order_id = self.venue_order_id or fill.venue_order_id

    def _restore_report(self, report: VenueOrderReported) -> None:
        try:
            self._record(report)
        except OrderEvidenceError:
            return  # it was also rejected when it arrived, and changed nothing
        self._amends.close(report.revision)

    # -- rules -----------------------------------------------------------------------------------------------------

    def _finish(self, report: VenueOrderReported) -> list[OrderEvent]:
        self.status, self.reason = report.status, report.reason
        conclusion = OrderCancelledEvent if report.status is _CANCELLED else OrderExpiredEvent
        # The larger count is correct: either the report omits fills that we have, or fills have not arrived yet.
        filled = max(self.filled, self.venue_filled)
        remaining = max(EXACT.subtract(self.quantity, filled), ZERO)
        return [self._event(conclusion, report.ts, filled=filled, remaining=remaining, reason=report.reason)]

    def _update_status(self) -> list[OrderEvent]:
        """Update the status of an order with fills. If it was filled or rejected and no longer is, returns the end that
        the venue had reported."""
        looked_ended = self.status in (_FILLED, _REJECTED)
        if self.filled == self.quantity:
            self.status = _FILLED
        elif self._end_report is None:
            self.status = _PARTIALLY_FILLED
        elif looked_ended:
            return self._finish(self._end_report)
        return []

    def _apply_answer(self, report: VenueOrderReported) -> list[OrderEvent]:
        """Apply the first answer to an amend."""
        self._amends.close(report.revision)
        quantity, limit = report.quantity, report.limit
        if quantity is None or limit is None:
            return [self._event(OrderAmendRejectedEvent, report.ts, revision=report.revision, reason=report.reason)]
        if report.revision < self.revision:
            return []  # a later amend is already confirmed
        self.revision, self.quantity, self.limit = report.revision, quantity, limit
        ended = self._update_status() if self.filled else []
        return [self._event(OrderAmendedEvent, report.ts, revision=report.revision), *ended]

    @property
    def _largest_quantity(self) -> Quantity:
        """The largest quantity that the order may have at the venue (base)."""
        return self._amends.largest_quantity(self.quantity, self.revision)

    def _event(self, kind: type[E], ts: int, **own: Any) -> E:
        """An event with the current state of the order and the fields ``own``. ``ts`` is the venue's time of the report
        or fill. Outside of a run, the order keeps it."""
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
        event = kind(**fields)
        if not self._in_run:
            self._raised.append(event)
        return event


def _check_kind(call: str, given: object, wanted: type[DomainEvent]) -> None:
    if not isinstance(given, wanted):
        raise InvalidValue(f"{call}: {format_value(given)} is given; give one of {wanted.__name__}")
