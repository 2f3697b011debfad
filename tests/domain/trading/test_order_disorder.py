"""All orders of arrival of the reports lead to the same state."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from order_kit import (
    S,
    apply,
    fill,
    new_order,
    report,
    state,
)

from tickdeck.domain.events import (
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus


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
    """A venue creates a valid history of an order and of our amends. An unreliable connection delivers it in any order,
    some of it repeatedly. Amends reach the venue in the order of the requests, at any later time.
    """

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

    # events at the venue and on the connection

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

    # deliveries to us

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
