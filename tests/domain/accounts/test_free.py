"""What is free is the total less what others lock and what our orders reserve, whatever happens to the orders."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickdeck.domain.accounts import Account, BalanceAggregate
from tickdeck.domain.events import (
    DomainEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    VenueBalanceReported,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.trading import Order, Trade, TradeStatus, reservation
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import InsufficientBalance, InvalidTransition

D = Decimal
S = OrderStatus
BTC = instrument_for("BTCUSDT")
CURRENCIES = ("BTC", "USDT")

amounts = st.integers(1, 50_000).map(lambda n: D(n).scaleb(-2))
prices = st.integers(1, 2_000).map(lambda n: D(n).scaleb(-1))
currencies = st.sampled_from(CURRENCIES)
fees = st.integers(0, 300).map(lambda n: D(n).scaleb(-4))


class OrdersInARun(RuleBasedStateMachine):
    """Orders of a run and its account. The model has what each order still needs, as fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account("main")
        self.orders: list[Order] = []
        self.total = dict.fromkeys(CURRENCIES, Fraction(0))
        self.locked = dict.fromkeys(CURRENCIES, Fraction(0))
        self.trades = 0
        self.tape: list[DomainEvent] = []

    def published(self, events: list[OrderEvent]) -> None:
        """As execution and portfolio do it."""
        for event in events:
            self.tape.append(event)
            self.account.reserve(event)
            if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
                sign = event.side.sign
                self.total["BTC"] += Fraction(event.quantity) * sign
                self.total["USDT"] -= Fraction(event.quantity) * Fraction(event.price) * sign
                self.total[event.fee_currency] -= Fraction(event.fee)
                self.tape += self.account.apply_fill(event, BTC)

    def picked(self, number: int) -> Order:
        return self.orders[number % len(self.orders)]

    @rule(currency=currencies, total=amounts, locked=st.integers(0, 20))
    def the_venue_reports_a_balance(self, currency: str, total: Decimal, locked: int) -> None:
        report = VenueBalanceReported(currency=currency, total=total, locked=D(locked))
        self.tape += self.account.set_balance(report)
        self.total[currency], self.locked[currency] = Fraction(total), Fraction(locked)

    @rule(side=st.sampled_from(Side), quantity=st.integers(1, 20), limit=st.none() | prices)
    def we_send_an_order(self, side: Side, quantity: int, limit: Decimal | None) -> None:
        currency = BTC.base if side is Side.SELL else BTC.quote
        submitted = OrderSubmittedEvent(
            order_id=f"o{len(self.orders)}", symbol="BTCUSDT", side=side, quantity=D(quantity), limit=limit,
            remaining=D(quantity), reserved=reservation(side, D(quantity), limit), reserved_currency=currency,
        )  # fmt: skip
        self.orders.append(Order(submitted, in_run=True))
        self.published([submitted])

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 30), status=st.sampled_from(S))
    def the_venue_reports_a_status(self, number: int, status: OrderStatus) -> None:
        order = self.picked(number)
        self.published(order.apply_report(VenueOrderReported(order_id=order.order_id, symbol="BTCUSDT", status=status)))

    @precondition(lambda self: any(order.exposure for order in self.orders))
    @rule(
        number=st.integers(0, 30), part=st.integers(1, 20), price=prices, fee=fees, currency=st.sampled_from(CURRENCIES)
    )
    def the_venue_fills_a_part(self, number: int, part: int, price: Decimal, fee: Decimal, currency: str) -> None:
        order = [order for order in self.orders if order.exposure][number % sum(bool(o.exposure) for o in self.orders)]
        self.trades += 1
        fill = VenueFillReported(
            order_id=order.order_id, symbol="BTCUSDT", side=order.side, price=price, fee=fee, fee_currency=currency,
            quantity=min(D(part), order.exposure), venue_trade_id=f"t{self.trades}",
        )  # fmt: skip
        self.published(order.apply_fill(fill))
        assert order.apply_fill(fill) == []

    @precondition(lambda self: any(order.is_open and order.limit for order in self.orders))
    @rule(number=st.integers(0, 30), quantity=st.integers(1, 20), limit=prices, granted=st.booleans())
    def we_amend_one(self, number: int, quantity: int, limit: Decimal, granted: bool) -> None:
        able = [order for order in self.orders if order.is_open and order.limit]
        order = able[number % len(able)]
        request = order.request_amend(order.filled + quantity, limit)
        answer = VenueOrderReported(
            order_id=order.order_id, symbol="BTCUSDT", status=S.ACCEPTED, revision=request.revision,
            quantity=request.quantity if granted else None, limit=request.limit if granted else None,
        )  # fmt: skip
        self.published([request])
        self.published(order.apply_report(answer))

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 30))
    def one_in_doubt_was_never_received(self, number: int) -> None:
        self.published(self.picked(number).conclude_rejected("never received", 0))

    @invariant()
    def free_is_what_is_left(self) -> None:
        for currency in CURRENCIES:
            needed = sum((need(order) for order in self.orders if order.reserved_currency == currency), Fraction(0))
            assert Fraction(self.account.reserved(currency)) == needed
            assert Fraction(self.account.free(currency)) == self.total[currency] - self.locked[currency] - needed

    def teardown(self) -> None:
        folded = Account.fold(self.tape)
        for currency in CURRENCIES:
            assert folded.free(currency) == self.account.free(currency)


