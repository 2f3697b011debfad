"""An order's state from reports that come late, twice and out of order."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext
from itertools import permutations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickdeck.domain.events import (
    OrderAcceptedEvent,
    OrderCancelledEvent,
    OrderCancelRejectedEvent,
    OrderExpiredEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.trading.order import OrderEvidenceError, reservation
from tickdeck.domain.values import OrderStatus, OrderType, Side
from tickdeck.errors import TickdeckError

S = OrderStatus


def new_order(quantity: str = "1", limit: str | None = "100") -> Order:
    return Order(
        OrderSubmittedEvent(
            order_id="o-1",
            symbol="BTCUSDT",
            account_id="main",
            strategy_id="ema-cross",
            side=Side.BUY,
            quantity=Decimal(quantity),
            limit=None if limit is None else Decimal(limit),
        )
    )


def report(status: OrderStatus, filled: str = "0", **fields: object) -> VenueOrderReported:
    return VenueOrderReported(order_id="o-1", symbol="BTCUSDT", status=status, filled=Decimal(filled), **fields)


def fill(trade_id: str, quantity: str, price: str = "100", **fields: object) -> VenueFillReported:
    values = {"order_id": "o-1", "symbol": "BTCUSDT", "side": Side.BUY, **fields}
    return VenueFillReported(venue_trade_id=trade_id, quantity=Decimal(quantity), price=Decimal(price), **values)


def apply(order: Order, message: VenueOrderReported | VenueFillReported) -> list:
    return order.apply_fill(message) if isinstance(message, VenueFillReported) else order.apply_report(message)


def state(order: Order) -> tuple:
    amended = order.quantity, order.limit, order.revision
    return order.status, order.filled, order.notional, order.venue_filled, order.missing, order.exposure, *amended


def test_fills_are_added_up_exactly_whatever_the_threads_decimal_context() -> None:
    order = new_order("1")

    with localcontext(prec=3):
        order.apply_fill(fill("t1", "0.12345", "61700.01"))
        order.apply_fill(fill("t2", "0.87655", "61700.02"))

    assert order.status is S.FILLED
    assert order.notional == Decimal("0.12345") * Decimal("61700.01") + Decimal("0.87655") * Decimal("61700.02")


# -- the plain story ------------------------------------------------------------------------------------------------


def test_new_order_is_submitted_and_open_with_nothing_filled() -> None:
    order = new_order(limit=None)

    assert order.status is S.SUBMITTED
    assert order.is_open
    assert order.order_type is OrderType.MARKET
    assert (order.filled, order.remaining, order.average_price) == (0, 1, None)


def test_accepted_report_gives_one_accepted_event_with_the_orders_names_and_the_venues_time() -> None:
    order = new_order()

    events = order.apply_report(report(S.ACCEPTED, venue_order_id="v-9", ts=77))

    assert events == [
        OrderAcceptedEvent(
            order_id="o-1",
            symbol="BTCUSDT",
            strategy_id="ema-cross",
            side=Side.BUY,
            quantity=Decimal(1),
            limit=Decimal(100),
            status=S.ACCEPTED,
            filled=Decimal(0),
            remaining=Decimal(1),
            venue_order_id="v-9",
            ts=77,
        )
    ]
    assert (order.status, order.venue_order_id, order.order_type) == (S.ACCEPTED, "v-9", OrderType.LIMIT)


def test_fills_carry_the_running_totals_and_the_exact_average() -> None:
    order = new_order("1")
    order.apply_report(report(S.ACCEPTED))

    (first,) = order.apply_fill(fill("t1", "0.3", "100", fee=Decimal("0.03"), fee_currency="USDT", ts=5))
    (last,) = order.apply_fill(fill("t2", "0.7", "110", liquidity="maker", ts=6))

    assert isinstance(first, OrderPartiallyFilledEvent)
    assert (first.filled, first.remaining, first.average_price) == (Decimal("0.3"), Decimal("0.7"), Decimal(100))
    assert (first.fee, first.fee_currency, first.ts, first.venue_trade_id) == (Decimal("0.03"), "USDT", 5, "t1")
    assert isinstance(last, OrderFilledEvent)
    assert (last.quantity, last.filled, last.remaining) == (Decimal("0.7"), 1, 0)
    assert last.average_price == order.average_price == 107  # 0.3 x 100 + 0.7 x 110
    assert (last.liquidity, last.side, last.strategy_id) == ("maker", Side.BUY, "ema-cross")
    assert order.status is S.FILLED
    assert not order.is_open


@pytest.mark.parametrize(
    ("status", "event_class"), [(S.CANCELLED, OrderCancelledEvent), (S.EXPIRED, OrderExpiredEvent)]
)
def test_ended_order_says_what_was_filled_before(status: OrderStatus, event_class: type) -> None:
    order = new_order()
    order.apply_fill(fill("t1", "0.3"))

    (event,) = order.apply_report(report(status, "0.3", reason="time in force"))

    assert type(event) is event_class
    assert (event.filled, event.reason) == (Decimal("0.3"), "time in force")
    assert (order.status, order.reason, order.missing) == (status, "time in force", 0)


def test_rejected_order_keeps_the_venues_reason() -> None:
    order = new_order()

    (event,) = order.apply_report(report(S.REJECTED, reason="insufficient balance"))

    assert isinstance(event, OrderRejectedEvent)
    assert event.reason == order.reason == "insufficient balance"
    assert order.status is S.REJECTED


# -- repeats and disorder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [S.ACCEPTED, S.CANCELLED, S.REJECTED, S.EXPIRED, S.UNKNOWN])
def test_repeated_report_gives_nothing(status: OrderStatus) -> None:
    order = new_order()
    assert len(order.apply_report(report(status))) == 1

    assert order.apply_report(report(status)) == []


def test_repeated_fill_is_counted_once() -> None:
    order = new_order()
    order.apply_fill(fill("t1", "0.3"))

    assert order.apply_fill(fill("t1", "0.3")) == []
    assert order.filled == Decimal("0.3")


def test_repeated_last_fill_is_no_overfill() -> None:
    order = new_order()
    order.apply_fill(fill("t1", "1"))

    assert order.apply_fill(fill("t1", "1")) == []
    assert order.status is S.FILLED


def test_accepted_after_a_fill_gives_nothing() -> None:
    order = new_order()
    order.apply_fill(fill("t1", "0.3"))

    assert order.apply_report(report(S.ACCEPTED)) == []
    assert order.status is S.PARTIALLY_FILLED


def test_venues_order_id_is_taken_from_a_fill_that_comes_first() -> None:
    order = new_order()

    order.apply_fill(fill("t1", "0.3", venue_order_id="v-9"))

    assert order.venue_order_id == "v-9"


@pytest.mark.parametrize("status", [S.PARTIALLY_FILLED, S.FILLED])
def test_report_of_a_fill_without_the_fill_only_shows_that_the_venue_has_the_order(status: OrderStatus) -> None:
    order = new_order()

    (event,) = order.apply_report(report(status, "0.5"))

    assert isinstance(event, OrderAcceptedEvent)
    assert (order.status, order.filled, order.missing) == (S.ACCEPTED, 0, Decimal("0.5"))


def test_fill_that_comes_after_the_cancel_is_applied_and_the_order_stays_cancelled() -> None:
    order = new_order()
    order.apply_fill(fill("t1", "0.3"))
    (cancelled,) = order.apply_report(report(S.CANCELLED, "0.5"))
    assert (cancelled.filled, order.missing) == (Decimal("0.5"), Decimal("0.2"))

    (late,) = order.apply_fill(fill("t2", "0.2"))

    assert isinstance(late, OrderPartiallyFilledEvent)
    assert (order.status, order.filled, order.missing) == (S.CANCELLED, Decimal("0.5"), 0)


def test_cancelled_order_that_turns_out_filled_whole_is_filled() -> None:
    order = new_order()
    order.apply_report(report(S.CANCELLED))

    (late,) = order.apply_fill(fill("t1", "1"))

    assert isinstance(late, OrderFilledEvent)
    assert order.status is S.FILLED


def test_rejection_after_a_fill_is_contradicted_by_evidence_and_ignored() -> None:
    order = new_order()
    order.apply_fill(fill("t1", "0.3"))

    assert order.apply_report(report(S.REJECTED)) == []
    assert order.status is S.PARTIALLY_FILLED


def test_fill_after_a_rejection_revokes_it() -> None:
    order = new_order()
    order.apply_report(report(S.REJECTED))

    assert len(order.apply_fill(fill("t1", "0.3"))) == 1
    assert order.status is S.PARTIALLY_FILLED


def test_first_of_two_contradicting_final_reports_counts() -> None:
    order = new_order()
    order.apply_report(report(S.EXPIRED))

    assert order.apply_report(report(S.CANCELLED)) == []
    assert order.status is S.EXPIRED


# -- doubt ----------------------------------------------------------------------------------------------------------


def test_order_in_doubt_is_unknown_and_still_open() -> None:
    order = new_order()

    (event,) = order.apply_report(report(S.UNKNOWN, reason="timeout"))

    assert isinstance(event, OrderUnknownEvent)
    assert event.reason == "timeout"
    assert order.status is S.UNKNOWN
    assert order.is_open


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (report(S.SUBMITTED), S.ACCEPTED),
        (report(S.ACCEPTED), S.ACCEPTED),
        (report(S.REJECTED), S.REJECTED),
        (report(S.CANCELLED), S.CANCELLED),
        (report(S.EXPIRED), S.EXPIRED),
        (fill("t1", "0.3"), S.PARTIALLY_FILLED),
        (fill("t1", "1"), S.FILLED),
    ],
)
def test_any_word_from_the_venue_ends_the_doubt_and_doubt_never_comes_back(word: object, status: OrderStatus) -> None:
    order = new_order()
    order.apply_report(report(S.UNKNOWN))

    assert len(apply(order, word)) == 1
    assert order.status is status
    assert order.apply_report(report(S.UNKNOWN)) == []
    assert order.status is status


# -- what cannot be true --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (fill("t2", "0.8"), "makes 1.1 filled of 1"),
        (fill("t2", "0.1", side=Side.SELL), "is a buy, but fill t2 is a sell"),
        (fill("t2", "0.1", order_id="o-2"), "the report is about order o-2"),
        (fill("", "0.1"), "a fill has no venue_trade_id"),
        (report(S.CANCELLED, "1.1"), "counts 1.1 filled of 1"),
    ],
)
def test_report_that_cannot_be_true_is_refused_and_changes_nothing(message: object, says: str) -> None:
    order = new_order()
    order.apply_fill(fill("t1", "0.3"))
    before = state(order)

    with pytest.raises(OrderEvidenceError, match=says) as caught:
        apply(order, message)

    assert state(order) == before
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, TickdeckError)
    assert isinstance(caught.value, ValueError)


def test_late_fill_beyond_the_quantity_is_refused_also_when_the_order_has_ended() -> None:
    order = new_order()
    order.apply_fill(fill("t1", "1"))

    with pytest.raises(OrderEvidenceError, match="t2"):
        order.apply_fill(fill("t2", "0.00001"))


# -- every order of arrival -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "history",
    [
        [report(S.UNKNOWN), report(S.ACCEPTED), fill("t1", "0.3"), fill("t2", "0.2"), report(S.CANCELLED, "0.5")],
        [report(S.ACCEPTED), fill("t1", "0.4"), report(S.PARTIALLY_FILLED, "0.4"), fill("t2", "0.6")],
        [report(S.UNKNOWN), report(S.ACCEPTED), report(S.REJECTED)],
    ],
)
def test_every_order_of_arrival_ends_in_the_same_state(history: list) -> None:
    expected = new_order()
    for message in history:
        apply(expected, message)

    for arrival in permutations(history):
        order = new_order()
        for message in arrival:
            apply(order, message)
        assert state(order) == state(expected)


class DisorderedReports(RuleBasedStateMachine):
    """A venue makes a true history of an order and of our amends; a bad line delivers it in any order, some of it many
    times. Amends reach the venue in the order in which they were asked for, at any time after."""

    def __init__(self) -> None:
        super().__init__()
        self.order = new_order("10")
        self.history: list[VenueOrderReported | VenueFillReported] = []
        self.waiting: list[VenueOrderReported | VenueFillReported] = []
        self.delivered: list[VenueOrderReported | VenueFillReported] = []
        self.venue_status = S.SUBMITTED
        self.venue_filled = 0
        self.venue_quantity = 10
        self.asked: list[int] = []  # quantities, by revision
        self.answered_by_venue = 0
        self.fill_events = 0
        self.seen_filled = Decimal(0)
        self.seen_final: OrderStatus | None = None

    def happens(self, message: VenueOrderReported | VenueFillReported) -> None:
        self.history.append(message)
        self.waiting.append(message)

    @property
    def venue_is_open(self) -> bool:
        return self.venue_status in (S.SUBMITTED, S.ACCEPTED)

    # what happens at the venue, and to the connection

    @precondition(lambda self: not self.history)
    @rule()
    def sending_fails_in_doubt(self) -> None:
        self.happens(report(S.UNKNOWN, reason="timeout"))

    @precondition(lambda self: self.venue_status is S.SUBMITTED)
    @rule()
    def venue_accepts(self) -> None:
        self.venue_status = S.ACCEPTED
        self.happens(report(S.ACCEPTED, venue_order_id="v-1"))

    @precondition(lambda self: self.venue_is_open and not self.venue_filled)
    @rule()
    def venue_rejects(self) -> None:
        self.venue_status = S.REJECTED
        self.happens(report(S.REJECTED))

    @precondition(lambda self: self.venue_is_open and self.venue_status is S.ACCEPTED)
    @rule(quantity=st.integers(1, 10), price=st.integers(90, 110), tells_state=st.booleans())
    def venue_fills(self, quantity: int, price: int, tells_state: bool) -> None:
        quantity = min(quantity, self.venue_quantity - self.venue_filled)
        self.venue_filled += quantity
        if self.venue_filled == self.venue_quantity:
            self.venue_status = S.FILLED
        self.happens(fill(f"t{len(self.history)}", str(quantity), str(price)))
        if tells_state:
            status = S.FILLED if self.venue_status is S.FILLED else S.PARTIALLY_FILLED
            self.happens(report(status, str(self.venue_filled)))

    @precondition(lambda self: self.venue_is_open and self.venue_status is S.ACCEPTED)
    @rule(status=st.sampled_from([S.CANCELLED, S.EXPIRED]))
    def venue_ends_it(self, status: OrderStatus) -> None:
        self.venue_status = status
        self.happens(report(status, str(self.venue_filled)))

    @precondition(lambda self: self.order.is_open and len(self.asked) < 5)
    @rule(quantity=st.integers(1, 20))
    def we_ask_for_an_amend(self, quantity: int) -> None:
        request = self.order.request_amend(Decimal(quantity), Decimal(100 + len(self.asked)))
        self.asked.append(quantity)
        assert request.revision == len(self.asked)

    @precondition(lambda self: self.venue_status is not S.SUBMITTED and self.answered_by_venue < len(self.asked))
    @rule()
    def venue_answers_an_amend(self) -> None:
        self.answered_by_venue += 1
        revision, quantity = self.answered_by_venue, self.asked[self.answered_by_venue - 1]
        answer: dict[str, object] = {"revision": revision, "reason": "refused"}
        if self.venue_is_open and quantity > self.venue_filled:
            self.venue_quantity = quantity
            answer |= {"quantity": Decimal(quantity), "limit": Decimal(99 + revision), "reason": ""}
        self.happens(report(self.venue_status, str(self.venue_filled), **answer))

    # what reaches us

    def deliver(self, message: VenueOrderReported | VenueFillReported) -> None:
        repeat = message in self.delivered
        events = apply(self.order, message)
        self.delivered.append(message)
        self.fill_events += sum(isinstance(e, OrderPartiallyFilledEvent | OrderFilledEvent) for e in events)
        answers_amend = isinstance(message, VenueOrderReported) and message.revision
        assert len(events) <= (3 if answers_amend else 2)
        assert not (repeat and events), "a repeat led to a conclusion"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_waiting_message_arrives(self, data: st.DataObject) -> None:
        self.deliver(self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1))))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def a_message_arrives_again(self, data: st.DataObject) -> None:
        self.deliver(data.draw(st.sampled_from(self.delivered)))

    @invariant()
    def filled_never_decreases_nor_exceeds_what_was_asked_for(self) -> None:
        assert self.seen_filled <= self.order.filled <= max([10, *self.asked])
        assert self.order.remaining <= self.order.exposure
        assert self.order.filled + self.order.exposure >= self.venue_filled
        assert (self.order.status is S.FILLED) == (self.order.filled == self.order.quantity)
        self.seen_filled = self.order.filled

    @invariant()
    def final_states_are_left_by_fills_alone(self) -> None:
        if self.seen_final is not None and self.order.status is not self.seen_final:
            last = self.delivered[-1]
            assert isinstance(last, VenueFillReported) or last.revision
            assert self.asked or self.order.status is S.FILLED
        self.seen_final = self.order.status if self.order.status.is_final else None

    @invariant()
    def doubt_ends_with_the_first_word_of_the_venue(self) -> None:
        heard = any(isinstance(m, VenueFillReported) or m.status is not S.UNKNOWN for m in self.delivered)
        assert (self.order.status in (S.SUBMITTED, S.UNKNOWN)) == (not heard)

    def teardown(self) -> None:
        random.Random(len(self.history)).shuffle(self.waiting)
        for message in self.waiting:
            self.deliver(message)

        in_order = new_order("10")
        for revision, quantity in enumerate(self.asked):
            in_order.request_amend(Decimal(quantity), Decimal(100 + revision))
        for message in self.history:
            apply(in_order, message)
        assert state(self.order) == state(in_order)
        assert self.order.filled == self.venue_filled
        assert self.order.quantity == self.venue_quantity
        assert (self.order.status is S.FILLED) == (self.venue_status is S.FILLED)
        assert self.fill_events == sum(isinstance(m, VenueFillReported) for m in self.history)
        if self.venue_status.is_final:
            assert self.order.status is self.venue_status


TestDisorderedReports = pytest.mark.long(DisorderedReports.TestCase)


# -- to the last field ----------------------------------------------------------------------------------------------


def submitted_order(**fields: object) -> Order:
    values = {
        "order_id": "o-1",
        "symbol": "BTCUSDT",
        "account_id": "second",
        "user_id": "me",
        "strategy_id": "ema-cross",
        "side": Side.BUY,
        "quantity": Decimal(2),
        "limit": Decimal(100),
        "reduce_only": True,
        "reserved_currency": "USDT",
        **fields,
    }
    return Order(OrderSubmittedEvent(**values))


def test_each_event_names_account_user_and_whether_the_order_only_reduces() -> None:
    order = submitted_order()
    events = [
        order.request_amend(Decimal(3), Decimal(99)),
        order.request_cancel(),
        order.cancel_refused("too late", 7),
        *order.apply_report(report(S.ACCEPTED)),
        *order.apply_fill(fill("t1", "1")),
        *order.apply_report(report(S.CANCELLED, "1")),
    ]

    assert len(events) == 6
    for event in events:
        assert (event.account_id, event.user_id, event.reduce_only) == ("second", "me", True)
        assert (event.order_id, event.symbol, event.strategy_id) == ("o-1", "BTCUSDT", "ema-cross")


def test_a_refused_cancel_is_told_with_its_reason_and_changes_nothing() -> None:
    order = new_order()
    before = state(order)

    event = order.cancel_refused("the venue does not answer", 12)

    assert isinstance(event, OrderCancelRejectedEvent)
    assert (event.reason, event.ts, event.status) == ("the venue does not answer", 12, S.SUBMITTED)
    assert state(order) == before


def test_a_request_has_no_time_of_the_venue() -> None:
    assert new_order().request_cancel().ts == 0
    assert new_order().request_amend(Decimal(2), Decimal(99)).ts == 0


def test_a_sell_holds_back_its_base_and_a_buy_its_price() -> None:
    assert reservation(Side.SELL, Decimal(3), Decimal(100)) == 3
    assert reservation(Side.SELL, Decimal(3), None) == 3
    assert reservation(Side.BUY, Decimal(3), Decimal(100)) == 300
    assert reservation(Side.BUY, Decimal(3), None) == 0
    assert submitted_order(side=Side.SELL, reserved_currency="BTC").reserved == 2


def test_an_order_that_ended_with_something_left_holds_nothing_back() -> None:
    order = submitted_order()
    assert order.reserved == 200
    order.apply_fill(fill("t1", "0.5"))
    assert order.reserved == 150

    [cancelled] = order.apply_report(report(S.CANCELLED, "0.5"))

    assert order.remaining == Decimal("1.5")
    assert (order.reserved, cancelled.reserved) == (0, 0)


def test_nothing_is_missing_where_we_have_more_fills_than_the_venue_counted() -> None:
    order = new_order("1")
    order.apply_fill(fill("t1", "0.5"))
    order.apply_report(report(S.PARTIALLY_FILLED, "0.2"))

    assert order.missing == 0


@pytest.mark.parametrize(
    ("fills", "counted", "filled", "remaining"),
    [("0.7", "0.2", "0.7", "0.3"), ("0.2", "0.7", "0.7", "0.3"), ("0.2", "1", "1", "0")],
)
def test_of_an_ended_order_the_larger_count_is_told_and_what_it_leaves(
    fills: str, counted: str, filled: str, remaining: str
) -> None:
    order = new_order("1")
    order.apply_fill(fill("t1", fills))

    [ended] = order.apply_report(report(S.CANCELLED, counted))

    assert (ended.filled, ended.remaining) == (Decimal(filled), Decimal(remaining))


def test_the_first_order_id_of_the_venue_counts() -> None:
    order = new_order()
    order.apply_report(report(S.ACCEPTED, venue_order_id="v-1"))
    order.apply_report(report(S.PARTIALLY_FILLED, "0.1", venue_order_id="v-2"))
    order.apply_fill(fill("t1", "0.1", venue_order_id="v-3"))

    assert order.venue_order_id == "v-1"


def test_a_fill_tells_how_much_was_ordered_where_it_completes_a_smaller_amend() -> None:
    order = new_order("1")
    order.request_amend(Decimal(2), Decimal(100))
    order.apply_report(report(S.ACCEPTED, revision=1, quantity=Decimal(2), limit=Decimal(100)))

    [event] = order.apply_fill(fill("t1", "0.5"))

    assert event.order_quantity == 2


@pytest.mark.parametrize("first", [S.CANCELLED, S.EXPIRED])
def test_the_venues_first_word_of_the_end_is_the_one_that_is_told_when_an_amend_reopens_the_order(
    first: OrderStatus,
) -> None:
    other = S.EXPIRED if first is S.CANCELLED else S.CANCELLED
    order = new_order("1")
    order.request_amend(Decimal(2), Decimal(100))
    order.apply_fill(fill("t1", "1"))
    order.apply_report(report(first, "1", reason="first"))
    order.apply_report(report(other, "1", reason="second"))

    [_, ended] = order.apply_report(report(S.UNKNOWN, revision=1, quantity=Decimal(2), limit=Decimal(100)))

    assert (order.status, ended.status, ended.reason) == (first, first, "first")


@pytest.mark.parametrize(
    "message",
    [
        VenueOrderReported(order_id="other", symbol="BTCUSDT", status=S.ACCEPTED),
        VenueOrderReported(order_id="o-1", symbol="ETHUSDT", status=S.ACCEPTED),
    ],
)
def test_a_report_of_another_order_is_refused(message: VenueOrderReported) -> None:
    order = new_order()
    before = state(order)
    with pytest.raises(OrderEvidenceError, match="the report is about order"):
        order.apply_report(message)
    assert state(order) == before


def test_a_report_that_only_answers_an_amend_says_nothing_of_the_state() -> None:
    order = new_order()
    order.request_amend(Decimal(2), Decimal(100))

    events = order.apply_report(
        report(S.UNKNOWN, "0", revision=1, quantity=None, limit=None, venue_order_id="v-1", reason="no")
    )

    assert [type(event).__name__ for event in events] == ["OrderAmendRejectedEvent"]
    assert (order.status, order.venue_order_id) == (S.SUBMITTED, "")
