"""Orders that only reduce a position, and what passes after a halt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from application_kit import BTC, Core, D, trade
from risk_kit import Puppet, breaches, buy, command, core_of, do, sell

from tickdeck.domain.events import (
    CommandReceived,
    TradingHalted,
    VenueBalanceReported,
    VenueCancelRefused,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side


def holding(quantity: str, limits: RiskLimits, *, at_once: str = "") -> tuple[Core, Puppet]:
    """A run that holds ``quantity``, bought in steps of ``at_once``."""
    step = at_once or quantity
    core, puppet = core_of(limits)
    for _ in range(int(D(quantity) / D(step))):
        do(core, puppet, buy(step))
        core.fill(core.orders[-1], "100")
    assert core.portfolio.account.position(BTC).quantity == D(quantity)
    return core, puppet


STRICT = RiskLimits(
    max_order_notional=D(1_000), max_position_notional=D(3_000), max_orders_per_second=1, price_band=D("0.05")
)


def test_a_position_that_was_bought_in_allowed_steps_can_be_sold_at_once() -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, sell("30"))
    assert breaches(core) == []
    assert core.orders[-1].quantity == 30


@pytest.mark.parametrize("wish", [sell("30.001"), sell("60"), buy("30")])
def test_an_order_that_does_more_than_reduce_is_limited(wish: Callable[[Puppet], object]) -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, wish)
    assert breaches(core) == ["max_order_notional"]


def test_pending_orders_lower_what_may_still_be_reduced() -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, sell("20"), sell("20"))
    assert breaches(core) == ["max_order_notional"]
    do(core, puppet, sell("10"))  # the rest
    assert [o.quantity for o in core.orders[3:]] == [20, 10]


def test_a_reducing_order_passes_the_rate_and_the_price_band() -> None:
    core, puppet = holding("10", STRICT)
    do(core, puppet, buy("1"), sell("5"), sell("5", "200"))
    assert breaches(core) == []


def cancel_all(s: Puppet) -> None:
    for order_id in s.open_orders(BTC):
        s.cancel(order_id)


def test_an_exit_passes_every_limit_once_the_orders_that_could_close_the_same_are_cancelled() -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, sell("10", "104"), sell("10", "104.5"))
    first, second = core.orders[-2:]

    do(core, puppet, sell("30"))
    assert breaches(core) == ["max_order_notional"]
    do(core, puppet, cancel_all, sell("30"))

    exit_order = core.orders[-1]
    assert breaches(core) == ["max_order_notional"]
    assert (exit_order.quantity, exit_order.reduce_only) == (30, True)
    assert [c.order_id for c in core.venue.cancelled] == [first.order_id, second.order_id]


def test_a_cancel_that_was_refused_counts_its_order_again() -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, sell("10", "104"))
    resting = core.orders[-1]
    do(core, puppet, cancel_all)
    core.feed(VenueCancelRefused(order_id=resting.order_id, symbol=BTC, reason="unknown", source="scripted"))

    puppet.todo = [sell("30")]
    core.feed(trade("100", ts=core.now + 1))  # before the cancel is sent again

    assert breaches(core) == ["max_order_notional"]


def test_an_exit_passes_after_a_limits_halt_next_to_a_partly_filled_take_profit() -> None:
    core, puppet = holding("10", RiskLimits(max_daily_loss=D(50)))
    do(core, puppet, sell("6", "101"))
    core.fill(core.orders[-1], "101", "2")

    do(core, puppet, sell("5"), sell("4"), price="90")

    assert breaches(core) == ["trading_halted"]
    assert (core.orders[-1].quantity, core.orders[-1].reduce_only) == (4, True)


def test_a_reduce_only_order_that_became_larger_than_the_position_is_cancelled() -> None:
    core, puppet = holding("10", RiskLimits())
    do(core, puppet, sell("4", "200"), sell("6", "201"))
    older, newer = core.orders[-2:]
    do(core, puppet, sell("5"))
    assert core.venue.cancelled == []

    core.fill(core.orders[-1], "100", "5")

    # 5 are left, of which the older one may sell 4.
    assert [c.order_id for c in core.venue.cancelled] == [newer.order_id]
    (warning,) = core.of("system.warning")
    assert newer.order_id in warning.payload["message"]
    core.fill(older, "200", "4")
    assert core.portfolio.account.position(BTC).quantity == 1


def test_after_a_limits_halt_only_reducing_orders_pass() -> None:
    core, puppet = holding("10", RiskLimits(max_daily_loss=D(50)))
    do(core, puppet, buy("1"), sell("11"), sell("4"), price="90")
    assert len(core.of("trading.halted")) == 1
    assert breaches(core) == ["trading_halted", "trading_halted"]
    assert core.orders[-1].quantity == 4
    assert core.of("order.rejected") == []


def test_a_limits_halt_cancels_the_orders_that_could_enlarge_a_position_and_no_others() -> None:
    core, puppet = holding("10", RiskLimits(max_daily_loss=D(50)))
    do(core, puppet, buy("2", "80"), buy("3", "70"), sell("4", "200"))
    first, second, takes_profit = core.orders[-3:]
    do(core, puppet, buy("1"), price="90")

    assert len(core.of("trading.halted")) == 1
    assert [c.order_id for c in core.venue.cancelled] == [first.order_id, second.order_id]
    assert takes_profit.reduce_only
    assert any("2 open orders" in getattr(w, "message", "") for w in core.of("system.warning"))


def test_coins_that_the_account_has_at_the_start_count_towards_the_position_limit() -> None:
    puppet = Puppet()
    core = Core({"puppet": puppet}, limits=RiskLimits(max_position_notional=D(150))).start()
    core.feed(VenueBalanceReported(currency="BTC", total=D(1), source="scripted")).trades("100")
    do(core, puppet, buy("0.6"), sell("0.5"), price="100")

    assert breaches(core) == ["max_position_notional"]
    assert [(order.side, order.quantity) for order in core.orders] == [(Side.SELL, D("0.5"))]


def test_after_an_operators_halt_only_flatten_passes() -> None:
    core, puppet = holding("10", RiskLimits())
    do(core, puppet, sell("1", "200"))
    resting = core.orders[-1]
    command(core, "halt")
    do(core, puppet, sell("1"))
    assert breaches(core) == ["trading_halted"]

    command(core, "flatten")

    assert [c.order_id for c in core.venue.cancelled] == [resting.order_id]
    exit_order = core.orders[-1]
    assert (exit_order.side, exit_order.quantity, exit_order.strategy_id) == (Side.SELL, 9, "risk")
    core.fill(exit_order, "100")
    core.report(resting, OrderStatus.CANCELLED)
    rest = core.orders[-1]
    assert (rest.side, rest.quantity, rest.reduce_only) == (Side.SELL, 1, True)
    core.fill(rest, "100")
    assert core.portfolio.account.position(BTC).is_flat


def test_flatten_never_reverses_a_position_if_a_fill_outruns_its_cancel() -> None:
    core, puppet = holding("10", RiskLimits())
    do(core, puppet, sell("4", "200"), sell("6", "200"), buy("1", "50"))
    first, second, bid = core.orders[-3:]

    command(core, "flatten")
    assert core.orders[-1] is bid  # the pending orders may still sell the whole position
    core.fill(first, "200")
    assert core.orders[-1] is bid
    core.fill(bid, "50")
    assert (core.orders[-1].side, core.orders[-1].quantity) == (Side.SELL, 1)
    core.fill(core.orders[-1], "100")
    core.fill(second, "200", "5").report(second, OrderStatus.CANCELLED)
    assert core.orders[-1].quantity == 1
    core.fill(core.orders[-1], "100")

    assert core.portfolio.account.position(BTC).is_flat
    assert [e.event_type for e in core.tape.events if e.event_type.startswith("position.")].count(
        "position.opened"
    ) == 1


def test_an_operators_halt_after_a_limits_halt_is_the_stricter_one() -> None:
    core, puppet = holding("10", RiskLimits(max_daily_loss=D(50)))
    do(core, puppet, buy("1"), price="90")
    command(core, "halt", "hands off")
    do(core, puppet, sell("1"), price="90")
    assert breaches(core) == ["trading_halted"] * 2
    assert len(core.orders) == 1


def test_flatten_works_for_one_symbol_and_closes_shorts_too() -> None:
    core, _ = core_of(RiskLimits(), sell("2"))
    core.fill(core.orders[0], "100")
    core.feed(CommandReceived(command="flatten", arguments={"symbol": "ETHUSDT"}))
    assert len(core.orders) == 1
    core.feed(CommandReceived(command="flatten", arguments={"symbol": BTC}))
    assert (core.orders[-1].side, core.orders[-1].quantity) == (Side.BUY, 2)


def test_after_an_error_only_cancels_pass() -> None:
    core, puppet = holding("10", RiskLimits())
    do(core, puppet, sell("1", "200"))
    resting = core.orders[-1]
    core.feed(TradingHalted(reason="portfolio failed"))
    command(core, "flatten")
    do(core, puppet, sell("1"), lambda s: s.cancel(resting.order_id))

    assert breaches(core) == ["trading_halted"]
    assert core.orders[-1] is resting
    assert [c.order_id for c in core.venue.cancelled] == [resting.order_id]
    assert "only cancels pass" in core.of("system.warning")[0].payload["message"]
