"""An order in doubt that we conclude to be dead, and what revokes that."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from order_kit import S, apply, fill, new_order, report, state

from tickdeck.domain.events import (
    DomainEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import OrderStatus, Side


def concluded_dead() -> Order:
    order = new_order()
    order.apply_report(report(S.UNKNOWN))
    order.conclude_rejected("never received", 7)
    return order


def test_an_order_in_doubt_can_be_concluded_dead_and_says_that_we_concluded_it() -> None:
    order = new_order()
    order.apply_report(report(S.UNKNOWN))
    (event,) = order.conclude_rejected("never received", 7)

    assert isinstance(event, OrderRejectedEvent)
    assert (event.reason, event.concluded, event.ts) == ("never received", True, 7)
    assert not order.is_open
    assert order.conclude_rejected("again", 8) == []


@pytest.mark.parametrize("status", [S.ACCEPTED, S.CANCELLED, S.REJECTED])
def test_only_an_order_in_doubt_can_be_concluded_dead(status: OrderStatus) -> None:
    order = new_order()
    assert order.conclude_rejected("never received", 7) == []
    order.apply_report(report(status))

    assert order.conclude_rejected("never received", 7) == []
    assert order.status is status


@pytest.mark.parametrize(
    ("late", "status"),
    [
        (report(S.ACCEPTED), S.ACCEPTED),
        (report(S.PARTIALLY_FILLED, "0.3"), S.ACCEPTED),
        (report(S.CANCELLED), S.CANCELLED),
        (report(S.EXPIRED), S.EXPIRED),
        (fill("t1", "0.3"), S.PARTIALLY_FILLED),
        (fill("t1", "1"), S.FILLED),
    ],
)
def test_evidence_that_the_venue_has_it_revokes_the_conclusion(
    late: VenueOrderReported | VenueFillReported, status: OrderStatus
) -> None:
    order = concluded_dead()

    assert len(apply(order, late)) == 1
    assert order.status is status


@pytest.mark.parametrize("word", [report(S.UNKNOWN), report(S.REJECTED)])
def test_doubt_and_a_rejection_do_not_revoke_it(word: VenueOrderReported) -> None:
    order = concluded_dead()

    assert order.apply_report(word) == []
    assert order.status is S.REJECTED


def test_a_rejection_by_the_venue_is_not_revoked_by_a_late_acceptance() -> None:
    order = concluded_dead()
    order.apply_report(report(S.REJECTED))

    assert order.apply_report(report(S.ACCEPTED)) == []
    assert order.status is S.REJECTED


@pytest.mark.parametrize("evidence", [[report(S.ACCEPTED)], [report(S.ACCEPTED), fill("t1", "0.4")], [fill("t1", "1")]])
def test_the_order_of_arrival_does_not_matter(evidence: list[VenueOrderReported | VenueFillReported]) -> None:
    ends = set()
    for arrival in permutations([None, *evidence]):
        order = new_order()
        order.apply_report(report(S.UNKNOWN))
        for message in arrival:
            order.conclude_rejected("never received", 7) if message is None else apply(order, message)
        ends.add(state(order))

    assert len(ends) == 1


def test_the_fold_knows_that_the_conclusion_can_be_revoked() -> None:
    submitted = OrderSubmittedEvent(
        order_id="o-1", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1), limit=Decimal(100)
    )
    order, history = Order(submitted), list[DomainEvent]([submitted])
    doubt, acceptance = report(S.UNKNOWN), report(S.ACCEPTED)
    history += [doubt, *order.apply_report(doubt), *order.conclude_rejected("settled", 7)]
    folded = Order.fold(history)

    assert [event.event_type for event in folded.apply_report(acceptance)] == ["order.accepted"]
    history += [acceptance, *order.apply_report(acceptance)]
    assert state(Order.fold(history)) == state(folded) == state(order)
