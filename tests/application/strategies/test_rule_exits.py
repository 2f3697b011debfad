"""Stops, targets, limit orders and distances in true ranges of the strategy without code."""

from __future__ import annotations

import pytest
from application_kit import SECOND, START, D, tick, trade
from rules_kit import decided, run

from tickdeck.application.strategies import Rules
from tickdeck.domain.events import (
    CommandReceived,
    RiskLimitBreachedEvent,
    TimerFired,
    TimerSet,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.testing import run_candles


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


@pytest.mark.parametrize(("before", "enters"), [("16", True), ("9", False)])
def test_when_its_wait_is_over_it_looks_at_the_last_values_at_once(before: str, enters: bool) -> None:
    rules = Rules(enter="price > 10", exit="price < 10", quantity="1", cooldown="10s")
    core = run(rules, trade("15", ts=START))
    core.fill(core.orders[0], "15")
    core.feed(trade("9", ts=START + SECOND))
    core.fill(core.orders[1], "9")
    core.feed(trade(before, ts=core.now + SECOND))
    assert len(core.orders) == 2

    (wait,) = [event for event in core.of("timer.set") if isinstance(event, TimerSet) and event.name == "look again"]
    core.feed(TimerFired(timer_id=wait.timer_id, name=wait.name, owner=wait.owner, due=wait.due, ts_ingress=wait.due))

    assert len(core.orders) == (3 if enters else 2)


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


def test_rules_whose_stop_is_above_the_market_buy_nothing() -> None:
    core = run(Rules(enter="price > 1", quantity="1", stop_loss="700"), trade("100"), trade("101"))

    assert core.orders == []
    refused = [event.limit for event in core.tape.events if isinstance(event, RiskLimitBreachedEvent)]
    assert refused[0] == "protection"


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
