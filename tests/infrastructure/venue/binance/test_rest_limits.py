"""The rate limits of the REST API, and its answers while faults happen."""

from __future__ import annotations

import pytest
from rest_desk import NOW, SECOND, D, Desk, body, error

from tickdeck.infrastructure.venue.dialects.binance import RateLimits
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.limits import Limits


def test_weight_is_in_the_headers_and_too_much_of_it_gives_429_then_a_ban() -> None:
    desk = Desk(rates=RateLimits(weight=50))

    first = desk.send("GET", "exchangeInfo")
    statuses = [desk.send("GET", "exchangeInfo").status for _ in range(4)]
    last = desk.send("GET", "ping")

    assert first.headers["x-mbx-used-weight-1m"] == "20"
    assert statuses == [200, 429, 418, 418]
    assert int(last.headers["retry-after"]) > 120
    desk.time += 3_600 * SECOND
    assert desk.send("GET", "ping").status == 200


def test_requests_during_the_wait_of_a_429_lead_to_a_ban() -> None:
    desk = Desk(rates=RateLimits(weight=10))
    limited = desk.send("GET", "exchangeInfo")

    desk.time += int(limited.headers["retry-after"]) * SECOND

    assert limited.status == 429
    assert desk.send("GET", "ping").status == 200


def test_placing_weighs_nothing_unless_it_fails() -> None:
    desk = Desk()
    assert desk.order().headers["x-mbx-used-weight-1m"] == "0"
    assert desk.order().headers["x-mbx-used-weight-1m"] == "1"


def test_unfilled_orders_are_counted_by_account_and_fills_lower_the_count() -> None:
    desk = Desk(rates=RateLimits(orders_10s=3))
    desk.quote("SELL", "1", "20000")
    for number in range(3):
        assert desk.order(newClientOrderId=f"a{number}", price="19000").status == 200

    refused = desk.order(newClientOrderId="b")

    assert error(refused)[:2] == (429, -1015)
    assert "retry-after" in refused.headers
    desk.traders.take("BTCUSDT", False, D("0.01"), D("19000"), desk.time)
    desk.time += SECOND
    assert desk.order(newClientOrderId="c").headers["x-mbx-order-count-10s"] == "1"


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_dropped_ack_leaves_the_order_at_the_venue() -> None:
    desk = Desk(faults="drop_ack=1")

    assert desk.order().lost
    assert [o["clientOrderId"] for o in body(desk.signed("GET", "openOrders"))] == ["cid-1"]
    assert desk.venue.faults.counts == {"drop_ack": 1}


def test_a_500_may_or_may_not_have_taken_effect() -> None:
    taken = []
    for seed in range(8):
        desk = Desk(faults=f"seed={seed} http_500=1")
        assert desk.order().status == 500
        taken.append(len(desk.exchange.engine.open_orders("ann")))
    assert set(taken) == {0, 1}


def test_an_unknown_status_is_answered_and_the_order_exists() -> None:
    desk = Desk(faults="unknown_status=1")
    assert error(desk.order())[1] == -1007
    assert len(desk.exchange.engine.open_orders("ann")) == 1


def test_a_storm_answers_429_for_its_duration() -> None:
    desk = Desk(faults="rate_limit_storm=1:5s")
    response = desk.send("GET", "ping")
    assert (response.status, response.headers["retry-after"]) == (429, "5")


def test_a_late_order_has_no_answer_and_is_nowhere_until_it_is_accepted() -> None:
    desk = Desk(faults="late_accept=1:90s")
    assert desk.order().lost
    known = {"symbol": "BTCUSDT", "origClientOrderId": "cid-1"}

    desk.time += 89 * SECOND
    desk.venue.tick(desk.time)
    assert error(desk.signed("GET", "order", **known))[1] == -2013
    assert body(desk.signed("GET", "openOrders", symbol="BTCUSDT")) == []
    assert desk.venue.late_orders == 1

    desk.time += SECOND
    desk.venue.tick(desk.time)
    found = body(desk.signed("GET", "order", **known))
    assert (found["status"], found["time"]) == ("NEW", desk.time // 1_000_000)
    assert desk.venue.late_orders == 0


def test_a_late_order_that_is_refused_is_never_heard_of() -> None:
    desk = Desk(faults="late_accept=1:1s")
    assert desk.order(quantity="1000").lost
    assert desk.order(price="20000.001").lost
    desk.time += SECOND
    desk.venue.tick(desk.time)

    assert desk.exchange.engine.orders("ann", "BTCUSDT") == []
    assert desk.venue.asked["late_orders.refused"] == 2


def test_a_stale_query_does_not_know_the_order_for_a_while() -> None:
    desk = Desk(faults="stale_query=1:3s")
    desk.order()
    known = {"symbol": "BTCUSDT", "origClientOrderId": "cid-1"}

    assert error(desk.signed("GET", "order", **known))[1] == -2013
    desk.time += 3 * SECOND
    assert body(desk.signed("GET", "order", **known))["status"] == "NEW"


def test_orders_that_queries_know_again_are_forgotten() -> None:
    desk = Desk(faults="stale_query=1:3s")
    desk.venue.hidden = dict.fromkeys(range(10_001), desk.time + 1)
    desk.venue.tick(desk.time + 1)
    assert desk.venue.hidden == {}


def test_a_skewed_clock_shows_in_the_server_time() -> None:
    desk = Desk(faults="clock_skew=-3s")
    assert body(desk.send("GET", "time")) == {"serverTime": (NOW - 3 * SECOND) // 1_000_000}


def test_a_symbol_is_halted_and_reopened() -> None:
    desk = Desk(faults="halt_symbol=BTCUSDT:60s:10s")
    states = []
    for second in (0, 60, 69, 70, 120):
        desk.venue.tick(NOW + second * SECOND)
        states.append(desk.exchange.market("BTCUSDT").status.value)
    assert states == ["TRADING", "HALT", "HALT", "TRADING", "HALT"]
    assert desk.venue.faults.counts == {"halt_symbol": 2}


def test_the_orders_of_a_day_are_counted_anew_on_the_next() -> None:
    limits, day = Limits(RateLimits(orders_day=1)), 86_400 * 1_000_000_000
    limits.add_order("demo", 0)

    with pytest.raises(ApiError, match="1 orders per 1 DAY"):
        limits.check_orders("demo", day - 1)
    limits.check_orders("demo", day)
    assert limits.order_counts("demo", day) == (0, 0)