def need(order: Order) -> Fraction:
    """What an order still needs: nothing once it ended, or while no price is known."""
    if order.status.is_final:
        return Fraction(0)
    rest = Fraction(order.quantity) - Fraction(order.filled)
    if order.side is Side.SELL:
        return rest
    return Fraction(0) if order.limit is None else rest * Fraction(order.limit)


class TradesInTwoPhases(RuleBasedStateMachine):
    """Balances and trades of a use case. The model has what each open trade has reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = BalanceAggregate("a", "USDT")
        self.trades: dict[str, Trade] = {}
        self.total = Fraction(0)
        self.locked = Fraction(0)
        self.open: dict[str, Fraction] = {}

    def picked(self, number: int) -> Trade:
        return list(self.trades.values())[number % len(self.trades)]

    @precondition(lambda self: not self.open)
    @rule(total=amounts, locked=st.integers(0, 20))
    def the_exchange_reports_the_balance(self, total: Decimal, locked: int) -> None:
        self.balance.observe(total, D(locked))
        self.total, self.locked = Fraction(total), Fraction(locked)

    @rule(amount=amounts)
    def a_trade_reserves(self, amount: Decimal) -> None:
        trade = Trade("a", f"t{len(self.trades)}").create(
            symbol="BTCUSDT", side=Side.BUY, quantity=amount, limit=D(1), order_id=f"o{len(self.trades)}"
        )
        self.trades[trade.trade_id] = trade
        try:
            self.balance.reserve(amount)
        except InsufficientBalance:
            assert Fraction(amount) > self.total - self.locked - sum(self.open.values())
            trade.roll_back("insufficient balance")
            return
        trade.reserve(amount, "USDT")
        self.open[trade.trade_id] = Fraction(amount)

    @precondition(lambda self: self.trades)
    @rule(number=st.integers(0, 30), eighths=st.integers(0, 8), fee=fees)
    def it_is_executed_in_part(self, number: int, eighths: int, fee: Decimal) -> None:
        trade = self.picked(number)
        quantity = trade.quantity * D(eighths) / 8
        if trade.trade_id not in self.open:
            before = trade.status
            for decide in (lambda: trade.confirm(D(1), quantity, {}), lambda: trade.roll_back("late")):
                try:
                    decide()
                except InvalidTransition:
                    assert trade.status is before
                else:
                    raise AssertionError(f"{before} was left")
        elif quantity:
            trade.confirm(D(1), quantity, {"USDT": fee})
            self.balance.settle(change=-quantity - fee, released=trade.reserved, fee=fee)
            self.total -= Fraction(quantity) + Fraction(fee)
            del self.open[trade.trade_id]
        else:
            trade.roll_back("nothing was filled")
            self.balance.release(trade.reserved)
            del self.open[trade.trade_id]

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 30))
    def nobody_knows_what_became_of_it(self, number: int) -> None:
        trade = self.trades[list(self.open)[number % len(self.open)]]
        trade.doubt("timed out")
        assert trade.status is TradeStatus.NEEDS_RECONCILIATION

    @invariant()
    def free_is_what_is_left(self) -> None:
        reserved = sum(self.open.values(), Fraction(0))
        assert Fraction(self.balance.reserved) == reserved
        assert Fraction(self.balance.free) == self.total - self.locked - reserved
        for trade in self.trades.values():
            assert (trade.trade_id in self.open) == (not trade.status.is_final)

    def teardown(self) -> None:
        folded = BalanceAggregate("a", "USDT").load(self.balance.get_domain_events())
        assert figures(folded) == figures(self.balance)


def figures(balance: BalanceAggregate) -> Mapping[str, Decimal]:
    return {name: getattr(balance, name) for name in ("total", "locked", "reserved", "free")}


TestOrdersInARun = OrdersInARun.TestCase
TestTradesInTwoPhases = TradesInTwoPhases.TestCase
