"""The sample strategies on candles that were written for them."""

from __future__ import annotations

import pytest
from application_kit import BTC, MS, SECOND, START, Core, D, tick

from tickdeck.application.strategies import BUILT_IN, EmaCross, MarketMaker, RsiReversion, Rules
from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    OrderBookEvent,
    OrderSubmittedEvent,
    StrategyDecisionEvent,
    VenueBalanceReported,
)
from tickdeck.domain.values import OrderStatus, Side, TimeInForce
from tickdeck.errors import ConfigError


def candles(core: Core, *closes: str) -> list[OrderSubmittedEvent]:
    """Feed one-second candles with these closes. Returns the resulting orders."""
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
    assert sorted(BUILT_IN.items()) == [
        ("ema-cross", EmaCross),
        ("market-maker", MarketMaker),
        ("rsi-reversion", RsiReversion),
        ("rules", Rules),
    ]


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


# -- coins that the account held before ----------------------------------------------------------------------


def held_before(core: Core) -> Core:
    return core.feed(VenueBalanceReported(currency="BTC", total=D(2), source="scripted"))


def test_ema_cross_sells_what_it_bought_after_the_fee_and_no_coins_that_were_there_before() -> None:
    core = held_before(ema_cross())
    (bought,) = candles(core, "100", "101", "110")
    core.fill(bought, "110", fee="0.001", fee_currency="BTC")

    (sold,) = candles(core, "90")
    core.fill(sold, "90")

    assert sold.quantity == D("0.499")
    assert candles(core, "80", "70") == []
    assert core.portfolio.view(BTC).quantity == 2


def test_ema_cross_does_not_sell_what_the_operator_sold_meanwhile() -> None:
    core = ema_cross()
    (bought,) = candles(core, "100", "101", "110")
    core.fill(bought, "110").feed(CommandReceived(command="flatten"))
    core.fill(core.orders[-1], "110").feed(CommandReceived(command="resume"))

    assert candles(core, "90") == []


def test_rsi_reversion_sells_no_coins_that_were_there_before() -> None:
    core = held_before(rsi_reversion())
    assert candles(core, "100", "110", "120") == []

    (bought,) = candles(core, "95", "90")[:1]
    core.fill(bought, "90")
    (sold,) = candles(core, "100", "130")
    assert (sold.side, sold.quantity) == (Side.SELL, D("0.5"))


def test_the_market_maker_counts_no_coins_that_were_there_before() -> None:
    core = ticks(held_before(market_maker(min_inventory=0)), "99", "101")
    assert quotes(core) == [("buy", "99.00")]

    core.report(core.orders[0], OrderStatus.ACCEPTED).fill(core.orders[0], "99")
    ticks(core, "99", "101")
    assert [order.quantity for order in core.orders if order.side is Side.SELL] == [D("0.1")]


# -- rsi-reversion ----------------------------------------------------------------------------------------------


def rsi_reversion(**parameters: object) -> Core:
    return Core({"rsi": RsiReversion(period=2, patience=3, quantity="0.5", **parameters)}).start()


def test_rsi_reversion_buys_after_a_fall_and_sells_after_a_rise_at_the_last_close() -> None:
    core = rsi_reversion()

    (bought,) = candles(core, "100", "95", "90")
    assert (bought.side, bought.quantity, bought.limit) == (Side.BUY, D("0.5"), 90)
    core.fill(bought, "90")
    (sold,) = candles(core, "95", "120")
    assert (sold.side, sold.quantity, sold.limit) == (Side.SELL, D("0.5"), 120)
    assert reasons(core) == ["rsi 0.00 below 30.0", "rsi 91.67 above 70.0"]


def test_rsi_reversion_does_nothing_in_between_and_never_sells_what_it_does_not_hold() -> None:
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
    assert len(core.venue.cancelled) == 1  # requested once
    core.report(order, OrderStatus.CANCELLED)
    (again,) = candles(core, "84")
    assert again.limit == 84
    candles(core, "83", "82", "81")
    assert len(core.venue.cancelled) == 2


def test_rsi_reversion_takes_its_thresholds_as_parameters() -> None:
    core = rsi_reversion(low=60, high=65)
    (order,) = candles(core, "100", "101", "100")
    assert order.side is Side.BUY


# -- market-maker -----------------------------------------------------------------------------------------------


def market_maker(**parameters: object) -> Core:
    settings = {"tick": "0.5", "half_spread": 2, "size": "0.1", "max_inventory": "0.2", "min_inventory": "-0.2"}
    return Core({"mm": MarketMaker(**(settings | parameters))}).start()


def quotes(core: Core) -> list[tuple[str, str]]:
    return [(order.side.value, str(order.limit)) for order in core.orders]


def ticks(core: Core, bid: str, ask: str, after: int = SECOND) -> Core:
    return core.feed(tick(bid, ask, ts=core.now + after))


def accepted(core: Core) -> Core:
    for order in core.orders:
        core.report(order, OrderStatus.ACCEPTED)
    return core


def test_the_market_maker_quotes_both_sides_of_the_middle_without_taking() -> None:
    core = ticks(market_maker(), "99", "101")

    assert quotes(core) == [("buy", "99.00"), ("sell", "101.00")]
    assert {order.time_in_force for order in core.orders} == {TimeInForce.POST_ONLY}
    assert {order.quantity for order in core.orders} == {D("0.100")}


