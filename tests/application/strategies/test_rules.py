"""The strategy without code, on candles and on hand-made events: when it enters and exits, and when it waits."""

from __future__ import annotations

from application_kit import BTC, MS, SECOND, START, D, tick, trade
from rules_kit import HOUR, MINUTE, command, decided, run

from tickdeck.application.strategies import Rules
from tickdeck.domain.events import (
    CommandReceived,
    OrderSubmittedEvent,
    StrategyDecisionEvent,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.testing import run_candles


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


def test_its_role_is_that_of_its_events() -> None:
    core = run(Rules(enter="price > 1", quantity="1", role="management"), trade("10", ts=START))

    assert {event.role for event in core.tape.events if isinstance(event, StrategyDecisionEvent)} == {"management"}
    [told] = command(core, "update", role="exit")
    assert "symbol, side and role stay while it runs; delete the strategy, and create another" in told


def test_it_knows_which_values_the_market_data_was_too_short_for() -> None:
    core = run(Rules(enter="vwap(3) > 1 and price > 100 and profit_pct > 1", quantity="1"))
    rules = core.strategies.strategies["dip"]
    assert isinstance(rules, Rules)

    core.feed(trade("10", ts=START), trade("10", ts=START + SECOND))
    assert rules.without_value() == ["vwap(3)"]
    core.feed(trade("10", ts=START + 2 * SECOND))
    assert rules.without_value() == []


def test_a_pause_leaves_one_timer_for_a_time_of_day() -> None:
    core = run(Rules(enter="time >= 16:00 UTC", quantity="1"), trade("10"))
    for what in ("pause", "activate") * 3:
        core.feed(CommandReceived(command=f"strategy-{what}", arguments={"strategy_id": "dip"}))
    assert len(core.of("timer.set")) == 1

    core.feed(trade("10", ts=START + 17 * HOUR))
    assert [event.ts for event in core.of("strategy.decision")] == [START + 16 * HOUR]
    core.feed(CommandReceived(command="strategy-pause", arguments={"strategy_id": "dip"}))
    core.feed(trade("10", ts=START + 30 * HOUR))
    core.feed(CommandReceived(command="strategy-activate", arguments={"strategy_id": "dip"}))
    due = [event.payload["due"] for event in core.of("timer.set") if event.payload["name"] == "time of day"]
    assert due == [START + 16 * HOUR, START + 24 * HOUR, START + 40 * HOUR]
