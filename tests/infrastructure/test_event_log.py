"""Events of orders, positions and risk are logged, one line each; other events on request."""

from __future__ import annotations

import io
import json
import logging
from decimal import Decimal

import pytest

from tickdeck import (
    ActionIntent,
    CandleEvent,
    CommandReceived,
    FeedDisconnected,
    InMemoryEventBus,
    NotificationAlert,
    OrderCancelRequestedEvent,
    OrderUnknownEvent,
    RiskLimitBreachedEvent,
    Side,
    SystemWarning,
    TradingHalted,
)
from tickdeck.infrastructure.event_log import ALWAYS_LOGGED, log_events
from tickdeck.infrastructure.logs import log_to

CANDLE = CandleEvent(
    symbol="BTCUSDT",
    interval=60_000_000_000,
    open=Decimal(1),
    high=Decimal(1),
    low=Decimal(1),
    close=Decimal(1),
    volume=Decimal(1),
    open_ts=60_000_000_000,
    close_ts=120_000_000_000,
)
CANCEL = OrderCancelRequestedEvent(order_id="o-1", symbol="BTCUSDT", strategy_id="mine", account_id="paper")


def logged(*events: object, topics: tuple[str, ...] = (), level: str = "info") -> list[dict[str, object]]:
    out, bus = io.StringIO(), InMemoryEventBus()
    with log_to(out, level=level):
        log_events(bus, topics)
        for event in events:
            bus.publish(event)  # type: ignore[arg-type]
    assert bus.statistics().failures == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_order_event_is_one_line_named_by_its_type_with_its_ids() -> None:
    [line] = logged(CANCEL)

    assert line["message"] == "order.cancel_requested"
    assert line["level"] == "info"
    assert line["logger"] == "tickdeck.events"
    assert (line["event_id"], line["correlation_id"]) == ("1", "1")
    assert (line["order_id"], line["strategy_id"], line["symbol"]) == ("o-1", "mine", "BTCUSDT")
    assert "reason" not in line  # it is empty


def test_a_lost_connection_and_a_command_are_logged() -> None:
    lost, told = logged(
        FeedDisconnected(feed="binance", symbols=("BTCUSDT",), reason="connection lost"),
        CommandReceived(command="halt", reason="lunch"),
    )
    assert (lost["message"], lost["feed"], lost["reason"]) == ("feed.disconnected", "binance", "connection lost")
    assert (told["message"], told["command"], told["reason"]) == ("command.received", "halt", "lunch")


def test_what_halts_trading_is_logged_too() -> None:
    [line] = logged(TradingHalted(reason="enough"))
    assert (line["message"], line["reason"]) == ("trading.halted", "enough")


def test_alerts_and_warnings_are_logged_at_their_level() -> None:
    lines = logged(
        NotificationAlert(text="trading is halted", severity="critical"),
        NotificationAlert(text="look", severity="warning"),
        NotificationAlert(text="by the way"),
        SystemWarning(component="risk", message="an order stays"),
        SystemWarning(component="surroundings", message="the process stood still"),  # logged when it was seen
    )
    assert [(line["level"], line["message"]) for line in lines] == [
        ("error", "notification.alert"),
        ("warning", "notification.alert"),
        ("info", "notification.alert"),
        ("warning", "an order stays"),
    ]
    assert lines[3]["component"] == "risk"


def test_other_events_are_logged_on_request() -> None:
    assert logged(CANDLE) == []
    [line] = logged(CANDLE, topics=("market.candle",))
    assert (line["message"], line["close"]) == ("market.candle", "1")


def test_an_event_that_two_topics_match_is_logged_once() -> None:
    assert len(logged(CANCEL, CANDLE, topics=("*", "market.*", "order.*"))) == 2


@pytest.mark.parametrize("level", ["warning", "error"])
def test_without_a_log_handler_nothing_is_subscribed(level: str) -> None:
    bus = InMemoryEventBus()
    with log_to(io.StringIO(), level=level):
        log_events(bus, ("*",))
    assert bus.statistics().handlers == ()


def test_events_that_are_not_logged_have_no_handler() -> None:
    bus = InMemoryEventBus()
    with log_to(io.StringIO(), level="info"):
        log_events(bus)
    bus.publish(CANDLE)
    assert [each.calls for each in bus.statistics().handlers] == [0] * len(ALWAYS_LOGGED)


def test_a_log_line_cannot_be_forged_by_an_events_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tickdeck.events")
    bus = InMemoryEventBus()
    log_events(bus)
    bus.publish(OrderUnknownEvent(order_id="%s %d", symbol="BTCUSDT", strategy_id="mine", account_id="paper"))
    [record] = caplog.records
    assert record.getMessage() == "order.unknown"
    assert record.fields["order_id"] == "%s %d"  # type: ignore[attr-defined]


def test_of_many_refusals_of_a_kind_the_first_is_logged_and_then_their_number() -> None:
    def refusal(number: int, limit: str = "max_order", *, later: int = 0) -> RiskLimitBreachedEvent:
        intent = ActionIntent(
            action="place", order_id=f"o-{number}", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1)
        )
        ts = number * 60_000_000_000 + later
        return RiskLimitBreachedEvent(strategy_id="dip", limit=limit, detail="too much", intent=intent, ts=ts)

    lines = logged(
        *(refusal(number) for number in range(1, 250)),
        refusal(250, "cash"),
        refusal(251, later=3_600_000_000_000),
    )

    assert [(line["limit"], line.get("refused")) for line in lines] == [
        ("max_order", None),
        ("max_order", 10),
        ("max_order", 100),
        ("cash", None),
        ("max_order", None),
    ]
