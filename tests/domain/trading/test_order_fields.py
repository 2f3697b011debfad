"""The fields of an order and of its events, one by one."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from order_kit import (
    S,
    fill,
    new_order,
    report,
    state,
)

from tickdeck.domain.events import (
    OrderCancelRejectedEvent,
    OrderSubmittedEvent,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.trading.order import OrderEvidenceError, reservation
from tickdeck.domain.values import OrderStatus, Side


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


def test_a_refused_cancel_is_reported_with_its_reason_and_changes_nothing() -> None:
    order = new_order()
    before = state(order)

    event = order.cancel_refused("the venue does not answer", 12)

    assert isinstance(event, OrderCancelRejectedEvent)
    assert (event.reason, event.ts, event.status) == ("the venue does not answer", 12, S.SUBMITTED)
    assert state(order) == before


def test_a_request_has_no_time_of_the_venue() -> None:
    assert new_order().request_cancel().ts == 0
    assert new_order().request_amend(Decimal(2), Decimal(99)).ts == 0


def test_a_sell_reserves_base_and_a_buy_its_cost() -> None:
    assert reservation(Side.SELL, Decimal(3), Decimal(100)) == 3
    assert reservation(Side.SELL, Decimal(3), None) == 3
    assert reservation(Side.BUY, Decimal(3), Decimal(100)) == 300
    assert reservation(Side.BUY, Decimal(3), None) == 0
    assert submitted_order(side=Side.SELL, reserved_currency="BTC").reserved == 2


def test_an_ended_order_with_a_rest_reserves_nothing() -> None:
    order = submitted_order()
    assert order.reserved == 200
    order.apply_fill(fill("t1", "0.5"))
    assert order.reserved == 150

    [cancelled] = order.apply_report(report(S.CANCELLED, "0.5"))

    assert order.remaining == Decimal("1.5")
    assert (order.reserved, cancelled.reserved) == (0, 0)


def test_nothing_is_missing_if_we_have_more_fills_than_the_venue_counted() -> None:
    order = new_order("1")
    order.apply_fill(fill("t1", "0.5"))
    order.apply_report(report(S.PARTIALLY_FILLED, "0.2"))

    assert order.missing == 0


@pytest.mark.parametrize(
    ("fills", "counted", "filled", "remaining"),
    [("0.7", "0.2", "0.7", "0.3"), ("0.2", "0.7", "0.7", "0.3"), ("0.2", "1", "1", "0")],
)
def test_an_ended_order_reports_the_larger_count_and_the_rest(
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


def test_a_fill_that_completes_a_smaller_amend_has_the_ordered_quantity() -> None:
    order = new_order("1")
    order.request_amend(Decimal(2), Decimal(100))
    order.apply_report(report(S.ACCEPTED, revision=1, quantity=Decimal(2), limit=Decimal(100)))

    [event] = order.apply_fill(fill("t1", "0.5"))

    assert event.order_quantity == 2


@pytest.mark.parametrize("first", [S.CANCELLED, S.EXPIRED])
def test_a_reopened_order_keeps_the_venues_first_final_status(
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


def test_a_report_that_only_answers_an_amend_does_not_change_the_status() -> None:
    order = new_order()
    order.request_amend(Decimal(2), Decimal(100))

    events = order.apply_report(
        report(S.UNKNOWN, "0", revision=1, quantity=None, limit=None, venue_order_id="v-1", reason="no")
    )

    assert [type(event).__name__ for event in events] == ["OrderAmendRejectedEvent"]
    assert (order.status, order.venue_order_id) == (S.SUBMITTED, "")


def test_an_average_has_28_digits_rounded_half_to_even_whatever_the_threads_context() -> None:
    order = new_order("3")
    order.apply_fill(fill("t1", "1", "100"))
    order.apply_fill(fill("t2", "2", "100.5"))
    with localcontext(prec=5):
        assert order.average_price == Decimal("100.3333333333333333333333333")
