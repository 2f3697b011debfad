"""Limits on the number of orders, on single quantities and on all positions together, end to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from application_kit import BTC, Core, D, trade
from risk_kit import Puppet

from tickdeck.domain.events import CommandReceived, RiskLimitBreachedEvent
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus

ETH = "ETHUSDT"
Wish = Callable[[Puppet], object]


def core_of(limits: RiskLimits) -> tuple[Core, Puppet]:
    puppet = Puppet()
    core = Core({"puppet": puppet}, limits=limits).start().trades("100")
    core.feed(trade("10", ts=core.now, symbol=ETH))
    return core, puppet


def do(core: Core, puppet: Puppet, *todo: Wish) -> list[str]:
    """The limits that refused at least one of these."""
    before = len(refusals(core))
    puppet.todo = list(todo)
    core.trades("100")
    return [refusal.limit for refusal in refusals(core)[before:]]


def refusals(core: Core) -> list[RiskLimitBreachedEvent]:
    return [e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]


def buy(quantity: str, limit: str | None = None, symbol: str = BTC) -> Wish:
    return lambda s: s.buy(symbol, D(quantity), limit=D(limit) if limit else None)


def sell(quantity: str, limit: str | None = None, symbol: str = BTC) -> Wish:
    return lambda s: s.sell(symbol, D(quantity), limit=D(limit) if limit else None)


def test_orders_count_from_approval_until_they_have_ended() -> None:
    core, puppet = core_of(RiskLimits(max_open_orders=2))

    assert do(core, puppet, buy("1", "99"), buy("1", "98"), buy("1", "97")) == ["max_open_orders"]
    (refusal,) = refusals(core)
    assert refusal.detail == "2 orders are open; at most 2"
    assert refusal.causation_id == core.of("strategy.decision")[-1].event_id

    first = core.orders[0]
    assert do(core, puppet, lambda s: s.cancel(first.order_id), buy("1", "97")) == ["max_open_orders"]
    core.report(first, OrderStatus.CANCELLED)
    assert do(core, puppet, buy("1", "97")) == []


def test_orders_of_one_symbol_have_a_limit_of_their_own() -> None:
    core, puppet = core_of(RiskLimits(max_open_orders_per_symbol=1))

    wishes = buy("1", "99"), buy("1", "9", ETH), buy("1", "98"), sell("1", "11", ETH)
    assert do(core, puppet, *wishes) == ["max_open_orders_per_symbol"] * 2


def test_an_amend_is_not_one_more_order() -> None:
    core, puppet = core_of(RiskLimits(max_open_orders=1))
    do(core, puppet, buy("1", "99"))
    (order,) = core.orders
    core.report(order, OrderStatus.ACCEPTED)

    assert do(core, puppet, lambda s: s.amend(order.order_id, quantity=D(2))) == []


def test_quantity_of_one_order_has_a_limit_by_symbol() -> None:
    core, puppet = core_of(RiskLimits(max_order_quantity={BTC: D(2)}))

    assert do(core, puppet, buy("2"), buy("2.001"), buy("50", symbol=ETH)) == ["max_order_quantity"]
    assert refusals(core)[0].detail == "2.001 BTCUSDT in one order; at most 2"


def test_an_order_far_larger_than_usual_is_refused() -> None:
    core, puppet = core_of(RiskLimits(max_order_multiple=D(10)))
    assert do(core, puppet, buy("50"), *[buy("1")] * 5) == []

    assert do(core, puppet, buy("10"), buy("10.001")) == ["max_order_multiple"]


def test_positions_in_all_symbols_have_a_limit_together() -> None:
    core, puppet = core_of(RiskLimits(max_total_notional=D(1000)))
    assert do(core, puppet, buy("6"), sell("40", symbol=ETH)) == []

    assert do(core, puppet, buy("0.001"), sell("0.1", symbol=ETH)) == ["max_total_notional"] * 2
    assert "all others are worth up to 400" in refusals(core)[0].detail

    core.fill(core.orders[0], "100")
    core.report(core.orders[1], OrderStatus.CANCELLED)
    assert do(core, puppet, buy("4")) == []


@pytest.mark.parametrize(
    "limits",
    [
        RiskLimits(max_open_orders=1),
        RiskLimits(max_open_orders_per_symbol=1),
        RiskLimits(max_order_quantity={BTC: D(1)}),
        RiskLimits(max_total_notional=D(100)),
    ],
    ids=lambda limits: next(name for name in limits.__struct_fields__[2:] if getattr(limits, name)),
)
def test_an_order_that_only_reduces_passes(limits: RiskLimits) -> None:
    core, puppet = core_of(limits)
    for _ in range(3):  # the price falls, so that three steps are allowed one after the other
        do(core, puppet, buy("1"))
        if len(core.orders) > core.risk.exposure.position(BTC):
            core.fill(core.orders[-1], "100")
    held = core.risk.exposure.position(BTC)
    assert held >= 1
    core.feed(trade("1000", ts=core.now))
    do(core, puppet, sell(str(held), "1000"))

    assert core.orders[-1].reduce_only
    assert core.orders[-1].quantity == held


def test_flatten_passes_every_limit() -> None:
    core, puppet = core_of(RiskLimits(max_open_orders=1, max_order_quantity={BTC: D(1)}))
    do(core, puppet, buy("1"))
    core.fill(core.orders[0], "100")
    do(core, puppet, buy("1", "99"))

    core.feed(CommandReceived(command="flatten"))

    assert core.orders[-1].reduce_only
