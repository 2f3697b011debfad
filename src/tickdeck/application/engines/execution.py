"""The execution engine: turns approved intents into orders, and updates orders from the venue's reports."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.venue_refusals import PERSONS, VenueRefusals, describe_order
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
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
    RiskApprovedEvent,
    SystemWarning,
    TimerCancelled,
    TimerFired,
    TimerSet,
    VenueCancelRefused,
    VenueFillReported,
    VenueOrderNotFound,
    VenueOrderReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import Order, reservation
from tickdeck.domain.values import SELL, ZERO, OrderStatus, Quantity, Side

__all__ = ["ExecutionEngine"]

_SECOND = 1_000_000_000
_FIRST_RETRY_NS = _SECOND
_LONGEST_RETRY_NS = 60 * _SECOND
_ALERT_AFTER_NS = 30 * _SECOND
_ALERT_AGAIN_NS = 3600 * _SECOND
_ALERT_AT_REFUSAL = 5  # of a cancel, after 15 s
_DOUBT = "doubt/"  # begins the name of a timer for an alert; the others are named by their order
_CLOSED_KEPT = 10_000
"""How many ended orders are kept for late reports."""


class ExecutionEngine:
    """Keeps the run's open orders and the last 10,000 that ended, by client order id.

    A kept id is never submitted again. Reports about orders that are not kept are counted in ``unknown_reports`` and
    change nothing; if such a report is a fill, a ``system.warning`` is published. A report that cannot be true of its
    order raises, which halts trading, because our books are then wrong. An order whose fills have not all arrived is
    always kept.

    A cancel that was refused or could not be sent is repeated after 1 s, 2 s, 4 s and so on, at most 60 s apart on the
    run's clock, until the venue's reports end the order. There is an alert when that has lasted for 15 s.

    What the venue refuses of an operator's orders and amends, and of ``flatten``, ``close`` and the like, is alerted.

    An order in doubt stays ``unknown``, and keeps what it reserves, until the venue reports it, or reports that it has
    no such order, or the command ``settle`` (``order_id``) ends it. There is an alert when it is in doubt for 30 s,
    each hour after that, and when the venue reports an order that was concluded to be dead: that order is open again.
    """

    component = "execution"
    hears = (
        RiskApprovedEvent,
        VenueOrderReported,
        VenueFillReported,
        VenueOrderNotFound,
        VenueCancelRefused,
        CommandReceived,
        TimerFired,
    )
    publishes = (
        OrderSubmittedEvent,
        OrderAmendRequestedEvent,
        OrderCancelRequestedEvent,
        OrderCancelRejectedEvent,
        OrderAcceptedEvent,
        OrderAmendedEvent,
        OrderAmendRejectedEvent,
        OrderPartiallyFilledEvent,
        OrderFilledEvent,
        OrderCancelledEvent,
        OrderRejectedEvent,
        OrderExpiredEvent,
        OrderUnknownEvent,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        kernel: CoreBus,
        nonce: str,
        instrument: Callable[[str], Instrument] | None = None,
        *,
        owner: str = component,
    ) -> None:
        """``instrument(symbol)`` gives the currency in which an order reserves an amount. Without it, orders reserve
        nothing. ``owner``: of the timers, if there are several of these engines."""
        self._kernel = kernel
        self._instrument = instrument
        self._nonce = nonce
        self._owner = owner
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._closed: deque[str] = deque()  # ids in the order in which they ended
        self._by_strategy: dict[str, dict[str, Order]] = {}  # the open ones
        self._retries: dict[str, int] = {}  # timers that will repeat a cancel, by order id
        self._refusals: dict[str, int] = {}  # cancels of an open order, by order id
        self._doubts: dict[str, int] = {}  # timers of the alerts about orders in doubt, by order id
        self._wishes = VenueRefusals()
        self.unknown_reports = 0
        self.submitted = 0
        """The total number of orders."""
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        kernel.subscribe(RiskApprovedEvent, self.on_approved, **own)
        kernel.subscribe(VenueOrderReported, self.on_report, **own)
        kernel.subscribe(VenueFillReported, self.on_report, **own)
        kernel.subscribe(VenueOrderNotFound, self.on_not_found, **own)
        kernel.subscribe(VenueCancelRefused, self.on_cancel_refused, **own)
        kernel.subscribe(CommandReceived, self.on_command, **own)
        kernel.subscribe(
            TimerFired,
            self.on_timer,
            where=lambda timer: timer.owner == owner,
            priority=PRIORITY[self.component],
            component=self.component,
        )

    # -- requests --------------------------------------------------------------------------------------------------

    def on_approved(self, approved: RiskApprovedEvent) -> None:
        intent = approved.intent
        if intent.action == "cancel":
            order = self.orders.get(intent.order_id)
            if order is not None and order.is_open and order.strategy_id == approved.strategy_id:
                self._kernel.publish(order.request_cancel())
            return
        if intent.action == "amend":
            order = self.orders.get(intent.order_id)
            if order is not None and order.is_open and intent.limit is not None:  # risk has completed the intent
                self._wishes.ask_amend(approved.strategy_id, intent)
                request = order.request_amend(intent.quantity, intent.limit)
                self._wishes.requested(request)
                self._kernel.publish(request)
            return
        assert intent.side is not None  # the event's own check
        order_id = intent.order_id or client_order_id(self._nonce, approved.event_id)
        if order_id in self.orders:
            return
        submitted = self._submitted(order_id, intent.side, approved)
        self.submitted += 1
        self._opened(Order(submitted, in_run=True))
        self._kernel.publish(submitted)

    def _submitted(self, order_id: str, side: Side, approved: RiskApprovedEvent) -> OrderSubmittedEvent:
        intent = approved.intent
        reserved, currency = ZERO, ""
        if self._instrument is not None:
            instrument = self._instrument(intent.symbol)
            currency = instrument.base if side is SELL else instrument.quote
            reserved = reservation(side, intent.quantity, intent.limit)
        return OrderSubmittedEvent(
            order_id=order_id,
            symbol=intent.symbol,
            account_id=approved.account_id,
            user_id=approved.user_id,
            strategy_id=approved.strategy_id,
            side=side,
            quantity=intent.quantity,
            limit=intent.limit,
            remaining=intent.quantity,
            reduce_only=intent.reduce_only,
            reserved=reserved,
            reserved_currency=currency,
            time_in_force=intent.time_in_force,
            stop=intent.stop,
            protects=intent.protects,
        )

    # -- reports from the venue ------------------------------------------------------------------------------------

    def on_report(self, report: VenueOrderReported | VenueFillReported) -> None:
        order = self.orders.get(report.order_id)
        if order is None:
            self.unknown_reports += 1
            if isinstance(report, VenueFillReported):
                message = (
                    f"a fill of {report.quantity} {report.symbol} belongs to the unknown order {report.order_id} and "
                    "changes no position and no balance; compare the account with the venue's"
                )
                self._kernel.publish(SystemWarning(component=self.component, message=message))
            return
        before, owed = order.status, order.missing
        conclusions = order.apply_fill(report) if isinstance(report, VenueFillReported) else order.apply_report(report)
        self._recount(order, owed)
        self._kernel.publish_all(conclusions)
        if conclusions and (self._wishes.amends or order.strategy_id in PERSONS):
            self._tell(order, conclusions)
        if before is OrderStatus.REJECTED and order.status is not before:
            self._alert(
                f"order {describe_order(order)} was taken for dead, but the venue reports it: it is "
                f"{order.status.value} and counts as ours again. Look at the account and at what was done since"
            )

    def on_not_found(self, report: VenueOrderNotFound) -> None:
        """The venue never received an order in doubt."""
        order = self._open.get(report.order_id)
        if order is not None:
            why = (
                f"never received: after {report.waited / _SECOND:.0f} s on the venue's clock it is in none of "
                f"{', '.join(report.sources)}"
            )
            self._end_doubt(order, why, report.ts)

    def on_command(self, command: CommandReceived) -> None:
        """``settle`` ends an order in doubt: a person knows that it never was at the venue, or ended there unfilled."""
        if command.command != "settle":
            return
        order_id = command.arguments.get("order_id", "")
        order = self.orders.get(order_id)
        if order is None or order.status is not OrderStatus.UNKNOWN:
            state = (
                "is not known" if order is None else f"is {order.status.value}, and only an order in doubt is settled"
            )
            message = f"settle: order {order_id} {state}"
            self._kernel.publish(SystemWarning(component=self.component, message=message))
            return
        reason = f"settled by a person: {command.reason or 'no reason given'}"
        self._end_doubt(order, reason, command.ts, is_settled=True)

    def _end_doubt(self, order: Order, reason: str, ts: int, *, is_settled: bool = False) -> None:
        """``is_settled``: a person ended it, and need not be told."""
        conclusions = order.conclude_rejected(reason, ts)
        self._recount(order, order.missing)
        self._kernel.publish_all(conclusions)
        if is_settled:
            self._wishes.forget(order.order_id)
        else:
            self._tell(order, conclusions)

    def on_cancel_refused(self, refused: VenueCancelRefused) -> None:
        """This report does not settle the order, so ask again later."""
        order = self._open.get(refused.order_id)
        if order is None:
            self.unknown_reports += refused.order_id not in self.orders
            return
        self._kernel.publish(order.cancel_refused(refused.reason, refused.ts))
        if order.order_id in self._retries:
            return
        before = self._refusals.get(order.order_id, 0)
        self._refusals[order.order_id] = before + 1
        if before + 1 == _ALERT_AT_REFUSAL:
            self._alert(
                f"order {describe_order(order)} is not cancelled yet, {_ALERT_AT_REFUSAL} requests failed: "
                f"{refused.reason}. It is tried again, at least once a minute"
            )
        delay = min(_FIRST_RETRY_NS << min(before, 10), _LONGEST_RETRY_NS)
        due = self._kernel.clock.now() + delay
        self._retries[order.order_id] = self._kernel.set_timer(due, order.order_id, self._owner)

    def on_timer(self, timer: TimerFired) -> None:
        """Repeat a cancel, or an alert."""
        if timer.name.startswith(_DOUBT):
            self._remind(timer.name.removeprefix(_DOUBT))
            return
        self._retries.pop(timer.name, None)
        order = self._open.get(timer.name)
        if order is not None:
            self._kernel.publish(order.request_cancel())

    # -- from the record -------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record: fold it into its order. Publishes nothing."""
        if isinstance(event, RiskApprovedEvent):
            self._wishes.recall(event, None)
        elif isinstance(event, OrderSubmittedEvent):
            self.submitted += 1
            self._opened(Order(event, in_run=True))
        elif isinstance(event, OrderEvent | VenueOrderReported | VenueFillReported):
            self._fold(event)
        elif isinstance(event, VenueCancelRefused):
            if event.order_id in self._open:
                if event.order_id not in self._retries:  # else it will be repeated anyway
                    self._refusals[event.order_id] = self._refusals.get(event.order_id, 0) + 1
            else:
                self.unknown_reports += event.order_id not in self.orders
        elif isinstance(event, TimerSet | TimerFired | TimerCancelled):
            self._recall_timer(event)

    def _fold(self, event: OrderEvent | VenueOrderReported | VenueFillReported) -> None:
        order = self.orders.get(event.order_id)
        if order is None:
            self.unknown_reports += not isinstance(event, OrderEvent)
            return
        owed = order.missing
        order.apply(event)
        self._file(order, owed)
        self._wishes.recall(event, order)

    def _recall_timer(self, event: TimerSet | TimerFired | TimerCancelled) -> None:
        if isinstance(event, TimerSet):
            if event.owner == self._owner:
                timers = self._doubts if event.name.startswith(_DOUBT) else self._retries
                timers[event.name.removeprefix(_DOUBT)] = event.timer_id
            return
        for timers in (self._doubts, self._retries):
            for order_id in [name for name, timer_id in timers.items() if timer_id == event.timer_id]:
                del timers[order_id]

    # -- alerts ----------------------------------------------------------------------------------------------------

    def _remind(self, order_id: str) -> None:
        """Alert a person about an order in doubt, and do so again later."""
        order = self._open[order_id]
        self._alert(
            f"order {describe_order(order)} is in doubt: it is not known whether the venue has it ({order.reason}). It "
            "keeps its capital and is not sent again. Look it up at the venue; `tickdeck cancel` cancels it there, "
            "`tickdeck settle` ends it here if the venue does not have it"
        )
        self._watch_doubt(order_id, _ALERT_AGAIN_NS)

    def _tell(self, order: Order, conclusions: list[OrderEvent]) -> None:
        """Alert a person about what the venue refused."""
        for text in self._wishes.texts(order, conclusions):
            self._alert(text)

    def _alert(self, text: str) -> None:
        self._kernel.publish(NotificationAlert(text=text, severity="critical"))

    # -- queries -------------------------------------------------------------------------------------------------

    @property
    def unknown(self) -> int:
        """The number of orders in doubt."""
        return sum(order.status is OrderStatus.UNKNOWN for order in self._open.values())

    def open_orders(self, strategy_id: str, symbol: str | None = None) -> tuple[str, ...]:
        """Ids of a strategy's orders that have not ended, oldest first. Those that protect a position are left out."""
        orders = self._by_strategy.get(strategy_id, {}).values()
        return tuple(order.order_id for order in orders if symbol in (None, order.symbol))

    def open_of(self, symbol: str = "") -> tuple[Order, ...]:
        """All open orders, or those of one symbol, oldest first."""
        return tuple(order for order in self._open.values() if symbol in ("", order.symbol))

    def working(self, symbol: str, side: Side) -> Quantity:
        """The most that the open orders of one side of a symbol may still fill (base)."""
        return sum((o.exposure for o in self._open.values() if o.symbol == symbol and o.side is side), ZERO)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _recount(self, order: Order, owed: Quantity) -> None:
        """File an order after a report. ``owed``: what was ``missing`` before (base)."""
        order_id = order.order_id
        if order.status is OrderStatus.UNKNOWN:
            if order_id not in self._doubts:
                self._watch_doubt(order_id, _ALERT_AFTER_NS)
        elif self._doubts and (timer := self._doubts.pop(order_id, None)) is not None:
            self._kernel.cancel_timer(timer)
        self._file(order, owed)

    def _file(self, order: Order, owed: Quantity) -> None:
        """Keep an order that changed among the open or the ended ones. ``owed`` is as for ``_recount``."""
        order_id = order.order_id
        was_open = order_id in self._open
        if order.is_open and not was_open:
            self._opened(order)  # again, because the venue has it after all
        elif was_open and not order.is_open:
            self._ended(order)
        elif owed and not was_open and not order.missing:
            self._remember(order_id)  # it may be removed now, and so may others

    def _watch_doubt(self, order_id: str, after: int) -> None:
        due = self._kernel.clock.now() + after
        self._doubts[order_id] = self._kernel.set_timer(due, f"{_DOUBT}{order_id}", self._owner)

    def _opened(self, order: Order) -> None:
        self.orders[order.order_id] = self._open[order.order_id] = order
        if not order.protects:  # those are not the strategy's to look after
            self._by_strategy.setdefault(order.strategy_id, {})[order.order_id] = order

    def _ended(self, order: Order) -> None:
        order_id = order.order_id
        del self._open[order_id]
        if not order.protects:
            del self._by_strategy[order.strategy_id][order_id]
        self._refusals.pop(order_id, None)
        timer = self._retries.pop(order_id, None)
        if timer is not None:
            self._kernel.cancel_timer(timer)
        self._remember(order_id)

    def _remember(self, order_id: str) -> None:
        """Keep an ended order for a while, and remove the order that ended first, unless it is open again or fills are
        still missing."""
        self._closed.append(order_id)
        if len(self._closed) > _CLOSED_KEPT:
            oldest = self._closed.popleft()
            order = self.orders.get(oldest)
            if order is not None and not order.is_open and not order.missing:
                del self.orders[oldest]
