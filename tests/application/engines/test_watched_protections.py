"""Stops and targets that the run watches itself, and trailing stops."""

from __future__ import annotations

import pytest
from application_kit import BTC, SECOND, D
from protection_kit import cancelled, decided, entered, exits, shape

from tickdeck.application.engines import StopOrders
from tickdeck.domain.events import (
    CandleEvent,
    ProtectionGuardedEvent,
)
from tickdeck.domain.values import OrderStatus

NONE = StopOrders(stops=False, pairs=False)
ONLY_STOPS = StopOrders(stops=True, pairs=False)


@pytest.mark.parametrize(("price", "reason"), [("95", "stop"), ("94", "stop"), ("110", "target"), ("111", "target")])
def test_without_stop_orders_the_position_is_closed_at_market_when_a_price_is_reached(price: str, reason: str) -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=NONE)
    core.trades("96", "109")

    assert exits(core) == []
    assert len(core.of("protection.guarded")) == 1
    assert len(core.of("notification.alert")) == 1

    core.trades(price)

    assert [shape(order) for order in exits(core)] == [("sell", D(1), None, None)]
    assert decided(core) == [("order", reason)]


def test_without_pairs_the_stop_rests_and_the_target_cancels_it_first() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=ONLY_STOPS)

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(95), None)]

    core.trades("110")

    assert cancelled(core) == [exits(core)[0].order_id]
    assert len(exits(core)) == 1

    core.trades("108")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert shape(exits(core)[1]) == ("sell", D(1), None, None)
    assert decided(core) == [("order", "protect"), ("cancel", "target"), ("order", "target")]


def test_a_refused_exit_order_is_told_and_watched() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.report(exits(core)[0], OrderStatus.REJECTED, "too many stops")

    (guarded,) = [e for e in core.tape.events if isinstance(e, ProtectionGuardedEvent)]
    assert guarded.reason == "its order was refused or cancelled"

    core.trades("94")

    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_a_stop_that_the_price_passed_on_the_way_is_closed_at_market() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.trades("94")
    core.report(exits(core)[0], OrderStatus.REJECTED, "would trigger at once")

    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_candles_close_at_the_stop_if_they_reach_both_prices() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=NONE)
    opened = core.now + SECOND
    core.feed(
        CandleEvent(
            symbol=BTC,
            interval=60 * SECOND,
            open_ts=opened,
            close_ts=opened + 60 * SECOND,
            open=D(100),
            high=D(111),
            low=D(94),
            close=D(105),
            volume=D(5),
            ts_ingress=opened + 60 * SECOND,
        )
    )

    assert decided(core) == [("order", "stop")]


# -- trailing -----------------------------------------------------------------------------------------------------


def test_a_trailing_stop_is_moved_by_at_least_a_tenth_of_its_distance() -> None:
    core, _ = entered("1", trailing=D(10))
    assert shape(exits(core)[0]) == ("sell", D(1), D(90), None)

    core.trades("100.9")
    assert cancelled(core) == []

    core.trades("101", "103")
    assert cancelled(core) == [exits(core)[0].order_id]

    core.report(exits(core)[0], OrderStatus.CANCELLED)
    assert shape(exits(core)[1]) == ("sell", D(1), D(93), None)

    core.trades("95")
    assert len(exits(core)) == 2


def test_a_trailing_percentage_is_one_of_the_best_price() -> None:
    core, _ = entered("1", trailing="10%")
    core.trades("200")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D(180)


def test_the_stop_that_is_reached_first_counts() -> None:
    core, _ = entered("1", stop_loss=D(95), trailing=D(10))
    assert exits(core)[0].stop == D(95)

    core.trades("120")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D(110)


def test_a_trailing_stop_takes_the_place_of_a_fixed_one_at_once() -> None:
    core, _ = entered("1", stop_loss=D(95), trailing=D(10))
    core.trades("105")
    assert cancelled(core) == []

    core.trades("105.1")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D("95.1")


def test_a_trailing_stop_that_is_watched_follows_every_price() -> None:
    core, _ = entered("1", trailing=D(10), stop_orders=NONE)
    core.trades("105", "95.01")
    assert exits(core) == []

    core.trades("95")
    assert decided(core) == [("order", "trailing")]
