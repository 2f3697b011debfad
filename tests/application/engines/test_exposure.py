"""What risk counts agrees with the run's orders and positions, and with the fold of its events, after any history."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import BTC, Core, D
from folding import assert_risk_folds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from many_examples import MANY

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CommandReceived, OrderFilledEvent, TradeEvent, VenueOrderReported
from tickdeck.domain.risk import Exposure
from tickdeck.domain.values import OrderStatus, Side

QUANTITIES = st.sampled_from(["1", "2", "3"])
PLACES = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.sampled_from(["buy", "sell"]), QUANTITIES, st.sampled_from([None, "100"])),
    st.tuples(st.just("amend"), PLACES, QUANTITIES),
    st.tuples(st.just("cancel"), PLACES),
    st.tuples(st.just("fill"), PLACES, QUANTITIES, st.sampled_from(["0", "0.1"])),
    st.tuples(st.just("report"), PLACES, st.sampled_from(OrderStatus), st.sampled_from(["0", "1"])),
    st.tuples(st.just("answer"), PLACES, st.integers(1, 2), st.one_of(st.none(), QUANTITIES)),
    st.tuples(st.just("flatten")),
)
histories = st.lists(steps, max_size=25)


class Doer(Strategy):
    """Does on the next trade what the test wants."""

    todo: tuple[Any, ...] = ()

    def on_trade(self, trade: TradeEvent) -> None:
        todo, self.todo = self.todo, ()
        match todo:
            case ("buy", quantity, limit):
                self.buy(BTC, D(quantity), limit=D(limit) if limit else None)
            case ("sell", quantity, limit):
                self.sell(BTC, D(quantity), limit=D(limit) if limit else None)
            case ("amend", order_id, quantity):
                self.amend(order_id, quantity=D(quantity))
            case ("cancel", order_id):
                self.cancel(order_id)


def live(history: list[tuple[Any, ...]]) -> Core:
    doer = Doer()
    core = Core({"doer": doer}).start().trades("100")
    for kind, *arguments in history:
        if kind in ("buy", "sell"):
            doer.todo = (kind, *arguments)
            core.trades("100")
            continue
        if kind == "flatten":
            core.feed(CommandReceived(command="flatten"))
            continue
        if not core.orders:
            continue
        order = core.orders[arguments[0] % len(core.orders)]
        if kind in ("amend", "cancel"):
            doer.todo = (kind, order.order_id, *arguments[1:])
            core.trades("100")
        elif kind == "fill":
            if D(arguments[1]) <= core.execution.orders[order.order_id].exposure:  # otherwise our books are wrong
                core.fill(order, "100", arguments[1], fee=arguments[2])
        elif kind == "report":
            core.report(order, arguments[1], filled=arguments[2])
        else:
            revision, quantity = arguments[1:]
            if revision > sum(event.order_id == order.order_id for event in core.venue.amended):
                continue
            core.feed(
                VenueOrderReported(
                    order_id=order.order_id,
                    symbol=order.symbol,
                    status=OrderStatus.ACCEPTED,
                    revision=revision,
                    quantity=None if quantity is None else D(quantity),
                    limit=None if quantity is None else D(100),
                    source="scripted",
                )
            )
    return core


def risk_counts_what_is_there(history: list[tuple[Any, ...]]) -> None:
    core = live(history)
    exposure = core.risk.exposure
    for side in Side:
        assert exposure.working(BTC, side) == core.execution.working(BTC, side)
    assert exposure.count(BTC) == exposure.count() == sum(order.is_open for order in core.execution.orders.values())
    assert exposure.position(BTC) == core.portfolio.account.position(BTC).quantity
    for order_id, order in core.execution.orders.items():
        assert facts(exposure.orders[order_id]) == facts(order)
    assert_risk_folds(core.tape.events, core.risk)


def facts(order: Any) -> tuple[Any, ...]:
    exposure = order.exposure if order.is_open else 0
    return (order.status, order.side, order.quantity, order.limit, order.filled, exposure, order.is_open)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(histories)
def test_risk_counts_agree_with_orders_and_positions_after_any_history(history: list[tuple[Any, ...]]) -> None:
    risk_counts_what_is_there(history)


@pytest.mark.slow
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_risk_counts_agree_with_orders_and_positions_after_very_many_histories(history: list[tuple[Any, ...]]) -> None:
    risk_counts_what_is_there(history)


def test_two_decisions_on_one_trade_count_each_other_before_they_are_orders() -> None:
    class Pair(Strategy):
        def on_trade(self, trade: TradeEvent) -> None:
            if not self.open_orders():
                self.buy(BTC, D(1), limit=D(90))

    core = Core({"a": Pair(), "b": Pair()}).start().trades("100")
    assert core.risk.exposure.working(BTC, Side.BUY) == 2
    assert core.risk.exposure.working(BTC, Side.SELL) == 0


def test_the_total_of_thousands_of_open_orders_is_not_recomputed() -> None:
    class Many(Strategy):
        def on_start(self) -> None:
            self.done = False

        def on_trade(self, trade: TradeEvent) -> None:
            if not self.done:
                self.done = True
                for _ in range(2_000):
                    self.buy(BTC, D(1), limit=D(90))

    core = Core({"many": Many()}, max_cascade=100_000).start().trades("100")
    exposure = core.risk.exposure
    assert len(exposure.open_orders()) == 2_000

    class Untouchable(dict[str, Any]):
        def values(self) -> Any:
            raise AssertionError("the orders were walked through")

    exposure.orders = Untouchable(exposure.orders)
    exposure._open = Untouchable(exposure._open)
    assert exposure.working(BTC, Side.BUY) == 2_000


def test_a_fee_in_base_is_subtracted_from_the_fill() -> None:
    fill = OrderFilledEvent(
        order_id="o",
        symbol=BTC,
        side=Side.BUY,
        price=D(100),
        quantity=D(2),
        filled=D(2),
        remaining=D(0),
        average_price=D(100),
        fee=D("0.5"),
        fee_currency="BTC",
    )
    assert Exposure.fold([fill], lambda _: "BTC").position(BTC) == D("1.5")
    assert Exposure.fold([fill], lambda _: "ETH").position(BTC) == 2
