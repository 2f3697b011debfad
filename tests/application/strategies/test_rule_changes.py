"""Strategies without code that are created, changed and deleted while the run works."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import SECOND, START, Core, tick, trade
from rules_kit import HOUR, command, decided, run

from tickdeck.application.strategies import Rules
from tickdeck.domain.risk import RiskLimits


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
        ({"enter": "price > 1", "quantity": "1", "strategy_id": "risk"}, "like the orders of the risk engine"),
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
