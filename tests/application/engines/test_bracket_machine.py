"""Bracket orders under any order of fills, answers, refusals, doubts, prices and times."""

from __future__ import annotations

from decimal import Decimal

import pytest
from application_kit import BTC, SECOND, Core, D, trade
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickdeck.application.engines import StopOrders
from tickdeck.domain.events import (
    BracketChangedEvent,
    CommandReceived,
    HandlerFailed,
    NotificationAlert,
    OrderSubmittedEvent,
    ProtectionTerms,
    VenueOrderNotFound,
)
from tickdeck.domain.trading import BRACKET_TRANSITIONS, BracketStatus
from tickdeck.domain.values import ZERO, OrderStatus, Side

S = OrderStatus
lots = st.integers(1, 10).map(lambda n: Decimal(n) / 10)
TERMS = [{"stop_loss": "95", "take_profit": "115"}, {"stop_loss": "5%"}, {"take_profit": "4%"}, {"trailing": "4"}]


class Bracketed(RuleBasedStateMachine):
    """A venue that fills, cancels, refuses and is silent as it likes."""

    venue = StopOrders()

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(stop_orders=self.venue).start().trades("100")
        self.price = D(100)

    # -- what is known -----------------------------------------------------------------------------------------------

    def working(self) -> list[OrderSubmittedEvent]:
        orders = self.core.execution.orders
        return [order for order in self.core.orders if orders[order.order_id].is_open]

    def known(self, order: OrderSubmittedEvent):
        return self.core.execution.orders[order.order_id]

    def tell(self, command: str, **arguments: str) -> None:
        self.core.feed(CommandReceived(command=command, arguments=arguments))

    # -- what may happen ---------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.working()) < 6)
    @rule(quantity=lots, terms=st.sampled_from(TERMS), limited=st.booleans(), expires=st.sampled_from(["", "3s", "1m"]))
    def enter(self, quantity: Decimal, terms: dict[str, str], limited: bool, expires: str) -> None:
        entry = str(self.price) if limited else "market"
        self.tell(
            "bracket", side="buy", symbol=BTC, quantity=str(quantity), entry=entry, **terms,
            **({"expires": expires} if expires else {}),
        )  # fmt: skip

    @precondition(lambda self: self.working())
    @rule(data=st.data(), share=st.sampled_from([D(1), D("0.5")]))
    def fill(self, data: st.DataObject, share: Decimal) -> None:
        order = data.draw(st.sampled_from(self.working()))
        left = self.known(order).remaining
        quantity = max((left * share).quantize(D("0.1")), min(left, D("0.1")))
        prices = [p for p in (order.stop, order.limit) if p is not None] if order.protects else []
        self.core.fill(order, str(data.draw(st.sampled_from(prices)) if prices else self.price), str(quantity))

    @precondition(lambda self: self.working())
    @rule(
        data=st.data(),
        status=st.sampled_from([S.ACCEPTED, S.ACCEPTED, S.REJECTED, S.REJECTED, S.EXPIRED, S.CANCELLED, S.UNKNOWN]),
    )
    def report(self, data: st.DataObject, status: OrderStatus) -> None:
        order = data.draw(st.sampled_from(self.working()))
        filled = self.known(order).filled
        if not (status is S.REJECTED and filled):
            self.core.report(order, status, "as the test says", filled=str(filled))

    @precondition(lambda self: self.core.venue.cancelled)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.core.venue.cancelled))
        self.core.venue.cancelled.remove(request)
        order = next(order for order in self.core.orders if order.order_id == request.order_id)
        if order in self.working():
            self.core.report(order, S.CANCELLED, filled=str(self.known(order).filled))

    @precondition(lambda self: any(self.known(o).status is S.UNKNOWN for o in self.working()))
    @rule(data=st.data())
    def never_arrived(self, data: st.DataObject) -> None:
        doubted = [order for order in self.working() if self.known(order).status is S.UNKNOWN]
        order = data.draw(st.sampled_from(doubted))
        if not self.known(order).filled:
            self.core.feed(VenueOrderNotFound(order_id=order.order_id, symbol=BTC, sources=("order",), waited=SECOND))

    @rule(price=st.integers(92, 112), seconds=st.sampled_from([1, 2, 60]))
    def move(self, price: int, seconds: int) -> None:
        self.price = D(price)
        self.core.feed(trade(str(price), ts=self.core.now + seconds * SECOND))

    @precondition(lambda self: self.core.brackets.brackets)
    @rule(data=st.data(), command=st.sampled_from(["cancel", "protect", "unprotect", "flatten", "halt", "resume"]))
    def operate(self, data: st.DataObject, command: str) -> None:
        arguments = {}
        if command in ("cancel", "protect", "unprotect"):
            arguments["order_id"] = data.draw(st.sampled_from(list(self.core.brackets.brackets)))
        if command == "protect":
            arguments["stop_loss"] = "2%"
        self.tell(command, **arguments)

    # -- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_fails(self) -> None:
        assert [e for e in self.core.tape.events if isinstance(e, HandlerFailed)] == []
        assert not self.core.kernel.halted

    @invariant()
    def never_is_more_closed_than_held(self) -> None:
        held = self.core.risk.exposure.position(BTC)
        closing = sum((self.known(o).remaining for o in self.working() if o.side is Side.SELL), ZERO)
        assert closing <= held

    @invariant()
    def a_bracket_says_what_is_the_case(self) -> None:
        for bracket_id, bracket in self.core.brackets.brackets.items():
            entry = self.core.execution.orders.get(bracket_id)
            if entry is None or bracket_id not in self.core.risk.protections.book.protections:
                continue
            p = self.core.risk.protections.book.protections[bracket_id]
            assert bracket.status.is_over == (p.ended and not entry.is_open)
            assert (bracket.timer_id != 0) <= entry.is_open
            if bracket.status is BracketStatus.PROTECTED:
                exits = [o for o in self.working() if o.protects == bracket_id]
                assert len(exits) == 1
                assert self.known(exits[0]).status in (S.ACCEPTED, S.PARTIALLY_FILLED)

    @invariant()
    def nothing_is_silently_unprotected(self) -> None:
        told = "".join(e.text for e in self.core.tape.events if isinstance(e, NotificationAlert))
        for p in self.core.risk.protections.book.live():
            works = any(o.protects == p.protection_id for o in self.working())
            wanted = p.terms != ProtectionTerms() and not p.is_suspended  # by the operator
            if p.held and not works and p.is_refused and wanted:
                bracket = self.core.brackets.brackets[p.protection_id]
                assert bracket.status not in (BracketStatus.PROTECTED, BracketStatus.DONE, BracketStatus.FAILED)
                assert "no order at the venue protects" in told or p.protection_id in told

    @invariant()
    def each_step_is_one_of_the_table(self) -> None:
        before: dict[str, BracketStatus] = {}
        for event in self.core.tape.events:
            if isinstance(event, BracketChangedEvent):
                status = BracketStatus(event.status)
                assert status in BRACKET_TRANSITIONS[before.get(event.bracket_id, BracketStatus.NEW)]
                before[event.bracket_id] = status

    def teardown(self) -> None:
        """Once the venue answers and fills, every bracket comes to its end, and nothing is held by any."""
        core = self.core
        self.tell("resume")
        for _ in range(60):
            for order in self.working():
                if order.protects or order.reduce_only:
                    core.fill(order, str(self.price), str(self.known(order).remaining))
                else:
                    core.report(order, S.CANCELLED, filled=str(self.known(order).filled))
            if not self.working() and not any(b.held for b in core.brackets.brackets.values()):
                break
            self.price = D(50) if self.price > 100 else D(300)
            core.feed(trade(str(self.price), ts=core.now + 61 * SECOND))
        self.nothing_fails()
        self.each_step_is_one_of_the_table()
        assert [b.saga_id for b in core.brackets.brackets.values() if not b.status.is_over] == []


class WithoutPairs(Bracketed):
    venue = StopOrders(pairs=False)


class WithoutStops(Bracketed):
    venue = StopOrders(stops=False, pairs=False)


@pytest.mark.long
@pytest.mark.parametrize("machine", [Bracketed, WithoutPairs, WithoutStops])
def test_bracket_orders(machine: type[Bracketed]) -> None:
    case = machine.TestCase
    case.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
    case().runTest()
