"""Amended orders: what the venue's answers change, and what they cannot change."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.domain.events import (
    DomainEvent,
    OrderAcceptedEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderAmendRequestedEvent,
    OrderCancelledEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.trading.order import OrderEvidenceError
from tickdeck.domain.values import OrderStatus, Side

D = Decimal
S = OrderStatus


def working_order(quantity: str = "2") -> Order:
    order = Order(
        OrderSubmittedEvent(
            order_id="o", symbol="B", strategy_id="s", side=Side.BUY, quantity=D(quantity), limit=D(100)
        )
    )
    order.apply_report(report(S.ACCEPTED))
    return order


def report(status: OrderStatus, filled: str = "0", **fields: object) -> VenueOrderReported:
    return VenueOrderReported(order_id="o", symbol="B", status=status, filled=D(filled), ts=7, **fields)


def granted(revision: int, quantity: str, limit: str = "99", status: OrderStatus = S.ACCEPTED) -> VenueOrderReported:
    return report(status, revision=revision, quantity=D(quantity), limit=D(limit))


def refused(revision: int, reason: str = "no", status: OrderStatus = S.ACCEPTED) -> VenueOrderReported:
    return report(status, revision=revision, reason=reason)


def fill(trade_id: str, quantity: str) -> VenueFillReported:
    return VenueFillReported(
        order_id="o", symbol="B", side=Side.BUY, price=D(100), quantity=D(quantity), venue_trade_id=trade_id
    )


def test_a_request_changes_only_what_may_be_filled_at_most() -> None:
    order = working_order("2")

    request = order.request_amend(D(3), D(99))

    assert request == OrderAmendRequestedEvent(
        order_id="o",
        symbol="B",
        strategy_id="s",
        side=Side.BUY,
        quantity=D(3),
        limit=D(99),
        status=S.ACCEPTED,
        filled=D(0),
        remaining=D(2),
        revision=1,
    )
    assert (order.quantity, order.limit, order.remaining, order.exposure) == (2, 100, 2, 3)


def test_a_requested_reduction_still_counts_as_the_larger_quantity() -> None:
    order = working_order("2")
    order.request_amend(D(1), D(100))
    assert order.exposure == 2


def test_the_venues_confirmation_amends_the_order() -> None:
    order = working_order("2")
    order.apply_fill(fill("t1", "0.5"))
    order.request_amend(D(3), D(99))

    events = order.apply_report(granted(1, "3"))

    assert events == [
        OrderAmendedEvent(
            order_id="o",
            symbol="B",
            strategy_id="s",
            side=Side.BUY,
            revision=1,
            quantity=D(3),
            limit=D(99),
            status=S.PARTIALLY_FILLED,
            filled=D("0.5"),
            remaining=D("2.5"),
            average_price=D(100),
            ts=7,
        )
    ]
    assert (order.quantity, order.limit, order.revision, order.status) == (3, 99, 1, S.PARTIALLY_FILLED)


def test_a_refused_amend_leaves_the_order_unchanged_with_a_reason() -> None:
    order = working_order("2")
    order.request_amend(D(3), D(99))

    (event,) = order.apply_report(refused(1, "insufficient balance"))

    assert isinstance(event, OrderAmendRejectedEvent)
    assert (event.revision, event.reason) == (1, "insufficient balance")
    assert (order.quantity, order.limit, order.exposure) == (2, 100, 2)


@pytest.mark.parametrize("answer", [granted(1, "3"), refused(1)])
def test_a_repeated_answer_gives_nothing(answer: VenueOrderReported) -> None:
    order = working_order()
    order.request_amend(D(3), D(99))
    assert len(order.apply_report(answer)) == 1
    assert order.apply_report(answer) == []


def test_the_later_of_two_amends_counts_whatever_the_order_of_answers() -> None:
    order = working_order()
    order.request_amend(D(3), D(99))
    order.request_amend(D(4), D(98))

    assert len(order.apply_report(granted(2, "4", "98"))) == 1
    assert order.apply_report(granted(1, "3")) == []
    assert (order.quantity, order.limit, order.revision) == (4, 98, 2)


def test_an_answer_to_an_amend_shows_that_the_venue_has_the_order() -> None:
    order = Order(OrderSubmittedEvent(order_id="o", symbol="B", side=Side.BUY, quantity=D(2), limit=D(100)))
    order.request_amend(D(3), D(99))

    events = order.apply_report(granted(1, "3"))

    assert [type(e) for e in events] == [OrderAcceptedEvent, OrderAmendedEvent]


def test_an_amend_that_was_never_sent_says_nothing_about_the_order() -> None:
    order = Order(OrderSubmittedEvent(order_id="o", symbol="B", side=Side.BUY, quantity=D(2), limit=D(100)))
    order.request_amend(D(3), D(99))

    events = order.apply_report(refused(1, "never sent", status=S.UNKNOWN))

    assert [type(e) for e in events] == [OrderAmendRejectedEvent]
    assert order.status is S.SUBMITTED


# -- races with fills -------------------------------------------------------------------------------------------------


def test_a_fill_beyond_the_quantity_is_accepted_if_a_pending_amend_allows_it() -> None:
    order = working_order("1")
    order.request_amend(D(2), D(100))

    (event,) = order.apply_fill(fill("t1", "1.5"))

    assert isinstance(event, OrderPartiallyFilledEvent)
    assert (event.filled, event.remaining, order.status) == (D("1.5"), 0, S.PARTIALLY_FILLED)
    order.apply_report(granted(1, "2", "100"))
    (last,) = order.apply_fill(fill("t2", "0.5"))
    assert isinstance(last, OrderFilledEvent)


def test_an_order_that_looked_filled_is_open_again_when_an_amend_had_left_something() -> None:
    order = working_order("1")
    order.request_amend(D(2), D(100))
    (event,) = order.apply_fill(fill("t1", "1"))
    assert isinstance(event, OrderFilledEvent)

    (amended,) = order.apply_report(granted(1, "2", "100"))

    assert isinstance(amended, OrderAmendedEvent)
    assert (amended.remaining, order.status, order.is_open) == (1, S.PARTIALLY_FILLED, True)


def test_an_order_that_looked_filled_and_was_cancelled_after_an_amend_is_cancelled() -> None:
    order = working_order("1")
    order.request_amend(D(2), D(100))
    order.apply_fill(fill("t1", "1"))
    assert order.apply_report(report(S.CANCELLED, "1", reason="asked for")) == []

    amended, cancelled = order.apply_report(granted(1, "2", "100"))

    assert isinstance(amended, OrderAmendedEvent)
    assert isinstance(cancelled, OrderCancelledEvent)
    assert (cancelled.filled, cancelled.reason, order.status) == (1, "asked for", S.CANCELLED)


def test_an_amend_confirmed_after_its_completing_fills_ends_the_order() -> None:
    order = working_order("2")
    order.request_amend(D(1), D(100))
    order.apply_fill(fill("t1", "1"))
    assert order.status is S.PARTIALLY_FILLED

    (amended,) = order.apply_report(granted(1, "1", "100"))

    assert isinstance(amended, OrderAmendedEvent)
    assert (amended.remaining, order.status) == (0, S.FILLED)


# -- impossible answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (granted(2, "3"), "answers amend 2 with 3 at 99, but 1 were requested"),
        (report(S.ACCEPTED, revision=-1), "answers amend -1"),
        (report(S.ACCEPTED, revision=1, quantity=D(3)), "with 3 at None"),
        (granted(1, "0.5"), "the answer to amend 1 allows 0.5, but 1.5 is filled"),
        (report(S.CANCELLED, "3.5", revision=1, quantity=D(3), limit=D(99)), "counts 3.5 filled of"),
    ],
)
def test_an_impossible_answer_is_refused_and_changes_nothing(answer: VenueOrderReported, says: str) -> None:
    order = working_order("2")
    order.request_amend(D(3), D(99))
    order.apply_fill(fill("t1", "1.5"))

    with pytest.raises(OrderEvidenceError, match=says):
        order.apply_report(answer)

    assert (order.quantity, order.limit, order.status, order.exposure) == (2, 100, S.PARTIALLY_FILLED, D("1.5"))


def test_a_refusal_of_the_amend_that_a_fill_had_proven_is_refused() -> None:
    order = working_order("1")
    order.request_amend(D(2), D(100))
    order.apply_fill(fill("t1", "1.5"))

    with pytest.raises(OrderEvidenceError, match=r"allows 1, but 1\.5 is filled"):
        order.apply_report(refused(1))


def test_a_fill_beyond_all_that_was_asked_for_is_refused() -> None:
    order = working_order("1")
    order.request_amend(D(2), D(100))
    order.apply_report(refused(1))

    with pytest.raises(OrderEvidenceError, match=r"makes 1\.5 filled of"):
        order.apply_fill(fill("t1", "1.5"))


def test_an_answer_that_contradicts_the_first_one_is_ignored() -> None:
    order = working_order("2")
    order.request_amend(D(3), D(99))
    order.apply_report(granted(1, "3"))
    order.apply_fill(fill("t1", "1.5"))

    assert order.apply_report(granted(1, "1")) == []

    assert (order.quantity, order.revision) == (3, 1)


def test_a_late_answer_to_an_earlier_amend_is_no_contradiction_of_fills_since() -> None:
    order = working_order("2")
    order.request_amend(D(1), D(99))
    order.request_amend(D(3), D(99))
    order.apply_report(granted(2, "3"))
    order.apply_fill(fill("t1", "2.5"))

    assert order.apply_report(granted(1, "1")) == []

    assert (order.quantity, order.revision, order.exposure) == (3, 2, D("0.5"))


def test_an_order_that_ends_while_a_larger_amend_is_on_its_way_leaves_nothing_below_zero() -> None:
    order = working_order("1")
    order.request_amend(D(2), D(100))

    [cancelled] = order.apply_report(report(S.CANCELLED, "2"))

    assert (cancelled.filled, cancelled.remaining) == (2, 0)


def test_an_order_forgets_the_amends_that_were_answered() -> None:
    order = working_order("2")
    for revision in range(1, 501):
        order.request_amend(D(3), D(99))
        order.apply_report(granted(revision, "3") if revision % 2 else refused(revision))

    assert not any(revision in order._amends for revision in range(1, 501))
    assert order.exposure == 3


def test_an_amended_order_without_fills_is_as_far_as_it_was() -> None:
    order = working_order("2")
    order.request_amend(D(3), D(99))

    [amended] = order.apply_report(granted(1, "3"))

    assert (amended.status, order.status, order.filled, order.remaining) == (S.ACCEPTED, S.ACCEPTED, 0, 3)


@pytest.mark.parametrize("answer", [{"quantity": D(3)}, {"limit": D(99)}])
def test_an_answer_with_only_one_new_value_is_an_error(answer: dict[str, Decimal]) -> None:
    order = working_order("2")
    order.request_amend(D(3), D(99))

    with pytest.raises(OrderEvidenceError, match="the venue answers amend 1"):
        order.apply_report(report(S.ACCEPTED, revision=1, **answer))

    assert (order.quantity, order.limit, order.revision, order.exposure) == (2, 100, 0, 3)


def test_the_amends_that_wait_for_an_answer_are_those_after_the_confirmed_one() -> None:
    order = working_order("2")
    for quantity in (3, 4, 5):
        order.request_amend(D(quantity), D(99))
    assert order.unanswered_amends == {1: 3, 2: 4, 3: 5}
    order.apply_report(granted(2, "4"))
    assert order.unanswered_amends == {3: 5}
    order.apply_report(refused(3))
    assert order.unanswered_amends == {}


def test_a_folded_order_has_heard_an_answer_that_caused_no_event() -> None:
    order = working_order("2")
    stream: list[DomainEvent] = [
        OrderSubmittedEvent(order_id="o", symbol="B", strategy_id="s", side=Side.BUY, quantity=D(2), limit=D(100)),
        order.request_amend(D(3), D(99)),
        order.request_amend(D(4), D(99)),
    ]
    late = granted(1, "3")
    for answer in (granted(2, "4"), late):
        stream += [answer, *order.apply_report(answer)]
    assert stream[-1] == late  # it came after the answer to a later amend

    for again in (late, refused(1)):
        folded = Order.fold(stream)
        assert order.apply_report(again) == folded.apply_report(again) == []
        assert (folded.quantity, folded.revision, folded.unanswered_amends) == (4, 2, {})
