"""Orders and positions only take the steps of their tables, whatever happens."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_kit import S, apply, fill, new_order, report

from tickdeck.domain.events import VenueFillReported
from tickdeck.domain.trading import ORDER_TRANSITIONS, POSITION_TRANSITIONS, Order, Position, PositionStatus
from tickdeck.domain.trading.evidence import OrderEvidenceError
from tickdeck.domain.trading.order_life_cycle import ORDER_BY_FILL, ORDER_BY_REPORT, ORDER_FOUND_AFTER_ALL
from tickdeck.domain.values import OrderStatus, Side

D = Decimal

reports = st.builds(lambda status, reason: report(status, reason=reason), st.sampled_from(S), st.just("why"))
fills = st.builds(lambda n, part: fill(f"t{n}", str(part)), st.integers(1, 4), st.sampled_from([1, 2, 10]))
amends = st.integers(1, 12)
history = st.lists(st.one_of(reports, fills, amends, st.just("dead")), max_size=10)


def amend(order: Order, quantity: int) -> None:
    request = order.request_amend(D(quantity), D(100))
    order.apply_report(
        report(S.ACCEPTED, str(order.filled), revision=request.revision, quantity=D(quantity), limit=D(100))
    )


@given(history)
def test_an_order_takes_the_steps_of_its_evidence_alone(history: list) -> None:
    order = new_order("10")
    concluded = False
    for happening in history:
        before = order.status
        table = dict(ORDER_BY_REPORT)
        if isinstance(happening, int | VenueFillReported):
            table = dict(ORDER_TRANSITIONS) if isinstance(happening, int) else dict(ORDER_BY_FILL)
        if concluded and before is S.REJECTED:
            table[before] = (*table[before], *ORDER_FOUND_AFTER_ALL[before])
        try:
            if happening == "dead":
                order.conclude_rejected("it never arrived", 0)
                concluded = order.status is S.REJECTED
            elif isinstance(happening, int):
                amend(order, happening)
            else:
                apply(order, happening)
        except OrderEvidenceError:
            assert order.status is before
            continue
        assert order.status is before or order.status in table[before]
        assert order.status is not S.REJECTED or not order.filled
        assert (order.status is S.FILLED) == (order.filled == order.quantity)


def test_a_fill_revokes_a_rejection_and_then_the_end_that_was_reported_counts() -> None:
    order = new_order("10")
    for status in (S.REJECTED, S.CANCELLED):
        order.apply_report(report(status))

    events = order.apply_fill(fill("t1", "4"))

    assert [event.event_type for event in events] == ["order.partially_filled", "order.cancelled"]
    assert order.status is S.CANCELLED


@pytest.mark.parametrize("status", S)
def test_every_status_of_an_order_is_reached_and_only_these_are_left_by_fills_alone(status: OrderStatus) -> None:
    reached = {S.SUBMITTED} | {after for steps in ORDER_TRANSITIONS.values() for after in steps}

    assert status in reached
    assert status.is_final == (not ORDER_BY_REPORT[status])


@given(st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 5)), max_size=12))
def test_a_position_takes_the_steps_of_its_table_and_its_events_fold_to_it(history: list[tuple[Side, int]]) -> None:
    position = Position("BTCUSDT", "a")
    for number, (side, quantity) in enumerate(history):
        before = position.status
        events = position.fill(side, D(100 + number), D(quantity), f"o{number}", trade_id=f"t{number}", fee=D("0.1"))
        assert position.status in POSITION_TRANSITIONS[before]
        flips = before is not PositionStatus.FLAT and position.status not in (before, PositionStatus.FLAT)
        assert len(events) == 1 + flips

    folded = Position("BTCUSDT", "a").load(position.get_domain_events())
    restored = Position("BTCUSDT", "a")
    restored.restore(7, position.snapshot())
    for other in (folded, restored):
        assert all(getattr(other, name) == getattr(position, name) for name in Position.__slots__)


def test_in_a_run_neither_an_order_nor_a_position_keeps_its_events() -> None:
    position = Position("BTCUSDT", in_run=True)
    assert position.fill(Side.BUY, D(1), D(1))
    assert position.get_domain_events() == ()
