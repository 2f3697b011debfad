"""The strategy without code, on candles and in a run of hand-made events."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, START, Core, D, tick, trade

from tickdeck.application.strategies import Rules
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    SystemWarning,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.testing import run_candles

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def decided(core: Core) -> list[str]:
    return [event.reason for event in core.of("strategy.decision") if isinstance(event, StrategyDecisionEvent)]


def run(rules: Rules, *events: DomainEvent, **options: Any) -> Core:
    return Core({"dip": rules}, **options).start().feed(*events)


def test_it_buys_and_sells_when_its_conditions_hold() -> None:
    done = run_candles(Rules, [100, 95, 90, 105, 120], enter="price < 95", exit="price > 100", quantity="2")

    assert [(fill.side, fill.quantity, round(fill.price)) for fill in done.fills] == [
        ("buy", D(2), 90),
        ("sell", D(2), 105),
    ]
    assert [decision.reason for decision in done.decisions] == [
        "enter: price < 95 (price = 90)",
        "exit: price > 100 (price = 105)",
    ]
    assert not done.summary.failures


def test_a_share_of_the_equity_is_bought() -> None:
    done = run_candles(Rules, [100, 90, 90], enter="price < 95", share="5%")

    assert [round(fill.price * fill.quantity) for fill in done.fills] == [5_000]


def test_it_sells_short_with_the_side_sell() -> None:
    settings = config_from_dict({"paper": {"short_selling": True}})
    done = run_candles(
        Rules, [100, 110, 90, 90], settings=settings, side="sell", enter="price > 105", exit="price < 95", quantity="1"
    )

    assert [fill.side for fill in done.fills] == ["sell", "buy"]
    assert done.summary.pnl > 0


def test_an_average_that_warms_up_decides_nothing() -> None:
    done = run_candles(Rules, [100] * 4, enter="not (sma(3) > 1000)", quantity="1")

    assert len(done.decisions) == 1
    assert done.decisions[0].reason.endswith("(sma(3) = 100)")
    assert done.decisions[0].event_id.split("-")[0] != "2"


def test_candles_of_another_interval_are_built() -> None:
    done = run_candles(Rules, [100, 101, 102, 103, 104, 105], enter="high(2h) > 102", quantity="1")

    assert [decision.reason for decision in done.decisions] == ["enter: high(2h) > 102 (high(2h) = 103)"]


def test_it_waits_after_an_exit_and_counts_its_entries() -> None:
    closes = [100, 90, 110] * 6
    both = {"enter": "price < 95", "exit": "price > 105", "quantity": "1"}

    assert len(run_candles(Rules, closes, **both).fills) == 11
    assert len(run_candles(Rules, closes, **both, trades_a_day=2).fills) == 4
    assert len(run_candles(Rules, closes, **both, cooldown="4h").fills) < 8


def test_entries_count_anew_each_day() -> None:
    closes = [100, 90, 110] * 10  # hours

    fills = run_candles(Rules, closes, enter="price < 95", exit="price > 105", quantity="1", trades_a_day=1).fills
    assert [fill.side for fill in fills] == ["buy", "sell", "buy", "sell"]


def test_a_refused_entry_is_tried_again_after_a_minute() -> None:
    limits = RiskLimits(max_order_notional=D(10))
    core = run(Rules(enter="price > 1", quantity="1"), limits=limits)
    for n in range(130):
        core.feed(trade("14", ts=START + n * SECOND))

    assert len(decided(core)) == 3
    assert len(core.of("risk.limit_breached")) == 3
    [alert] = core.of("notification.alert")  # for each limit one
    assert "dip: risk refused an order in BTCUSDT (max_order_notional: " in alert.payload["text"]


def test_an_order_that_is_open_is_not_repeated_and_a_rejected_one_waits() -> None:
    core = run(Rules(enter="price > 1", quantity="1"), trade("14", ts=START), trade("15", ts=START))

    assert len(decided(core)) == 1
    core.feed(trade("14", ts=START + SECOND))
    assert len(decided(core)) == 1
    [order] = core.orders
    assert isinstance(order, OrderSubmittedEvent)
    core.report(order, OrderStatus.REJECTED, "no")
    core.feed(trade("14", ts=START + 2 * SECOND))
    assert len(decided(core)) == 1
    core.feed(trade("14", ts=START + 2 * MINUTE))
    assert len(decided(core)) == 2


def test_an_order_that_the_venue_ends_unfilled_is_tried_again_ever_later_with_one_alert() -> None:
    core = run(Rules(enter="price > 1", quantity="1", trades_a_day=1))
    at = []
    for minute in range(40):
        core.feed(trade("14", ts=START + minute * MINUTE))
        if len(core.orders) > len(at):
            at.append(minute)
            core.report(core.orders[-1], OrderStatus.EXPIRED, "no liquidity")
    assert at == [0, 1, 3, 7, 15, 31]  # none of them counts as an entry of the day
    [alert] = core.of("notification.alert")
    assert "dip: an order in BTCUSDT ended unfilled: expired (no liquidity); it is tried again" in alert.payload["text"]

    core.feed(trade("14", ts=START + 63 * MINUTE))
    core.fill(core.orders[-1], "14")
    core.feed(CommandReceived(command="flatten"))
    core.fill(core.orders[-1], "14")
    core.feed(trade("14", ts=START + 70 * MINUTE))
    assert len(core.orders) == 8


def test_a_short_that_others_closed_is_not_bought_back() -> None:
    rules = Rules(side="sell", enter="price > 20", exit="price < 10", quantity="2")
    core = run(rules, trade("21", ts=START), short_selling=True)
    core.fill(core.orders[0], "21")
    assert (core.orders[0].side, core.portfolio.quantity(BTC)) == ("sell", D(-2))
    core.feed(CommandReceived(command="flatten"))
    core.fill(core.orders[1], "21")

    core.feed(trade("9", ts=START + SECOND), trade("8", ts=START + HOUR))
    assert [order.side for order in core.orders] == ["sell", "buy"]
    core.feed(trade("22", ts=START + 2 * HOUR))
    assert [order.side for order in core.orders] == ["sell", "buy", "sell"]


def test_what_is_filled_during_a_pause_is_its_own() -> None:
    core = run(Rules(enter="price > 20", exit="price < 10", quantity="2"), trade("21", ts=START))
    assert command(core, "pause") == []
    core.fill(core.orders[0], "21")
    assert command(core, "activate") == []
    core.feed(trade("22", ts=START + SECOND))
    assert [order.side for order in core.orders] == ["buy"]

    core.feed(trade("9", ts=START + 2 * SECOND))
    assert [(order.side, order.quantity) for order in core.orders] == [("buy", D(2)), ("sell", D(2))]


def test_it_sells_only_what_it_bought() -> None:
    core = run(Rules(enter="position == 0", exit="position > 0", quantity="1"), trade("10", ts=START))
    core.fill(core.orders[0], "10", "1")
    core.feed(trade("10", ts=START + SECOND))

    assert [(order.side, order.quantity) for order in core.orders] == [("buy", D(1)), ("sell", D(1))]


def test_a_time_of_day_is_noticed_without_any_event() -> None:
    core = run(Rules(enter="time >= 16:00 UTC", quantity="1"), trade("10", ts=START))
    assert decided(core) == []

    core.feed(tick("9", "11", ts=START + 16 * HOUR + MS))
    assert decided(core) == ["enter: time >= 16:00 UTC (time = 16:00 UTC)"]
    assert core.orders[0].ts == START + 16 * HOUR


def test_quotes_are_the_price_of_a_market_without_trades() -> None:
    core = run(Rules(enter="price > 9", quantity="1"), tick("9", "11"))

    assert len(decided(core)) == 1


def test_a_crossing_needs_both_sides() -> None:
    core = run(Rules(enter="price crosses_above 10", quantity="1"), trade("11", ts=START))
    core.feed(trade("9", ts=START + MS), trade("10", ts=START + 2 * MS))
    assert decided(core) == []

    core.feed(trade("12", ts=START + 3 * MS))
    assert decided(core) == ["enter: price crosses_above 10 (price = 12)"]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"quantity": "1"}, "enter is missing; give the condition for an entry"),
        ({"enter": "price > ", "quantity": "1"}, "enter: condition 'price > ', column 9: the condition ends"),
        ({"enter": "price > 1"}, "the size of an entry is one of quantity, share and risk; give one of them, above 0"),
        ({"enter": "price > 1", "quantity": "0"}, "quantity, share and risk; give one of them, above 0"),
        ({"enter": "price > 1", "quantity": "1", "share": "5%"}, "quantity and share is given"),
        ({"enter": "price > 1", "quantity": "-1"}, "quantity is -1; give a number above 0"),
        ({"enter": "price > 1", "quantity": "1", "side": "long"}, "side is 'long'; give 'buy' or 'sell'"),
        ({"enter": "price > 1", "quantity": "1", "cooldown": "10"}, "cooldown: '10' is not a duration"),
        ({"enter": "price > 1", "quantity": "1", "trades_a_day": -1}, "trades_a_day is -1"),
        ({"enter": "price > 1", "quantity": "1", "stop_loss": "x"}, "stop_loss is 'x'; give a number above 0"),
        ({"enter": "price > 1", "quantity": "1", "trailing": "-1%"}, "trailing is '-1%'; give a"),
        ({"enter": "price > 1", "quantity": "1", "stop_loss": "9", "take_profit": "8"}, "the stop must be below the"),
        (
            {"enter": "price > 1", "risk": "1%"},
            "risk is the share of the equity that the stop may lose; give stop_loss",
        ),
    ],
)
def test_a_mistake_is_told_before_the_run(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match="strategy Rules: ") as caught:
        Rules(**parameters)

    assert told in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Rules(enter="rsy(1) > 1", exit="price", cooldown="x")

    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"quantity": "nan", "enter": "time >= 25:00 UTC", "trades_a_day": -1}, ["quantity", "enter", "trades_a_day"]),
        ({"quantity": "1", "enter": "price > 1", "stop_loss": "0%", "take_profit": "-3%"}, ["stop_loss", "take_pro"]),
        ({"quantity": "1", "enter": "price > 1", "stop_loss": "-5", "trailing": "101%"}, ["stop_loss", "trailing"]),
        (
            {"quantity": "1", "enter": "price > 1", "stop_loss": "2 atr", "trailing": "atr(1) 2", "offset": "x"},
            ["stop_loss: condition 'atr > 0'", "trailing is", "offset belongs", "offset is 'x'"],
        ),
        ({"quantity": "1", "enter": "price > 1", "stop_loss": "2 atr(14) > 3", "order": "x"}, ["stop_loss", "order"]),
        (
            {"quantity": "1", "enter": "price > 1", "order": "limit", "offset": "100%", "expiry": "0s", "role": "x"},
            ["role", "expiry: '0s' is too short", "offset is"],
        ),
        ({"quantity": "x", "enter": 5, "cooldown": "y", "qty": "1"}, ["quantity", "enter", "qty", "cooldown"]),
    ],
)
def test_a_mistake_hides_no_other_and_causes_no_other(parameters: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Rules(**parameters)

    assert len(caught.value.mistakes) == len(told)
    assert all(name in mistake for name, mistake in zip(told, caught.value.mistakes, strict=True))
    assert "decimal.Decimal" not in str(caught.value)


def test_all_symbols_and_strategies_that_the_run_does_not_have_are_told() -> None:
    rules = Rules(symbol="X", enter="price(Y) > 1 and pnl(dop) > 0", exit="price(Y) < 1", quantity="1")

    with pytest.raises(ConfigError) as caught:
        rules.check_names([BTC], ["dip"])

    assert [mistake[:8] for mistake in caught.value.mistakes] == ["'X' is n", "'Y' is n", "pnl(dop)"]


def test_a_symbol_that_the_run_does_not_have_is_refused() -> None:
    rules = Rules(enter="price(ETHUSDTT) > 1", quantity="1")

    with pytest.raises(ConfigError, match="'ETHUSDTT' is not a symbol of this run; did you mean 'ETHUSDT'"):
        rules.check_names([BTC, "ETHUSDT"], ["dip"])


def test_a_strategy_that_the_run_does_not_have_is_refused() -> None:
    rules = Rules(enter="pnl_pct(strategy) > -2 and pnl(dop) > 0", quantity="1")

    with pytest.raises(ConfigError, match=r"pnl\(dop\): this run has no strategy 'dop'; it has: dip"):
        rules.check_names([BTC], ["dip"])


def test_it_knows_what_it_has_earned() -> None:
    rules = Rules(enter="position == 0 and pnl(strategy) > -30", exit="profit_pct < -10", quantity="10")
    core = run(rules, trade("10", ts=START))
    core.fill(core.orders[0], "10", "10", fee="1")
    core.feed(trade("9.5", ts=START + SECOND), trade("8", ts=START + 2 * SECOND))
    core.fill(core.orders[1], "8", "10", fee="1")
    core.feed(trade("9", ts=START + 3 * SECOND))

    assert decided(core)[1] == "exit: profit_pct < -10 (profit_pct = -20)"
    assert core.profits.profit("dip") == D(-22)
    assert core.profits.percent("dip") == D("-0.022")
    assert decided(core)[2] == "enter: position == 0 and pnl(strategy) > -30 (position = 0, pnl(strategy) = -22)"
    core.fill(core.orders[2], "9", "10", fee="9", fee_currency="BNB")
    core.feed(trade("8", ts=START + 4 * SECOND))
    core.fill(core.orders[3], "8", "10")
    core.feed(trade("8", ts=START + 5 * SECOND))
    assert len(decided(core)) == 4


def test_amounts_are_decimals() -> None:
    assert Rules(enter="price > 1", share="5%").share == Decimal("0.05")


# -- stops and targets --------------------------------------------------------------------------------------------


def test_a_stop_and_a_target_close_what_it_bought() -> None:
    both = {"enter": "price crosses_below 95", "quantity": "1", "stop_loss": "5%", "take_profit": "10%"}

    lost = run_candles(Rules, [100, 90, 90, 84, 84, 84], **both)
    assert (lost.fills[0].side, round(lost.fills[0].price)) == ("buy", 90)
    assert lost.fills[1].side == "sell"
    assert 84 <= lost.fills[1].price <= D("85.5")
    won = run_candles(Rules, [100, 90, 90, 102, 102, 102], **both)
    assert [fill.side for fill in won.fills] == ["buy", "sell"]
    assert won.fills[1].price >= 98
    assert won.summary.position == {"BTCUSDT": 0}


def test_a_trailing_stop_follows_the_price() -> None:
    closes = [100, 90, 100, 120, 100, 100]
    done = run_candles(Rules, closes, enter="price crosses_below 95", quantity="1", trailing="5%")

    assert [fill.side for fill in done.fills] == ["buy", "sell"]
    assert done.fills[1].price > 100


def test_the_size_may_be_what_the_stop_risks() -> None:
    done = run_candles(Rules, [100, 100, 100], enter="price > 1", risk="0.1%", stop_loss="2%", trades_a_day=1)
    assert [fill.quantity for fill in done.fills] == [D(50)]  # 50 x 100 x 2 % is a thousandth of 100,000

    done = run_candles(Rules, [100, 100, 100], enter="price > 1", risk="0.1%", stop_loss="95", trades_a_day=1)
    assert [fill.quantity for fill in done.fills] == [D(20)]


def test_an_exit_that_waits_for_the_order_of_the_stop_is_not_repeated() -> None:
    core = run(Rules(enter="position == 0", exit="price > 11", quantity="1", stop_loss="5%"), trade("10", ts=START))
    core.fill(core.orders[0], "10", "1")
    core.feed(trade("12", ts=START + SECOND), trade("13", ts=START + 2 * SECOND), trade("14", ts=START + 3 * SECOND))

    assert len(decided(core)) == 2
    stop = core.orders[1]
    assert (stop.side, stop.quantity) == ("sell", D(1))
    core.report(stop, OrderStatus.CANCELLED)
    assert [order.side for order in core.orders] == ["buy", "sell", "sell"]
    core.feed(trade("15", ts=START + 4 * SECOND))
    assert len(decided(core)) == 2


def test_it_waits_after_a_stop_too() -> None:
    parameters = {"enter": "price < 95", "quantity": "1", "stop_loss": "2%", "cooldown": "100h"}

    done = run_candles(Rules, [100, 90, 90, 80, 80, 80, 80], **parameters)
    assert [fill.side for fill in done.fills] == ["buy", "sell"]


def test_it_waits_after_an_exit_by_others_too() -> None:
    core = run(Rules(enter="price > 1", quantity="1", cooldown="10s"), trade("10", ts=START))
    core.fill(core.orders[0], "10")
    core.feed(CommandReceived(command="flatten"))
    core.fill(core.orders[1], "10")
    for second in (1, 5, 9):
        core.feed(trade("10", ts=START + second * SECOND))
    assert [order.side for order in core.orders] == ["buy", "sell"]

    core.feed(trade("10", ts=START + 10 * SECOND))
    assert [order.side for order in core.orders] == ["buy", "sell", "buy"]


# -- limit orders -------------------------------------------------------------------------------------------------


def test_it_enters_with_a_limit_and_cancels_it_after_a_while() -> None:
    rules = Rules(enter="price > 1", quantity="1", order="limit", offset="10%", expiry="30s", trades_a_day=1)
    core = run(rules, trade("100", ts=START))
    assert [(order.side, order.limit) for order in core.orders] == [("buy", D(90))]
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    core.feed(trade("101", ts=START + 29 * SECOND))
    assert len(core.venue.cancelled) == 0
    core.feed(tick("1", "2", ts=START + 31 * SECOND))  # its own timer is due
    assert len(core.venue.cancelled) == 1

    core.report(core.orders[0], OrderStatus.CANCELLED)
    core.feed(trade("200", ts=START + 32 * SECOND))
    assert [order.limit for order in core.orders] == [D(90), D(180)]
    assert core.of("notification.alert") == []


def test_what_is_left_of_an_entry_is_cancelled_before_the_exit() -> None:
    rules = Rules(side="sell", enter="price > 50", exit="price < 10", quantity="2", order="limit", offset="5")
    core = run(rules, trade("60", ts=START), short_selling=True)
    assert [(order.side, order.limit) for order in core.orders] == [("sell", D(65))]
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    core.fill(core.orders[0], "65", "0.5")
    core.feed(trade("9", ts=START + SECOND), trade("8", ts=START + 2 * SECOND))
    assert (len(core.orders), len(core.venue.cancelled)) == (1, 1)

    core.report(core.orders[0], OrderStatus.CANCELLED, filled="0.5")
    core.feed(trade("8", ts=START + 3 * SECOND))
    assert [(order.side, order.quantity, order.limit) for order in core.orders[1:]] == [("buy", D("0.5"), None)]


def test_a_limit_below_0_is_told_once() -> None:
    core = run(Rules(enter="price > 1", quantity="1", order="limit", offset="50"), trade("40", ts=START))
    core.feed(trade("41", ts=START + SECOND))

    assert core.orders == []
    [alert] = core.of("notification.alert")
    assert alert.payload["text"].startswith("dip: no entry in BTCUSDT: its limit would be -10; it is tried again")


# -- distances in true ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_stop_and_target_may_be_multiples_of_the_average_true_range(side: str) -> None:
    rules = Rules(
        enter="price > 1",
        side=side,
        risk="1%",
        stop_loss="2 atr(1, 1s)",
        take_profit="3*atr(1,1s)",
        trailing="1.5 atr(1,1s)",
    )
    core = run(rules, short_selling=True)
    core.feed(trade("100", ts=START), trade("103", ts=START + SECOND))
    assert core.orders == []  # the first range is known after the second candle

    core.feed(trade("100", ts=START + 2 * SECOND))
    [order] = core.orders
    assert order.quantity == D("166.666")  # 1 % of 100,000 over 2 x 3
    [protection] = core.of("protection.set")
    terms = protection.payload["terms"]
    below, above = D(94 if side == "buy" else 91), D(109 if side == "buy" else 106)
    assert D(terms["stop_loss"]) == (below if side == "buy" else above)
    assert D(terms["take_profit"]) == (above if side == "buy" else below)
    assert D(terms["trailing"]) > 0


def test_its_role_is_that_of_its_events() -> None:
    core = run(Rules(enter="price > 1", quantity="1", role="management"), trade("10", ts=START))

    assert {event.role for event in core.tape.events if isinstance(event, StrategyDecisionEvent)} == {"management"}
    [told] = command(core, "update", role="exit")
    assert "symbol, side and role stay while it runs; delete the strategy, and create another" in told


# -- while the run works ------------------------------------------------------------------------------------------


def command(core: Core, name: str, **arguments: str) -> list[str]:
    """Send a command about ``dip``. Returns what the run did not do, and why."""
    before = core.kernel.seq
    core.feed(CommandReceived(command=f"strategy-{name}", arguments={"strategy_id": "dip", **arguments}))
    return [e.message for e in core.tape.events if isinstance(e, SystemWarning) and e.seq > before]


def test_a_condition_is_changed_while_the_run_works() -> None:
    core = run(Rules(enter="price > 100 and time >= 00:00 UTC", quantity="1"), trade("10", ts=START))

    assert command(core, "update", enter="bid > 5") == []
    core.feed(tick("9", "11", ts=START + SECOND))
    assert decided(core) == ["enter: bid > 5 (bid = 9)"]


def test_a_change_that_the_run_cannot_make_leaves_everything_as_it_was() -> None:
    core = run(Rules(enter="price > 100", quantity="1"), trade("10", ts=START))

    for changes, told in (
        ({"enter": "price >"}, "strategy dip: enter: "),
        ({"enter": "price >"}, "column 8"),
        ({"enter": "rsi(14) < 30"}, "rsi(14) is not computed in this run; only what the configuration names is"),
        ({"enter": "close(1h) < 30"}, "this run builds no candles of 1h"),
        ({"enter": "price(ETHUSDT) < 30"}, "'ETHUSDT' is not a symbol of this run"),
        ({"enter": "pnl(strategy) < 30"}, "this run does not follow what strategies earn"),
        ({"side": "sell"}, "symbol, side and role stay while it runs"),
    ):
        [warning] = command(core, "update", **changes)
        assert told in warning
    core.feed(trade("101", ts=START + SECOND))
    assert decided(core) == ["enter: price > 100 (price = 101)"]


def test_a_strategy_is_created_and_deleted_while_the_run_works() -> None:
    core = Core({}).start().feed(trade("10", ts=START))

    assert command(core, "create", enter="price > 9 and position == 0", exit="price > 11", quantity="1") == []
    assert decided(core) == ["enter: price > 9 and position == 0 (price = 10, position = 0)"]
    [created] = core.of("strategy.created")
    assert (created.payload["created_by"], created.payload["strategy_type"]) == ("command", "Rules")
    core.fill(core.orders[0], "10", "1")
    core.feed(trade("12", ts=START + SECOND))
    assert [order.side for order in core.orders] == ["buy", "sell"]
    assert command(core, "delete") == []
    assert core.strategies.definitions == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"quantity": "1"}, "strategy dip: enter is missing"),
        ({"enter": "price > 1", "quantity": "1", "strategy_id": "a b"}, "'a b' is no name"),
        ({"enter": "price > 1", "quantity": "1", "strategy_id": "operator"}, "like the orders of commands"),
        ({"enter": "price > 1", "quantity": "1", "symbol": "X"}, "'X' is not a symbol of this run"),
        ({"enter": "price > 1", "quantity": "1", "spec": "ema-cross"}, "strategy dip has no parameter 'spec'"),
        ({"enter": "ema(5, 1m) > 1", "quantity": "1"}, "ema(5, 1m) is not computed in this run"),
    ],
)
def test_a_strategy_that_the_run_cannot_have_is_refused(arguments: dict[str, str], told: str) -> None:
    core = Core({}).start()

    [warning] = command(core, "create", **arguments)

    assert told in warning
    assert core.strategies.strategies == {}
    assert "taken" not in warning


def test_a_name_is_taken_once() -> None:
    core = run(Rules(enter="price > 100", quantity="1"))

    assert command(core, "create", enter="price > 1", quantity="1") == [
        "strategy-create: there is a strategy 'dip' already; update or delete it"
    ]


def test_rules_whose_stop_is_above_the_market_buy_nothing() -> None:
    core = run(Rules(enter="price > 1", quantity="1", stop_loss="700"), trade("100"), trade("101"))

    assert core.orders == []
    refused = [event.limit for event in core.tape.events if isinstance(event, RiskLimitBreachedEvent)]
    assert refused[0] == "protection"


def test_it_knows_which_values_the_market_data_was_too_short_for() -> None:
    core = run(Rules(enter="vwap(3) > 1 and price > 100 and profit_pct > 1", quantity="1"))
    rules = core.strategies.strategies["dip"]
    assert isinstance(rules, Rules)

    core.feed(trade("10", ts=START), trade("10", ts=START + SECOND))
    assert rules.without_value() == ["vwap(3)"]
    core.feed(trade("10", ts=START + 2 * SECOND))
    assert rules.without_value() == []


def opposite(**settings: Any) -> Core:
    """A strategy that is long while the price is below 95, and one that is short while it is above 105."""
    long = Rules(enter="price < 95", exit="price > 120", quantity="1", **settings)
    short = Rules(enter="price > 105", exit="price < 80", quantity="1", side="sell")
    return Core({"long": long, "short": short}, limits=RiskLimits(), short_selling=True).start()


def test_strategies_on_opposite_sides_do_not_cut_each_other() -> None:
    core = opposite()
    sides = []
    for number, price in enumerate(("90", "110", "110", "90", "125", "70")):
        before = len(core.orders)
        core.feed(trade(price, ts=START + (number + 1) * HOUR))
        for order in core.orders[before:]:
            core.fill(order, price)
            sides.append((order.strategy_id, order.side.value))

    assert sides == [("long", "buy"), ("short", "sell"), ("long", "sell"), ("long", "buy"), ("short", "buy")]


def test_a_pair_on_opposite_sides_with_a_stop_is_refused_in_one_line() -> None:
    core = opposite()
    parameters = {"enter": "price < 95", "quantity": "1", "stop_loss": "2%"}
    core.feed(CommandReceived(command="strategy-create", arguments={"strategy_id": "dip"} | parameters))
    core.feed(CommandReceived(command="strategy-update", arguments={"strategy_id": "long", "stop_loss": "2%"}))

    created, updated = [event.message for event in core.of("system.warning") if isinstance(event, SystemWarning)]
    assert "strategies short and dip trade BTCUSDT of one account on opposite sides" in created
    assert "strategies long and short trade BTCUSDT of one account on opposite sides" in updated
    assert list(core.strategies.strategies) == ["long", "short"]


def test_a_pause_leaves_one_timer_for_a_time_of_day() -> None:
    core = run(Rules(enter="time >= 16:00 UTC", quantity="1"), trade("10"))
    for command in ("pause", "activate") * 3:
        core.feed(CommandReceived(command=f"strategy-{command}", arguments={"strategy_id": "dip"}))
    assert len(core.of("timer.set")) == 1

    core.feed(trade("10", ts=START + 17 * HOUR))
    assert [event.ts for event in core.of("strategy.decision")] == [START + 16 * HOUR]
    core.feed(CommandReceived(command="strategy-pause", arguments={"strategy_id": "dip"}))
    core.feed(trade("10", ts=START + 30 * HOUR))
    core.feed(CommandReceived(command="strategy-activate", arguments={"strategy_id": "dip"}))
    due = [event.payload["due"] for event in core.of("timer.set") if event.payload["name"] == "time of day"]
    assert due == [START + 16 * HOUR, START + 24 * HOUR, START + 40 * HOUR]


def test_an_update_sets_the_timer_for_its_time_of_day() -> None:
    core = run(Rules(enter="price > 100", quantity="1"), trade("10"))
    assert command(core, "update", enter="time >= 18:00 UTC") == []
    assert command(core, "update", enter="time >= 16:00 UTC") == []
    core.feed(tick("9", "11", ts=START + 19 * HOUR))

    assert [event.ts for event in core.of("strategy.decision")] == [START + 16 * HOUR]
    fired = [event.ts for event in core.of("timer.fired") if event.payload["name"] == "time of day"]
    assert fired == [START + 16 * HOUR]  # that of 18:00 was cancelled


def test_an_update_to_a_condition_that_holds_enters_at_once() -> None:
    core = run(Rules(enter="price > 100", quantity="1"), trade("10", ts=START + 17 * HOUR))
    assert command(core, "update", enter="time >= 16:00 UTC") == []

    assert decided(core) == ["enter: time >= 16:00 UTC (time = 17:00 UTC)"]


def test_an_update_without_a_time_of_day_cancels_the_timer() -> None:
    core = run(Rules(enter="time >= 16:00 UTC", quantity="1"), trade("10"))
    assert command(core, "update", enter="price > 100") == []
    core.feed(tick("9", "11", ts=START + 19 * HOUR))

    assert core.of("timer.fired") == []


def test_an_update_during_a_pause_waits_for_its_end() -> None:
    core = run(Rules(enter="price > 100", quantity="1"), trade("10"))
    command(core, "pause")
    assert command(core, "update", enter="time >= 16:00 UTC") == []
    assert core.of("timer.set") == []
    command(core, "activate")
    core.feed(tick("9", "11", ts=START + 19 * HOUR))

    assert [event.ts for event in core.of("strategy.decision")] == [START + 16 * HOUR]


def test_rules_that_are_created_while_the_run_works_notice_a_time_of_day() -> None:
    core = Core({}).start().feed(trade("10"))
    assert command(core, "create", enter="time >= 16:00 UTC", quantity="1") == []
    core.feed(tick("9", "11", ts=START + 19 * HOUR))

    assert [event.ts for event in core.of("strategy.decision")] == [START + 16 * HOUR]


@pytest.mark.parametrize("role", ["boss", "Exit", ""])
def test_an_unknown_role_is_told_with_those_there_are(role: str) -> None:
    with pytest.raises(ConfigError, match=f"parameter role={role!r}: give entry or exit or management"):
        Rules(enter="price > 1", quantity="0.01", role=role)


@pytest.mark.parametrize("name", ["stop_loss", "take_profit", "trailing"])
def test_a_percentage_without_its_sign_enters_nothing(name: str) -> None:
    side = "sell" if name == "take_profit" else "buy"
    rules = Rules(enter="price > 1", quantity="1", side=side, **{name: "2"})
    core = run(rules, trade("61826"), trade("61827"), short_selling=True)

    assert core.orders == []
    [alert] = core.of("notification.alert")
    kind = "amount" if name == "trailing" else "price"
    assert alert.payload["text"] == (
        f"dip: no entry in BTCUSDT: its {name} is the {kind} 2, at a price of 61826; a percentage is written as 2%; "
        "it is tried again, without another alert"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"enter": "1 > 0"}, "enter: condition '1 > 0', column 1: nothing in 1 > 0 ever changes"),
        ({"exit": "rsi(14) > 200"}, "exit: condition 'rsi(14) > 200', column 1: rsi(14) > 200 never holds"),
        ({"stop_loss": "58000"}, "stop_loss is the amount 58000, and the strategy trades 2 symbols; give a percentage"),
    ],
)
def test_what_cannot_mean_what_it_says_is_refused(given: dict[str, str], told: str) -> None:
    rules = Rules(**{"enter": "price > 1", "quantity": "1"} | given)

    with pytest.raises(ConfigError, match=re.escape(told)):
        rules.check_meaning((BTC, "ETHUSDT"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2 ATR(14,1h)", "names are written in small letters: 2 atr(14,1h)"),
        (
            "2 rsi(14, 1h)",
            "write a multiple of an average true range as 2 atr(14, 1h), or give a percentage such as 2%",
        ),
        ("two", "write a multiple of an average true range as 2 atr(14, 1h), or give a percentage such as 2%"),
    ],
)
def test_a_distance_with_a_name_is_told_how_a_range_is_written(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"stop_loss is {text!r}; {told}")):
        Rules(enter="price > 1", quantity="1", stop_loss=text)
