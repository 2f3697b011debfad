"""Triggers in a run: what they see, what follows, and what they cost."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from application_kit import BTC, SECOND, START, Core, D, tick, trade
from trigger_kit import HOUR, Quiet, command, fired, run, topics, wish

from tickdeck.application.engines.trigger_values import WatchedTrigger
from tickdeck.application.strategies import Rules, describe_values
from tickdeck.domain.conditions import parse_condition
from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    NotificationAlert,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
    TriggerFired,
    VenueBalanceReported,
)
from tickdeck.domain.trading import TriggerStatus
from tickdeck.errors import ConfigError


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("close BTCUSDT", "close: there is no position and no open order in BTCUSDT"),
        ("buy BTCUSDT 0.0000001", "risk refused it: instrument: "),
        ("activate quiet", "strategy-activate: strategy 'quiet' is not paused"),
    ],
)
def test_what_follows_a_trigger_and_is_refused_is_alerted(then: str, why: str) -> None:
    core = run(wish("price crosses_above 10", then), wish("price crosses_above 11", "halt", name="h"))
    core.trades("9", "10", "11", "12")

    [first, *_] = [event.text for event in core.tape.events if isinstance(event, NotificationAlert)]
    assert first.startswith("trigger t: price crosses_above 10 (price = 11): ")
    assert why in first


def alerts(core: Core) -> list[str]:
    return [event.text for event in core.tape.events if isinstance(event, NotificationAlert)]


def test_of_refusals_of_a_kind_the_first_the_tenth_and_so_on_are_alerted_until_the_trigger_is_changed() -> None:
    core = run(wish("price > 10", "buy BTCUSDT 0.0000001", once=False, every="1s"))
    for _ in range(12):
        core.trades("9", "11")

    first, tenth = alerts(core)
    assert "times by now" not in first
    assert tenth.endswith(" (refused 10 times by now; the next alert is after 100)")
    restored = Core({"quiet": Quiet()}, triggers=(wish("price > 10", "buy BTCUSDT 0.0000001", once=False, every="1s"),))
    for event in core.tape.events:
        restored.triggers.recall(event)
    assert vars(restored.triggers._refusals._repeats) == vars(core.triggers._refusals._repeats)

    command(core, "update", every="2s")
    core.trades("9", "11", "9", "11")
    assert len(alerts(core)) == 3
    core.feed(trade("9", ts=core.now + HOUR)).trades("11")
    assert len(alerts(core)) == 4


def test_a_trigger_fires_at_the_trade_that_makes_its_condition_true() -> None:
    core = run(wish("price crosses_above 10", "halt")).trades("9", "10", "11", "12")

    assert fired(core) == [("t", {"price": "11"})]
    assert core.triggers.triggers["t"].status is TriggerStatus.FIRED
    [halted] = core.of("trading.halted")
    chain = {event.event_id: event for event in core.tape.events}
    asked = chain[halted.causation_id]
    assert isinstance(asked, CommandReceived)
    assert asked.reason == "trigger t: price crosses_above 10 (price = 11)"
    assert chain[asked.causation_id].event_type == "trigger.fired"
    assert chain[chain[asked.causation_id].causation_id].event_type == "market.trade"


def test_it_fires_each_time_with_a_pause() -> None:
    core = run(wish("price > 10", once=False, every="3s"))
    core.trades("11", "9", "11", "9", "11", "9", "12")  # a second apart

    assert [values["price"] for _, values in fired(core)] == ["11", "11"]
    assert len(core.of("notification.alert")) == 2


@pytest.mark.parametrize(
    ("then", "effect"),
    [
        ("notify watch out", "notification.alert"),
        ("halt", "trading.halted"),
        ("pause quiet", "strategy.paused"),
        ("buy BTCUSDT 0.5", "order.submitted"),
        ("sell BTCUSDT 0.5 at 20", "strategy.decision"),
        ("cancel", "command.received"),
    ],
)
def test_what_follows_is_done_in_the_same_cascade(then: str, effect: str) -> None:
    core = run(wish("price > 10", then)).trades("11")

    [happened] = [event for event in core.of(effect) if event.event_id.startswith(fired_id(core))]
    assert happened.event_type == effect


def fired_id(core: Core) -> str:
    return core.of("trigger.fired")[0].event_id


def test_an_alert_without_a_text_has_the_condition_and_its_values() -> None:
    core = run(wish("price > 10")).trades("11")

    [alert] = core.of("notification.alert")
    assert alert.payload["text"] == "trigger t: price > 10 (price = 11)"


def test_an_order_of_a_trigger_passes_risk_and_is_refused_while_trading_is_halted() -> None:
    core = run(wish("price > 10", "halt", "a"), wish("price > 11", "buy BTCUSDT 1", "b")).trades("11", "12")

    assert len(fired(core)) == 2
    assert core.orders == []
    assert len(core.of("risk.limit_breached")) == 1


def test_a_position_and_the_equity_are_inputs_too() -> None:
    core = run(wish("position(BTCUSDT) > 0", name="held"), wish("equity < 99950", name="lost")).trades("10")
    assert fired(core) == []

    core.feed(CommandReceived(command="submit", arguments={"side": "buy", "symbol": BTC, "quantity": "100"}))
    core.fill(core.orders[0], "10", "100")
    assert fired(core) == [("held", {"position(BTCUSDT)": "100"})]
    core.trades("9")
    assert fired(core)[1:] == [("lost", {"equity": "99900"})]


def test_the_equity_is_unknown_before_the_account_is() -> None:
    core = Core({}, triggers=[wish("equity < 200000", "halt")])
    core.feed(*Core({}).start().tape.events[:1])  # run.started
    core.feed(VenueBalanceReported(currency="BTC", total=D(1), source="scripted"))
    core.feed(VenueBalanceReported(currency="USDT", total=D(1), source="scripted"))
    core.feed(trade("11", symbol="ETHUSDT"))

    assert fired(core) == []
    core.feed(trade("300000"))
    assert fired(core) == []
    core.feed(trade("150000"))
    assert fired(core) == [("t", {"equity": "150001"})]


def test_signals_and_candles_are_inputs_too() -> None:
    core = Core({}, triggers=[wish("sma(2) > 10 and price > 0")], candles=SECOND, signals=["sma-2"]).start()

    core.trades("9", "9", "20", "20", "20")
    assert fired(core) == [("t", {"sma(2)": "14.5", "price": "20"})]


def test_a_time_of_day_is_noticed_by_a_timer() -> None:
    core = run(wish("time >= 16:00 UTC", "buy BTCUSDT 1")).trades("10")
    assert fired(core) == []

    core.feed(trade("10", ts=START + 16 * HOUR + SECOND))
    assert core.of("trigger.fired")[0].ts == START + 16 * HOUR
    assert core.orders[0].ts == START + 16 * HOUR


def test_a_time_of_day_begins_again_each_day() -> None:
    core = run(wish("time >= 16:00 UTC", once=False)).trades("10")
    for day in range(3):
        core.feed(trade("10", ts=START + 24 * HOUR * day + 17 * HOUR))

    assert [event.ts for event in core.of("trigger.fired")] == [START + (24 * day + 16) * HOUR for day in range(3)]


def test_a_trigger_expires() -> None:
    core = run(wish("price > 10", expires="5s")).trades("9")
    core.feed(trade("9", ts=START + 4 * SECOND))
    assert core.of("trigger.expired") == []

    core.feed(trade("11", ts=START + 6 * SECOND))
    assert core.triggers.triggers["t"].status is TriggerStatus.EXPIRED
    assert fired(core) == []
    assert core.of("trigger.expired")[0].ts == START + 5 * SECOND


def test_a_trigger_that_fired_has_no_timer_any_more() -> None:
    core = run(wish("price > 10", expires="5s")).trades("11")

    assert len(core.of("timer.cancelled")) == 1
    core.feed(trade("11", ts=START + 6 * SECOND))
    assert core.of("trigger.expired") == []


def test_a_trigger_ends_before_an_event_at_the_very_time() -> None:
    core = run(wish("price > 10", expires="5s")).trades("9")
    core.feed(trade("11", ts=START + 5 * SECOND))

    assert core.triggers.triggers["t"].status is TriggerStatus.EXPIRED
    assert fired(core) == []


def test_a_trigger_that_ends_at_a_time_of_day_hides_it_from_no_other() -> None:
    core = run(wish("price > 10", name="a", expires="16h"), wish("time >= 16:00 UTC", name="b")).trades("9")
    core.feed(trade("9", ts=START + 17 * HOUR))

    assert [event.ts for event in core.of("trigger.fired")] == [START + 16 * HOUR]


def test_many_triggers_fire_at_one_event_without_looking_at_all_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    core = run(*(wish(f"price > {n}", name=f"t{n}", expires="1h") for n in range(10, 40))).trades("9")
    watched: list[int] = []
    watch = core.triggers._inputs.watch

    def counted(some: Collection[WatchedTrigger]) -> None:
        watched.append(len(some))
        watch(some)

    monkeypatch.setattr(core.triggers._inputs, "watch", counted)
    core.trades("30.5")

    assert len(fired(core)) == 21
    assert watched == [9]
    assert len(core.of("timer.cancelled")) == 21


def test_a_trigger_that_is_over_when_the_run_begins_never_fires() -> None:
    core = run(wish("time >= 00:00 UTC", "halt", expires="2020-01-01T00:00:00Z")).trades("9")

    assert core.triggers.triggers["t"].status is TriggerStatus.EXPIRED
    assert fired(core) == []
    assert core.of("timer.set") == []


def test_triggers_fire_in_the_order_in_which_they_were_made_and_an_updated_one_last() -> None:
    core = run(*(wish("price > 10", "notify", name) for name in "cab")).trades("9")
    command(core, "update", "c", then="halt")
    core.trades("11")

    assert [name for name, _ in fired(core)] == ["a", "b", "c"]


def test_the_order_of_one_trigger_fires_another() -> None:
    core = run(wish("price > 10", "buy BTCUSDT 1", "a"), wish("position > 0", "sell BTCUSDT 1", "b")).trades("11")
    core.fill(core.orders[0], "11", "1")

    assert [name for name, _ in fired(core)] == ["a", "b"]
    assert [order.side for order in core.orders] == ["buy", "sell"]


def test_a_night_is_a_time_across_midnight() -> None:
    core = run(wish("time >= 22:00 UTC or time < 06:00 UTC", once=False))
    core.feed(*(trade("10", ts=START + hour * HOUR) for hour in range(1, 60)))

    assert [(event.ts - START) // HOUR for event in core.of("trigger.fired")] == [0, 22, 46]


def test_a_value_too_large_to_be_rounded_is_shown_with_an_exponent() -> None:
    condition = parse_condition("signal(x) > 1")

    assert describe_values(condition, lambda _: D("1.5E+20")) == {"signal(x)": "1.5E+20"}
    assert describe_values(condition, lambda _: D("12E+15")) == {"signal(x)": "12000000000000000"}


def test_what_a_strategy_earns_is_an_input() -> None:
    core = Core({"dip": Rules(enter="price > 1", quantity="100")}, triggers=[wish("pnl_pct(dip) < -1", "pause dip")])
    core.start(cash="10000").trades("10")
    core.fill(core.orders[0], "10", "100", fee="0.5", fee_currency="BTC")
    assert core.profits.profit("dip") == D("-5")
    core.trades("9.5")
    assert fired(core) == []
    assert core.profits.profit("dip") == D("-54.75")

    core.trades("9")
    assert fired(core) == [("t", {"pnl_pct(dip)": "-1.045"})]
    assert core.strategies.paused == ["dip"]


def test_the_profit_of_the_account_s_position_is_an_input() -> None:
    core = run(wish("profit_pct > 5")).trades("10")
    core.feed(CommandReceived(command="submit", arguments={"side": "buy", "symbol": BTC, "quantity": "1"}))
    core.fill(core.orders[0], "10", "1")
    core.trades("10.4", "10.6")

    assert fired(core) == [("t", {"profit_pct": "6"})]


# -- what it costs ------------------------------------------------------------------------------------------------


def test_without_triggers_no_market_event_reaches_the_engine() -> None:
    assert topics(run().trades("10")) == set()


def test_only_the_events_that_matter_reach_the_engine() -> None:
    core = run(wish("price > 10"))
    assert topics(core) == {TradeEvent, TickEvent, CandleEvent, OrderBookEvent, OrderBookDeltaEvent}

    core.feed(tick("9", "9.5"))
    core.trades("9")
    core.feed(tick("9", "9.5", ts=core.now))
    assert topics(core) == {TradeEvent, CandleEvent}
    core.trades("11")
    assert topics(core) == set()  # it fired


def test_a_market_of_quotes_alone_is_watched() -> None:
    core = run(wish("price > 10"), wish("bid > 100", name="bid")).feed(tick("9", "9.5"), tick("11", "12"))

    assert fired(core) == [("t", {"price": "11.5"})]


def test_a_value_that_does_not_change_publishes_nothing() -> None:
    core = run(wish("price > 10")).trades("9", "8", "7", "9")

    assert core.types().count("trigger.evaluated") == 1


# -- from the record ----------------------------------------------------------------------------------------------


def test_the_state_is_restored_from_the_record() -> None:
    wishes = (
        wish("price crosses_above 10 or price crosses_below 5", once=False, every="2s"),
        wish("price > 9", name="once", expires="1h"),
        wish("time >= 16:00 UTC", name="time"),
    )
    core = run(*wishes).trades("9", "11", "12")
    command(core, "create", "late", when="price > 11", then="notify", expires="2h")
    command(core, "create", "cross", when="price crosses_above 20", then="notify")
    command(core, "create", "gone", when="price > 99", then="notify")
    command(core, "delete", "gone")

    restored = Core({"quiet": Quiet()}, triggers=wishes)
    for event in core.tape.events:
        if isinstance(event, TradeEvent):
            restored.market_data.on_trade(event)
        restored.triggers.recall(event)

    assert state(restored) == state(core)
    assert restored.tape.events == []


def state(core: Core) -> dict[str, Any]:
    engine = core.triggers
    triggers = {
        name: (one.status, one.settings, one.created_by, one.holds, one.fired, one.fired_ts)
        for name, one in engine.triggers.items()
    }
    sides = {name: watched.evaluator.sides for name, watched in engine._watched.items()}
    return {"triggers": triggers, "sides": sides, "timers": engine._timers, "topics": topics(core)}


def test_a_trigger_that_the_run_cannot_have_hides_no_other() -> None:
    wishes = [wish("price(XRPUSDT) > 1", name="a"), wish("price > 1", "pause loud", name="b")]

    with pytest.raises(ConfigError) as caught:
        Core({"quiet": Quiet()}, triggers=wishes)

    assert [mistake.split(":")[0] for mistake in caught.value.mistakes] == ["trigger a", "trigger b"]


def test_it_knows_which_values_the_market_data_was_too_short_for() -> None:
    core = run(wish("sma(2) > 10 and price > 0"), candles=SECOND, signals=["sma-2"])

    assert core.triggers.without_value() == {"t": ["sma(2)"]}


@pytest.mark.parametrize(("then", "account"), [("pause quiet", None), ("halt", "alice")])
def test_what_follows_names_the_account_unless_it_is_about_a_strategy(then: str, account: str | None) -> None:
    core = run()
    core.triggers.on_fired(TriggerFired(trigger_id="t", when="price > 1", then=then, number=1, account="alice"))

    (sent,) = [event for event in core.tape.events if isinstance(event, CommandReceived)]
    assert sent.arguments.get("account") == account
