"""The life of an order: the effect of each report."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from order_kit import (
    S,
    apply,
    fill,
    new_order,
    report,
    state,
)

from tickdeck.domain.events import (
    OrderAcceptedEvent,
    OrderCancelledEvent,
    OrderExpiredEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    OrderUnknownEvent,
)
from tickdeck.domain.trading.order import OrderEvidenceError
from tickdeck.domain.values import OrderStatus, OrderType, Side
from tickdeck.errors import TickdeckError


def test_fills_are_added_up_exactly_whatever_the_threads_decimal_context() -> None:
    order = new_order("1")

    with localcontext(prec=3):
        order.apply_fill(fill("t1", "0.12345", "61700.01"))
        order.apply_fill(fill("t2", "0.87655", "61700.02"))

    assert order.status is S.FILLED
    assert order.notional == Decimal("0.12345") * Decimal("61700.01") + Decimal("0.87655") * Decimal("61700.02")


# -- the usual course ------------------------------------------------------------------------------------------------


def test_new_order_is_submitted_and_open_with_nothing_filled() -> None:
    order = new_order(limit=None)

    assert order.status is S.SUBMITTED
    assert order.is_open
    assert order.order_type is OrderType.MARKET
    assert (order.filled, order.remaining, order.average_price) == (0, 1, None)


def test_accepted_report_gives_one_event_with_the_orders_ids_and_the_venues_time() -> None:
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
def test_ended_order_has_what_was_filled_before(status: OrderStatus, event_class: type) -> None:
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
def test_filled_status_without_a_fill_only_shows_that_the_venue_has_the_order(status: OrderStatus) -> None:
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


# -- unknown --------------------------------------------------------------------------------------------------------


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
def test_any_report_ends_unknown_and_unknown_never_comes_back(word: object, status: OrderStatus) -> None:
    order = new_order()
    order.apply_report(report(S.UNKNOWN))

    assert len(apply(order, word)) == 1
    assert order.status is status
    assert order.apply_report(report(S.UNKNOWN)) == []
    assert order.status is status


# -- impossible reports ---------------------------------------------------------------------------------------------


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
def test_impossible_report_is_refused_and_changes_nothing(message: object, says: str) -> None:
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
