"""A state machine of protected positions: a venue and strategies that do what they like."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from application_kit import BTC, SECOND, Core, D, trade
from folding import protections_of, state_of
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from risk_kit import Puppet

from tickdeck.application.engines import StopOrders
from tickdeck.domain.events import CommandReceived, OrderSubmittedEvent, ProtectionEndedEvent, TradeEvent
from tickdeck.domain.trading import PROTECTION_TRANSITIONS, ProtectionStatus
from tickdeck.domain.values import ZERO, OrderStatus, Side

VENUES = [StopOrders(), StopOrders(pairs=False), StopOrders(stops=False, pairs=False)]
TERMS: list[dict[str, Any]] = [
    {"stop_loss": D(95), "take_profit": D(105)},
    {"stop_loss": "3%"},
    {"take_profit": "4%"},
    {"trailing": D(4)},
    {"stop_loss": "8%", "take_profit": D(103), "trailing": "5%"},
]
lots = st.integers(1, 10).map(lambda n: Decimal(n) / 10)


class Protected(RuleBasedStateMachine):
    """A venue that fills, cancels and refuses as it likes, within what a venue can do. The strategies only sell what
    they hold and do not offer already, and nothing while an operator closes everything."""

    side = Side.BUY

    def __init__(self) -> None:
        super().__init__()
        self.puppets = {"one": Puppet(), "two": Puppet()}
        venue = VENUES[self.venue_number]
        self.core = Core(dict(self.puppets), stop_orders=venue, short_selling=self.side is Side.SELL)
        self.core.start().trades("100")
        self.price = D(100)
        self.statuses: dict[str, ProtectionStatus] = {}
        self.again = Core(stop_orders=venue, short_selling=self.side is Side.SELL)
        self.folded = 0

    venue_number = 0

    # -- what is known -----------------------------------------------------------------------------------------------

    def working(self) -> list[OrderSubmittedEvent]:
        orders = self.core.execution.orders
        return [order for order in self.core.orders if orders[order.order_id].is_open]

    def remaining(self, order: OrderSubmittedEvent) -> Decimal:
        return self.core.execution.orders[order.order_id].remaining

    def holdings(self, name: str) -> Decimal:
        """What a strategy holds: each of its entries is protected."""
        return sum((p.held for p in self.core.risk.protections.book.live() if p.strategy_id == name), ZERO)

    def entering(self) -> bool:
        return len([order for order in self.working() if order.side is self.side]) < 3

    def tell(self, name: str, action: Any) -> None:
        self.puppets[name].todo = [action]
        self.core.feed(trade(str(self.price), ts=self.core.now + SECOND))

    # -- what may happen ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.entering())
    @rule(name=st.sampled_from(["one", "two"]), quantity=lots, terms=st.sampled_from(TERMS), limited=st.booleans())
    def enter(self, name: str, quantity: Decimal, terms: dict[str, Any], limited: bool) -> None:
        if self.side is Side.SELL:
            terms = {kind: value for kind, value in terms.items() if isinstance(value, str) or kind == "trailing"}
        limit = self.price if limited else None
        if any(isinstance(value, Decimal) for kind, value in terms.items() if kind != "trailing"):
            limit = None
        act = "buy" if self.side is Side.BUY else "sell"
        self.tell(name, lambda s: getattr(s, act)(BTC, quantity, limit=limit, **terms))

    @rule(name=st.sampled_from(["one", "two"]), share=st.sampled_from([D(1), D("0.5")]), limited=st.booleans())
    def leave(self, name: str, share: Decimal, limited: bool) -> None:
        offered = sum((self.remaining(o) for o in self.working() if self.closes(o) and not o.protects), ZERO)
        waiting = any(self.core.risk.protections.book._held_back.values())
        quantity = (self.holdings(name) * share).quantize(D("0.1"))
        if quantity <= 0 or offered or waiting or self.core.risk._flatten._waiting:
            return
        act = "sell" if self.side is Side.BUY else "buy"
        limit = self.price + self.side.sign * 3 if limited else None
        self.tell(name, lambda s: getattr(s, act)(BTC, quantity, limit=limit))

    @rule(name=st.sampled_from(["one", "two"]), terms=st.sampled_from([{"stop_loss": "2%"}, {"take_profit": "9%"}]))
    def change(self, name: str, terms: dict[str, str]) -> None:
        if any(p.strategy_id == name for p in self.core.risk.protections.book.live()):
            self.tell(name, lambda s: s.protect(BTC, **terms))

    @rule(price=st.integers(92, 108))
    def move(self, price: int) -> None:
        self.price = D(price)
        self.core.feed(trade(str(price), ts=self.core.now + 3 * SECOND))

    @precondition(lambda self: self.working())
    @rule(data=st.data(), share=st.sampled_from([D(1), D("0.5")]))
    def fill(self, data: st.DataObject, share: Decimal) -> None:
        order = data.draw(st.sampled_from(self.working()))
        quantity = max((self.remaining(order) * share).quantize(D("0.1")), min(self.remaining(order), D("0.1")))
        price = self.price
        if order.protects:
            prices = [p for p in (order.stop, order.limit) if p is not None]
            price = data.draw(st.sampled_from(prices)) if prices else self.price
        self.core.fill(order, str(price), str(quantity))

    @precondition(lambda self: self.core.venue.cancelled)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.core.venue.cancelled))
        self.core.venue.cancelled.remove(request)
        order = next(order for order in self.core.orders if order.order_id == request.order_id)
        if order in self.working():
            filled = self.core.execution.orders[order.order_id].filled
            self.core.report(order, OrderStatus.CANCELLED, filled=str(filled))

    @precondition(lambda self: self.working())
    @rule(data=st.data(), status=st.sampled_from([OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.ACCEPTED]))
    def report(self, data: st.DataObject, status: OrderStatus) -> None:
        order = data.draw(st.sampled_from(self.working()))
        filled = self.core.execution.orders[order.order_id].filled
        if status is OrderStatus.REJECTED and filled:
            return
        self.core.report(order, status, filled=str(filled))

    @rule(command=st.sampled_from(["flatten", "cancel", "halt", "resume"]))
    def operate(self, command: str) -> None:
        self.core.feed(CommandReceived(command=command))

    # -- what always holds -------------------------------------------------------------------------------------------

    def closes(self, order: OrderSubmittedEvent) -> bool:
        return order.side is not self.side

    @invariant()
    def never_is_more_closed_than_held(self) -> None:
        held = self.core.risk.exposure.position(BTC) * self.side.sign
        closing = [order for order in self.working() if self.closes(order)]
        assert held >= 0
        assert sum((self.remaining(order) for order in closing), ZERO) <= held
        protected = sum((p.held for p in self.core.risk.protections.book.live()), ZERO)
        assert protected <= held
        assert not self.core.kernel.halted

    @invariant()
    def at_most_one_exit_is_in_flight(self) -> None:
        exits = [order.protects for order in self.working() if order.protects]
        assert len(exits) == len(set(exits))

    @invariant()
    def a_protection_ends_exactly_when_nothing_is_left(self) -> None:
        orders = self.core.execution.orders
        ended = {e.protection_id: None for e in self.core.tape.events if isinstance(e, ProtectionEndedEvent)}
        for protection_id, p in self.core.risk.protections.book.protections.items():
            is_over = not p.held and not orders[protection_id].is_open
            if is_over and p.exit is None and not any(o.protects == protection_id for o in self.working()):
                assert p.ended
                assert protection_id in ended
            if p.held:
                assert not p.ended

    @invariant()
    def statuses_follow_the_life_cycle(self) -> None:
        for protection_id, p in self.core.risk.protections.book.protections.items():
            before = self.statuses.get(protection_id, ProtectionStatus.WAITING)
            if before is not p.status:
                assert p.status in PROTECTION_TRANSITIONS[before], f"{before} -> {p.status}"
            self.statuses[protection_id] = p.status

    @invariant()
    def the_record_leads_to_the_same(self) -> None:
        events = self.core.tape.events
        for event in events[self.folded :]:
            if isinstance(event, TradeEvent):
                self.again.market_data.on_trade(event)
            self.again.accounts[0].recall(event)
        self.folded = len(events)
        there, here = self.core.risk.protections, self.again.risk.protections
        assert protections_of(here.book) == protections_of(there.book)
        for protection_id, p in there.book.protections.items():
            assert state_of(here.book.protections[protection_id]) == state_of(p)
        assert bool(here._prices._watching) == bool(there._prices._watching)