def test_its_quotes_stay_away_from_the_other_sides_best_price() -> None:
    assert quotes(ticks(market_maker(half_spread=0, skew=100), "99", "101")) == [("buy", "100.00"), ("sell", "100.00")]
    core = ticks(market_maker(half_spread=0), "100", "100.5")
    assert quotes(core) == [("buy", "100.00"), ("sell", "100.50")]


def test_it_keeps_its_quotes_until_the_market_has_moved_by_the_threshold() -> None:
    core = accepted(ticks(market_maker(threshold=3), "99", "101"))

    ticks(core, "100", "102")
    assert core.venue.amended == []
    ticks(core, "100.5", "102.5")
    assert [(r.order_id, str(r.limit)) for r in core.venue.amended] == [
        (core.orders[0].order_id, "100.50"),
        (core.orders[1].order_id, "102.50"),
    ]
    assert len(core.orders) == 2


def test_it_sends_no_request_on_a_side_before_its_pause_is_over() -> None:
    core = accepted(ticks(market_maker(threshold=1, pause_ms=500), "99", "101"))
    ticks(core, "105", "107", after=499 * MS)
    assert core.venue.amended == []
    ticks(core, "105", "107", after=2 * MS)
    assert len(core.venue.amended) == 2


def test_a_refused_amend_is_requested_again_after_the_pause() -> None:
    core = accepted(ticks(market_maker(threshold=1), "99", "101"))
    ticks(ticks(core, "105", "107"), "105", "107")
    assert [r.revision for r in core.venue.amended] == [1, 1, 2, 2]


def test_where_an_amend_cannot_change_the_price_quotes_are_cancelled_and_placed_anew() -> None:
    core = accepted(ticks(market_maker(threshold=1), "99", "101"))
    ticks(core, "105", "107")
    for request in core.venue.amended[:]:
        core.answer(request, granted=False, reason="NotSupported: an amend can only reduce an order")

    ticks(ticks(core, "105", "107"), "106", "108")
    assert [request.order_id for request in core.venue.cancelled] == [order.order_id for order in core.orders]
    for order in core.orders[:]:
        core.report(order, OrderStatus.CANCELLED)
    ticks(core, "106", "108")

    assert quotes(core)[2:] == [("buy", "106.00"), ("sell", "108.00")]
    accepted(core)
    ticks(core, "109", "111")
    assert (len(core.venue.amended), len(core.venue.cancelled)) == (2, 4)


def test_an_amend_that_is_refused_for_another_reason_is_requested_again() -> None:
    core = accepted(ticks(market_maker(threshold=1), "99", "101"))
    ticks(core, "105", "107")
    for request in core.venue.amended[:]:
        core.answer(request, granted=False, reason="the venue is busy")
    ticks(core, "105", "107")

    assert (len(core.venue.amended), core.venue.cancelled) == (4, [])


def test_inventory_shifts_both_quotes_and_a_full_side_is_not_quoted() -> None:
    core = accepted(ticks(market_maker(skew=2), "99", "101"))
    core.fill(core.orders[0], "99")
    ticks(core, "99", "101")
    assert quotes(core)[2:] == [("buy", "98.00")]  # two ticks lower, because it holds one size
    core.report(core.orders[2], OrderStatus.ACCEPTED).fill(core.orders[2], "98")

    ticks(core, "99", "101")
    assert len(core.orders) == 3
    assert core.portfolio.view(BTC).quantity == D("0.2")


def test_a_market_maker_whose_size_is_all_it_may_hold_sells_what_a_fee_in_base_left() -> None:
    core = accepted(ticks(market_maker(size="0.1", max_inventory="0.1", min_inventory=0), "99", "101"))
    core.fill(core.orders[0], "99", fee="0.0001", fee_currency="BTC")
    ticks(core, "99", "101")
    assert [(order.side, order.quantity) for order in core.orders[1:]] == [(Side.SELL, D("0.099"))]

    core.report(core.orders[1], OrderStatus.ACCEPTED).fill(core.orders[1], "101")
    ticks(core, "99", "101")
    assert [(order.side, order.quantity) for order in core.orders[2:]] == [(Side.BUY, D("0.099"))]  # 0.0009 are left


def test_a_quote_that_risk_or_the_venue_refused_is_placed_again_after_the_pause() -> None:
    core = ticks(market_maker(), "99", "101")
    core.report(core.orders[0], OrderStatus.REJECTED, "post only: 99 would take")
    ticks(core, "99", "101", after=100 * MS)
    assert len(core.orders) == 2
    ticks(core, "99", "101")
    assert quotes(core)[2:] == [("buy", "99.00")]


def test_it_waits_for_both_sides_of_the_market_and_takes_a_book_as_well_as_ticks() -> None:
    core = market_maker().trades("100")
    assert core.orders == []
    core.feed(
        OrderBookEvent(symbol=BTC, last_update_id=1, bids=((D(99), D(1)),), asks=((D(101), D(1)),), ts_ingress=core.now)
    )
    assert len(core.orders) == 2


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"tick": 0}, "tick is 0"),
        ({"size": "-1"}, "size is -1"),
        ({"threshold": -1}, "threshold is -1"),
        ({"min_inventory": "0.3"}, "the first must be the smaller"),
        ({"size": "0.5"}, "size is 0.5; give at most the difference between"),
    ],
)
def test_a_market_maker_that_could_not_quote_is_refused(parameters: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        market_maker(**parameters)
