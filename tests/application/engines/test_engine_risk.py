"""The risk engine, end to end: what a strategy asks for, and what of it reaches the venue."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from application_kit import BTC, SECOND, START, Core, D, trade

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    CommandReceived,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    TradeEvent,
    TradingHalted,
    VenueBalanceReported,
    VenueCancelRefused,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side

DAY = 86_400 * SECOND


class Puppet(Strategy):
    """Does on the next trade what it was told to."""

    def __init__(self, *todo: Callable[[Puppet], object]) -> None:
        super().__init__()
        self.todo = list(todo)

    def on_trade(self, trade: TradeEvent) -> None:
        todo, self.todo = self.todo, []
        for action in todo:
            action(self)


def core_of(limits: RiskLimits, *todo: Callable[[Puppet], object], price: str = "100") -> tuple[Core, Puppet]:
    puppet = Puppet()
    core = Core({"puppet": puppet}, limits=limits).start().trades(price)
    puppet.todo = list(todo)
    if todo:
        core.trades(price)
    return core, puppet


def do(core: Core, puppet: Puppet, *todo: Callable[[Puppet], object], price: str = "100") -> None:
    puppet.todo = list(todo)
    core.trades(price)


def breaches(core: Core) -> list[str]:
    return [e.limit for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]


def buy(quantity: str, limit: str | None = None) -> Callable[[Puppet], object]:
    return lambda s: s.buy(BTC, D(quantity), limit=D(limit) if limit else None)


def sell(quantity: str, limit: str | None = None) -> Callable[[Puppet], object]:
    return lambda s: s.sell(BTC, D(quantity), limit=D(limit) if limit else None)


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
def test_each_limit_lets_pass_up_to_it_and_refuses_in_words_beyond(
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


def test_nothing_is_ordered_before_a_price_was_seen() -> None:
    class Hasty(Strategy):
        def on_start(self) -> None:
            self.buy(BTC, D(1))

    core = Core({"hasty": Hasty()}).start()
    assert breaches(core) == ["reference_price"]


def test_a_decision_is_put_on_the_instruments_grid() -> None:
    core, _ = core_of(RiskLimits(), buy("1.23456", "99.996"))
    (order,) = core.orders
    assert (order.quantity, order.limit) == (D("1.234"), D("100.00"))


@pytest.mark.parametrize("wish", [buy("1", "0.004"), buy("1E+40"), buy("1", "1E+40"), sell("1E+999999")])
def test_a_number_that_cannot_be_traded_is_refused_and_halts_nothing(wish: Callable[[Puppet], object]) -> None:
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


def test_the_position_limit_counts_what_the_same_handler_has_asked_for_before() -> None:
    core, _ = core_of(RiskLimits(max_position_notional=D(1000)), buy("6"), buy("6"), sell("3"), buy("4"))

    assert breaches(core) == ["max_position_notional"]
    assert [(o.side, o.quantity) for o in core.orders] == [(Side.BUY, 6), (Side.SELL, 3), (Side.BUY, 4)]


def test_what_was_asked_for_before_is_not_counted_twice_once_it_is_an_order() -> None:
    core, puppet = core_of(RiskLimits(max_position_notional=D(1000)), buy("5"))
    do(core, puppet, buy("5"))
    assert breaches(core) == []
    for order in core.orders:
        core.report(order, OrderStatus.CANCELLED)
    do(core, puppet, buy("5"), buy("5"))
    assert breaches(core) == []
    assert len(core.orders) == 4


# -- halts ------------------------------------------------------------------------------------------------------


def losing(limits: RiskLimits = RiskLimits(max_daily_loss=D(50))) -> tuple[Core, Puppet]:  # noqa: B008 (frozen)
    """One bought at 100, which is worth 50 less now: nobody has looked yet."""
    core, puppet = core_of(limits, buy("1"))
    core.fill(core.orders[0], "100")
    core.trades("50")
    assert core.of("trading.halted") == []
    return core, puppet


def test_at_the_daily_loss_trading_halts_before_the_next_order() -> None:
    core, puppet = losing()
    do(core, puppet, buy("1"), price="50")

    (halt,) = core.of("trading.halted")
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("max_daily_loss: equity fell by 50")
    assert breaches(core) == ["trading_halted"]
    assert len(core.orders) == 1
    assert not core.kernel.halted  # a limit, no fault


def test_a_fill_that_realises_the_daily_loss_halts_trading() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(60)))
    do(core, puppet, sell("1"), price="50")
    assert core.of("trading.halted") == []

    core.fill(core.orders[1], "40")

    assert len(core.of("trading.halted")) == 1


def test_a_balance_that_the_venue_reports_later_is_no_gain_and_no_loss() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(60)))
    core.feed(VenueBalanceReported(currency="USDT", total=D(10), source="scripted"))
    do(core, puppet, buy("1"), price="50")
    assert core.of("trading.halted") == []
    do(core, puppet, buy("1"), price="39")

    assert len(core.of("trading.halted")) == 1


def test_the_daily_loss_is_seen_by_one_who_decides_before_the_money_is_there() -> None:
    class Hasty(Puppet):
        def on_start(self) -> None:
            self.buy(BTC, D(1))  # refused, as there is no price, and risk looks at the equity: 0

    puppet = Hasty()
    core = Core({"hasty": puppet}, limits=RiskLimits(max_daily_loss=D(50))).start().trades("100")
    do(core, puppet, buy("1"))
    core.fill(core.orders[0], "100")
    do(core, puppet, buy("1"), price="50")

    assert len(core.of("trading.halted")) == 1


def test_a_new_day_begins_with_a_new_allowance_unless_trading_was_halted() -> None:
    core, puppet = losing(RiskLimits(max_daily_loss=D(60)))
    do(core, puppet, buy("1"), price="50")  # -50, of which risk knows now
    puppet.todo = [buy("1")]
    core.feed(trade("20", ts=START + DAY))  # -80 in all, -30 today

    assert core.of("trading.halted") == []
    assert len(core.orders) == 3


def test_a_command_halts_trading_once_and_cancels_still_pass() -> None:
    core, puppet = core_of(RiskLimits(), buy("1"))
    order = core.orders[0]
    core.feed(CommandReceived(command="dance"), CommandReceived(command="halt"), CommandReceived(command="halt"))
    do(core, puppet, buy("1"), lambda s: s.cancel(order.order_id))

    assert [e.payload["reason"] for e in core.of("trading.halted")] == ["asked for by a command"]
    assert breaches(core) == ["trading_halted"]
    assert [c.order_id for c in core.venue.cancelled] == [order.order_id]
    (breach,) = core.of("risk.limit_breached")
    assert breach.payload["detail"] == "asked for by a command"


def test_a_command_may_say_why() -> None:
    core = Core().start().feed(CommandReceived(command="halt", reason="fire drill"))
    assert core.of("trading.halted")[0].payload["reason"] == "fire drill"


def test_a_halt_by_the_kernel_closes_risk_too() -> None:
    core, puppet = core_of(RiskLimits(), buy("1"))
    core.fill(core.orders[0], "100", "2")  # more than was ordered: execution raises
    do(core, puppet, buy("1"))

    assert breaches(core) == ["trading_halted"]


def test_after_the_end_of_the_run_no_order_passes() -> None:
    class Late(Puppet):
        def on_stop(self) -> None:
            self.buy(BTC, D(1))

    core = Core({"late": Late()}).start().trades("100").stop()
    assert breaches(core) == ["trading_halted"]
    assert core.of("risk.limit_breached")[0].payload["detail"] == "the run has come to its end"


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


# -- halts that end -----------------------------------------------------------------------------------------------


def command(core: Core, name: str, reason: str = "") -> Core:
    return core.feed(CommandReceived(command=name, reason=reason))


def test_trading_goes_on_after_a_halt_by_a_command_was_resumed() -> None:
    core, puppet = core_of(RiskLimits())
    command(core, "halt", "lunch")
    do(core, puppet, buy("1"))
    assert breaches(core) == ["trading_halted"]

    command(core, "resume", "back again")
    do(core, puppet, buy("1"))

    assert len(core.orders) == 1
    assert [e.payload["reason"] for e in core.of("trading.resumed")] == ["back again"]
    (halted,) = core.of("trading.halted")
    assert halted.payload == {"reason": "lunch", "resumable": True}


def test_after_a_resumed_daily_loss_the_loss_counts_anew() -> None:
    core, puppet = core_of(RiskLimits(max_daily_loss=D(100)), buy("10"))
    core.fill(core.orders[0], "100")
    core.trades("89")
    do(core, puppet, sell("1"), price="89")
    assert len(core.of("trading.halted")) == 1
    assert len(core.orders) == 2  # it reduces the position, so it passes

    command(core, "resume")
    do(core, puppet, buy("1"), price="80")  # 90 more are lost
    assert len(core.orders) == 3
    do(core, puppet, sell("1"), price="78")
    assert len(core.of("trading.halted")) == 2


def test_a_halt_by_a_fault_stays() -> None:
    core, puppet = core_of(RiskLimits())
    command(core, "halt")
    core.feed(TradingHalted(reason="risk failed"))
    command(core, "resume")
    do(core, puppet, buy("1"))

    assert core.of("trading.resumed") == []
    assert [e.payload["message"] for e in core.of("system.warning")] == [
        "trading is not resumed, it stays halted: risk failed"
    ]
    assert breaches(core) == ["trading_halted"]


def test_there_is_nothing_to_resume_while_trading_goes_on_or_when_the_run_is_over() -> None:
    core, _ = core_of(RiskLimits())
    command(core, "resume")
    command(command(core, "halt").stop(), "resume")

    messages = [e.payload["message"] for e in core.of("system.warning")]
    assert messages[0] == "trading is not resumed, it is not halted"
    assert "stays halted" in messages[1]


def test_each_halt_gives_one_alert_whoever_halted() -> None:
    core, _ = core_of(RiskLimits())
    command(command(core, "halt", "lunch"), "halt", "still lunch")
    core.feed(TradingHalted(reason="execution failed"))

    alerts = [(e.payload["text"], e.payload["severity"]) for e in core.of("notification.alert")]
    assert alerts == [
        ("trading is halted: lunch", "critical"),
        ("trading is halted: execution failed", "critical"),
    ]


# -- cancels ------------------------------------------------------------------------------------------------------


def test_a_cancel_of_an_order_that_does_not_exist_is_refused_in_words() -> None:
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


# -- orders that only reduce a position ------------------------------------------------------------------------------


def holding(quantity: str, limits: RiskLimits, *, at_once: str = "") -> tuple[Core, Puppet]:
    """``quantity`` held, bought in steps of ``at_once``."""
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
def test_what_does_more_than_reduce_is_limited(wish: Callable[[Puppet], object]) -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, wish)
    assert breaches(core) == ["max_order_notional"]


def test_orders_on_their_way_reduce_what_may_still_be_reduced() -> None:
    core, puppet = holding("30", STRICT, at_once="10")
    do(core, puppet, sell("20"), sell("20"))
    assert breaches(core) == ["max_order_notional"]
    do(core, puppet, sell("10"))  # what is left
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


def test_an_exit_after_a_limits_halt_passes_beside_a_take_profit_that_is_partly_filled() -> None:
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


def test_a_fill_that_is_faster_than_its_cancel_lets_no_flatten_flip_the_position() -> None:
    core, puppet = holding("10", RiskLimits())
    do(core, puppet, sell("4", "200"), sell("6", "200"), buy("1", "50"))
    first, second, bid = core.orders[-3:]

    command(core, "flatten")
    assert core.orders[-1] is bid  # all that is held may still be sold by the orders on their way
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


def test_flatten_can_be_about_one_symbol_and_closes_a_short_too() -> None:
    core, _ = core_of(RiskLimits(), sell("2"))
    core.fill(core.orders[0], "100")
    core.feed(CommandReceived(command="flatten", arguments={"symbol": "ETHUSDT"}))
    assert len(core.orders) == 1
    core.feed(CommandReceived(command="flatten", arguments={"symbol": BTC}))
    assert (core.orders[-1].side, core.orders[-1].quantity) == (Side.BUY, 2)


def test_after_a_fault_only_cancels_pass() -> None:
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
