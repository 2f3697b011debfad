"""The sample strategies on candles that were written for them."""

from __future__ import annotations

from application_kit import BTC, SECOND, START, Core, D

from tickdeck.application.strategies import BUILT_IN, EmaCross, RsiReversion
from tickdeck.domain.events import CandleEvent, OrderSubmittedEvent, StrategyDecisionEvent
from tickdeck.domain.values import OrderStatus, Side


def candles(core: Core, *closes: str) -> list[OrderSubmittedEvent]:
    """One-second candles with these closes; returns the orders that they led to."""
    before = len(core.orders)
    for close in closes:
        start = max(core.now, START)
        price = D(close)
        core.feed(
            CandleEvent(
                symbol=BTC,
                interval=SECOND,
                open_ts=start,
                close_ts=start + SECOND,
                open=price,
                high=price,
                low=price,
                close=price,
                volume=D(1),
                ts=start + SECOND,
                ts_ingress=start + SECOND,
                source="file",
            )
        )
    return core.orders[before:]


def reasons(core: Core) -> list[str]:
    return [e.reason for e in core.tape.events if isinstance(e, StrategyDecisionEvent)]


def test_the_built_in_names_are_those_of_the_command_line() -> None:
    assert sorted(BUILT_IN.items()) == [("ema-cross", EmaCross), ("rsi-reversion", RsiReversion)]


# -- ema-cross --------------------------------------------------------------------------------------------------


def ema_cross() -> Core:
    return Core({"ema": EmaCross(fast=1, slow=3, quantity="0.5")}).start()


def test_ema_cross_waits_for_the_slow_average() -> None:
    assert candles(ema_cross(), "100", "110") == []


def test_ema_cross_buys_when_the_fast_average_is_above_the_slow_and_sells_all_when_it_is_below() -> None:
    core = ema_cross()

    (bought,) = candles(core, "100", "101", "110")
    assert (bought.side, bought.quantity, bought.limit) == (Side.BUY, D("0.5"), None)
    assert reasons(core) == ["fast 110.0000 above slow 105.2500"]
    core.fill(bought, "110", "0.2").fill(bought, "110", "0.3")
    assert candles(core, "111", "112") == []
    (sold,) = candles(core, "90")
    assert (sold.side, sold.quantity) == (Side.SELL, D("0.5"))
    core.fill(sold, "90")
    assert candles(core, "80", "70") == []
    assert core.portfolio.view(BTC).quantity == 0


def test_ema_cross_does_nothing_while_an_order_works() -> None:
    core = ema_cross()
    (order,) = candles(core, "100", "101", "110")

    assert candles(core, "120", "60", "130") == []
    core.report(order, OrderStatus.EXPIRED)
    assert len(candles(core, "140")) == 1


def test_ema_cross_stays_out_of_a_falling_market() -> None:
    assert candles(ema_cross(), "100", "99", "98", "97") == []


# -- rsi-reversion ----------------------------------------------------------------------------------------------


def rsi_reversion(**parameters: object) -> Core:
    return Core({"rsi": RsiReversion(period=2, patience=3, quantity="0.5", **parameters)}).start()


def test_rsi_reversion_buys_what_fell_at_the_last_close_and_sells_what_rose() -> None:
    core = rsi_reversion()

    (bought,) = candles(core, "100", "95", "90")
    assert (bought.side, bought.quantity, bought.limit) == (Side.BUY, D("0.5"), 90)
    core.fill(bought, "90")
    (sold,) = candles(core, "95", "120")
    assert (sold.side, sold.quantity, sold.limit) == (Side.SELL, D("0.5"), 120)
    assert reasons(core) == ["rsi 0.00 below 30.0", "rsi 91.67 above 70.0"]


def test_rsi_reversion_does_nothing_in_between_and_never_sells_what_it_has_not() -> None:
    core = rsi_reversion()
    assert candles(core, "100", "101", "100", "101", "100") == []
    assert candles(core, "110", "120", "130") == []


def test_rsi_reversion_cancels_an_order_that_is_not_filled_in_time_and_tries_again() -> None:
    core = rsi_reversion()
    (order,) = candles(core, "100", "95", "90")

    candles(core, "89", "88")
    assert core.venue.cancelled == []
    candles(core, "87")
    assert [c.order_id for c in core.venue.cancelled] == [order.order_id]
    candles(core, "86", "85")
    assert len(core.venue.cancelled) == 1  # asked once
    core.report(order, OrderStatus.CANCELLED)
    (again,) = candles(core, "84")
    assert again.limit == 84
    candles(core, "83", "82", "81")
    assert len(core.venue.cancelled) == 2


def test_rsi_reversion_takes_its_thresholds_as_parameters() -> None:
    core = rsi_reversion(low=60, high=65)
    (order,) = candles(core, "100", "101", "100")
    assert order.side is Side.BUY
