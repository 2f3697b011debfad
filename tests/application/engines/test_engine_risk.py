"""The risk engine, end to end: which orders of a strategy pass the limits and reach the venue."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from application_kit import BTC, SECOND, Core, D, trade
from risk_kit import Puppet, breaches, buy, core_of, do, sell

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side


@pytest.mark.parametrize(
    ("limits", "allowed", "refused", "name"),
    [
        (RiskLimits(max_order_notional=D(1000)), buy("10"), buy("10.001"), "max_order_notional"),
        (RiskLimits(max_position_notional=D(1000)), sell("10"), sell("10.001"), "max_position_notional"),
        (RiskLimits(price_band=D("0.05")), buy("1", "105"), buy("1", "105.01"), "price_band"),
        (RiskLimits(price_band=D("0.05")), sell("1", "95"), sell("1", "94.99"), "price_band"),
        (RiskLimits(), buy("0.001"), buy("0.0009"), "instrument"),
    ],
)
def test_each_limit_passes_up_to_its_value_and_refuses_beyond_with_a_reason(
    limits: RiskLimits, allowed: Callable[[Puppet], object], refused: Callable[[Puppet], object], name: str
) -> None:
    core, _ = core_of(limits, allowed)
    assert len(core.orders) == 1
    assert breaches(core) == []

    core, _ = core_of(limits, refused)
    assert core.orders == []
    assert breaches(core) == [name]
    (breach,) = core.of("risk.limit_breached")
    assert breach.payload["detail"]
    assert breach.payload["strategy_id"] == "puppet"


def test_no_order_passes_before_the_first_price() -> None:
    class Hasty(Strategy):
        def on_start(self) -> None:
            self.buy(BTC, D(1))

    core = Core({"hasty": Hasty()}).start()
    assert breaches(core) == ["reference_price"]


def test_a_decision_is_rounded_to_the_instruments_grid() -> None:
    core, _ = core_of(RiskLimits(), buy("1.23456", "99.996"))
    (order,) = core.orders
    assert (order.quantity, order.limit) == (D("1.234"), D("100.00"))


@pytest.mark.parametrize("wish", [buy("1", "0.004"), buy("1E+40"), buy("1", "1E+40"), sell("1E+999999")])
def test_an_untradable_number_is_refused_and_halts_nothing(wish: Callable[[Puppet], object]) -> None:
    core, _ = core_of(RiskLimits(), wish)

    assert breaches(core) == ["instrument"]
    assert core.orders == []
    assert not core.kernel.halted


def test_orders_per_second_are_counted_in_any_window() -> None:
    limits = RiskLimits(max_orders_per_second=2)
    core, puppet = core_of(limits, buy("1"), buy("1"), buy("1"))
    assert (len(core.orders), breaches(core)) == (2, ["max_orders_per_second"])

    core.feed(trade("100", ts=core.now + SECOND - 1))
    do_at = core.now
    puppet.todo = [buy("1")]
    core.feed(trade("100", ts=do_at))
    assert len(core.orders) == 2
    puppet.todo = [buy("1")]
    core.feed(trade("100", ts=do_at + 1))
    assert len(core.orders) == 3


def test_the_position_limit_counts_open_orders() -> None:
    core, puppet = core_of(RiskLimits(max_position_notional=D(1000)), buy("6"))
    do(core, puppet, buy("5"))
    assert breaches(core) == ["max_position_notional"]

    core.fill(core.orders[0], "100", "6")
    do(core, puppet, buy("5"), buy("4"))
    assert breaches(core) == ["max_position_notional"] * 2
    assert [o.quantity for o in core.orders] == [6, 4]


def test_the_position_limit_counts_earlier_requests_of_the_same_handler() -> None:
    core, _ = core_of(RiskLimits(max_position_notional=D(1000)), buy("6"), buy("6"), sell("3"), buy("4"))

    assert breaches(core) == ["max_position_notional"]
    assert [(o.side, o.quantity) for o in core.orders] == [(Side.BUY, 6), (Side.SELL, 3), (Side.BUY, 4)]


def test_an_earlier_request_is_not_counted_twice_once_it_is_an_order() -> None:
    core, puppet = core_of(RiskLimits(max_position_notional=D(1000)), buy("5"))
    do(core, puppet, buy("5"))
    assert breaches(core) == []
    for order in core.orders:
        core.report(order, OrderStatus.CANCELLED)
    do(core, puppet, buy("5"), buy("5"))
    assert breaches(core) == []
    assert len(core.orders) == 4


def test_each_intent_of_a_decision_is_judged_by_itself() -> None:
    from tickdeck.domain.events import ActionIntent

    def intent(quantity: str) -> ActionIntent:
        return ActionIntent(action="order", symbol=BTC, side=Side.BUY, quantity=D(quantity), order_id=quantity)

    core, _ = core_of(RiskLimits(max_position_notional=D(1000)))
    core.feed(
        StrategyDecisionEvent(
            strategy_id="puppet", intents=(intent("6"), intent("5"), intent("4")), ts_ingress=core.now
        )
    )

    assert [o.order_id for o in core.orders] == ["6", "4"]
    assert breaches(core) == ["max_position_notional"]


# -- cancels ------------------------------------------------------------------------------------------------------


def test_a_cancel_of_an_unknown_order_is_refused_with_a_reason() -> None:
    core, _ = core_of(RiskLimits(), lambda s: s.cancel("nonsense"))

    (breach,) = (e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent))
    assert breach.limit == "unknown_order"
    assert breach.detail == "this strategy has no order nonsense"


def test_a_cancel_of_an_order_at_its_end_is_refused_with_its_state() -> None:
    core, puppet = core_of(RiskLimits(), buy("1"))
    order = core.venue.submitted[0]
    core.report(order, OrderStatus.CANCELLED)

    do(core, puppet, lambda s: s.cancel(order.order_id))

    assert breaches(core) == ["unknown_order"]
    assert core.venue.cancelled == []


def test_an_order_can_be_cancelled_in_the_call_that_asked_for_it() -> None:
    core, _ = core_of(RiskLimits(), lambda s: s.cancel(s.buy(BTC, D(1), limit=D(99))))

    assert breaches(core) == []
    assert [c.order_id for c in core.venue.cancelled] == [core.venue.submitted[0].order_id]
