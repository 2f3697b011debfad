"""An order equals the fold of its stream, after any history."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from folding import state_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from many_examples import MANY

from tickdeck.domain.events import (
    DomainEvent,
    OrderSubmittedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.trading.order import OrderEvidenceError
from tickdeck.domain.values import OrderStatus, Side

D = Decimal
QUANTITIES = st.sampled_from([D(n) / 2 for n in range(1, 9)])
VENUE_IDS = st.sampled_from(["", "v-1", "v-2"])

fills = st.builds(
    VenueFillReported,
    order_id=st.just("o"),
    symbol=st.sampled_from(["B", "B", "B", "E"]),
    side=st.sampled_from([Side.BUY, Side.BUY, Side.BUY, Side.SELL]),
    price=st.sampled_from([D("99.9"), D(100), D("0.0000012345")]),
    quantity=QUANTITIES,
    venue_trade_id=st.sampled_from(["", *(f"t-{n}" for n in range(8))]),
    venue_order_id=VENUE_IDS,
    ts=st.integers(1, 99),
)
reports = st.builds(
    VenueOrderReported,
    order_id=st.just("o"),
    symbol=st.just("B"),
    status=st.sampled_from(OrderStatus),
    filled=st.sampled_from([D(0), D(0), D(1), D(2), D(4)]),
    venue_order_id=VENUE_IDS,
    reason=st.sampled_from(["", "no", "done"]),
    revision=st.sampled_from([0, 0, 0, 1, 2, 3]),
    quantity=st.one_of(st.none(), QUANTITIES),
    limit=st.one_of(st.none(), st.sampled_from([D(99), D(101)])),
    ts=st.integers(1, 99),
)
amends = st.tuples(QUANTITIES, st.sampled_from([D(99), D(101)]))
histories = st.lists(st.one_of(fills, fills, reports, reports, amends, st.just("cancel")), max_size=14)


def live(history: list[object], reserved_currency: str = "USDT") -> tuple[Order, list[DomainEvent]]:
    """An order with this ``history``, and its stream."""
    submitted = OrderSubmittedEvent(
        order_id="o",
        symbol="B",
        strategy_id="s",
        side=Side.BUY,
        quantity=D(2),
        remaining=D(2),
        limit=D(100),
        reserved=D(200),
        reserved_currency=reserved_currency,
    )
    order = Order(submitted)
    stream: list[DomainEvent] = [submitted]
    for step in history:
        if isinstance(step, VenueFillReported | VenueOrderReported):
            stream.append(step)
            with suppress(OrderEvidenceError):  # the report is on the tape, and nothing was concluded
                stream += order.apply_fill(step) if isinstance(step, VenueFillReported) else order.apply_report(step)
        elif isinstance(step, tuple):
            stream.append(order.request_amend(*step))
        else:
            stream.append(order.request_cancel())
    return order, stream


def folds_like_the_live_order(history: list[object]) -> None:
    order, stream = live(history)
    folded = Order.fold(stream)
    assert state_of(folded) == state_of(order)
    assert (folded.reserved, folded.average_price, folded.exposure) == (
        order.reserved,
        order.average_price,
        order.exposure,
    )


@pytest.mark.long
@settings(max_examples=500)
@given(histories)
def test_an_order_folds_from_its_stream_after_any_history(history: list[object]) -> None:
    folds_like_the_live_order(history)


@pytest.mark.slow
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_an_order_folds_from_its_stream_after_very_many_histories(history: list[object]) -> None:
    folds_like_the_live_order(history)


@pytest.mark.long
@given(histories)
def test_each_event_has_the_state_of_the_order_after_it(history: list[object]) -> None:
    order, stream = live(history)
    last = next(event for event in reversed(stream) if not isinstance(event, VenueFillReported | VenueOrderReported))
    assert (last.side, last.status, last.average_price) == (order.side, order.status, order.average_price)  # type: ignore[attr-defined]
    assert (last.reserved, last.reserved_currency) == (order.reserved, "USDT")  # type: ignore[attr-defined]


def test_conclusions_are_applied_as_recorded_whatever_the_current_rules() -> None:
    order, stream = live([])
    report = VenueOrderReported(order_id="o", symbol="B", status=OrderStatus.ACCEPTED, venue_order_id="v", ts=1)

    assert Order.fold([*stream, report]).status is OrderStatus.SUBMITTED
    assert Order.fold([*stream, report, *order.apply_report(report)]).status is OrderStatus.ACCEPTED


def test_a_stream_without_a_submission_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no order\.submitted"):
        Order.fold([])


def submitted(quantity: int = 2) -> OrderSubmittedEvent:
    return OrderSubmittedEvent(
        order_id="o",
        symbol="B",
        strategy_id="s",
        side=Side.BUY,
        quantity=D(quantity),
        remaining=D(quantity),
        limit=D(100),
    )


def test_events_before_the_submission_are_skipped() -> None:
    before = Order(submitted()).request_cancel()
    assert Order.fold([before, submitted()]).order_id == "o"


def test_conclusions_alone_show_how_amends_were_answered() -> None:
    live_order = Order(submitted())
    first, second = live_order.request_amend(D(3), D(99)), live_order.request_amend(D(5), D(99))
    answer = VenueOrderReported(
        order_id="o", symbol="B", status=OrderStatus.ACCEPTED, revision=1, quantity=D(3), limit=D(99)
    )
    [_, amended] = live_order.apply_report(answer)
    [rejected] = live_order.apply_report(
        VenueOrderReported(order_id="o", symbol="B", status=OrderStatus.ACCEPTED, revision=2)
    )

    folded = Order.fold([submitted(), first, second, amended, rejected])

    assert (folded.quantity, folded.revision, folded.exposure) == (3, 1, 3)
    assert folded.apply_report(answer) == []  # the amend was answered already


def test_the_status_of_a_fill_on_an_older_tape_follows_from_its_quantity() -> None:
    order = Order(submitted())
    [event] = order.apply_fill(
        VenueFillReported(order_id="o", symbol="B", side=Side.BUY, price=D(100), quantity=D(1), venue_trade_id="t")
    )
    older = msgspec.structs.replace(event, status=None)

    assert Order.fold([submitted(), older]).status is OrderStatus.PARTIALLY_FILLED


def test_an_amend_on_an_older_tape_says_nothing_of_the_status_before_the_first_fill() -> None:
    order = Order(submitted())
    request = order.request_amend(D(3), D(99))
    [_, amended] = order.apply_report(
        VenueOrderReported(
            order_id="o", symbol="B", status=OrderStatus.ACCEPTED, revision=1, quantity=D(3), limit=D(99)
        )
    )
    older = msgspec.structs.replace(amended, status=None)

    assert Order.fold([submitted(), request, older]).status is OrderStatus.SUBMITTED


def test_the_recorded_status_counts_even_if_the_rules_have_changed() -> None:
    order = Order(submitted())
    [event] = order.apply_fill(
        VenueFillReported(order_id="o", symbol="B", side=Side.BUY, price=D(100), quantity=D(1), venue_trade_id="t")
    )
    other = msgspec.structs.replace(event, status=OrderStatus.CANCELLED, filled=D(3))

    folded = Order.fold([submitted(), other])

    assert (folded.status, folded.filled) == (OrderStatus.CANCELLED, 3)
    assert (folded.exposure, folded.remaining, folded.missing) == (0, 0, 0)
