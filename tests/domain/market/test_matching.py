"""The matcher's rules one by one, and a naive oracle that reads the record in another way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import (
    CandleEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import Ended, Fill, Instrument, Matcher, Outcome, WorkingOrder
from tickdeck.domain.market.liquidity import Liquidity
from tickdeck.domain.values import OrderStatus, Side, TimeInForce

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
S = "BTCUSDT"
COIN = Instrument(symbol=S, base="BTC", quote="USDT", tick_size=D("0.5"), lot_size=D("0.1"))


def trade(price: object, quantity: object, side: Side) -> TradeEvent:
    return TradeEvent(symbol=S, price=D(str(price)), quantity=D(str(quantity)), side=side)


def tick(bid: object, bid_quantity: object, ask: object, ask_quantity: object, update_id: int = 0) -> TickEvent:
    return TickEvent(
        symbol=S,
        bid_price=D(str(bid)),
        bid_quantity=D(str(bid_quantity)),
        ask_price=D(str(ask)),
        ask_quantity=D(str(ask_quantity)),
        update_id=update_id,
    )


def levels(*pairs: tuple[object, object]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((D(str(price)), D(str(quantity))) for price, quantity in pairs)


def book(
    bids: Sequence[tuple[object, object]], asks: Sequence[tuple[object, object]], last: int = 10
) -> OrderBookEvent:
    return OrderBookEvent(symbol=S, last_update_id=last, bids=levels(*bids), asks=levels(*asks))


def delta(
    first: int,
    bids: Sequence[tuple[object, object]] = (),
    asks: Sequence[tuple[object, object]] = (),
    last: int | None = None,
) -> OrderBookDeltaEvent:
    return OrderBookDeltaEvent(
        symbol=S,
        first_update_id=first,
        last_update_id=first if last is None else last,
        bids=levels(*bids),
        asks=levels(*asks),
    )


def candle(open_ts: int, open_: object, high: object, low: object, close: object, volume: object) -> CandleEvent:
    return CandleEvent(
        symbol=S,
        interval=100,
        open_ts=open_ts,
        close_ts=open_ts + 100,
        open=D(str(open_)),
        high=D(str(high)),
        low=D(str(low)),
        close=D(str(close)),
        volume=D(str(volume)),
    )


def order(
    side: Side,
    quantity: object,
    limit: object = None,
    tif: TimeInForce = TimeInForce.GTC,
    name: str = "a",
    arrival: int = 0,
    worst: object = None,
) -> WorkingOrder:
    return WorkingOrder(
        order_id=name,
        side=side,
        quantity=D(str(quantity)),
        limit=None if limit is None else D(str(limit)),
        time_in_force=tif,
        arrival=arrival,
        worst=None if worst is None else D(str(worst)),
    )


def matcher(*record: MarketEvent) -> Matcher:
    new = Matcher(COIN)
    for event in record:
        assert not new.handlers[type(event)](event)
    return new


def told(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str, str]]:
    """Fills as (order, price, quantity, liquidity), ends as (order, status, "", "")."""
    return [
        (o.order.order_id, str(o.price), str(o.quantity), o.liquidity)
        if isinstance(o, Fill)
        else (o.order.order_id, o.status.value, "", "")
        for o in outcomes
    ]


BOOK = book(bids=[(99, 2), (98, 5), (97, 1)], asks=[(101, 1), (102, 3), (104, 10)])


# -- taking from what is displayed --------------------------------------------------------------------------------


def test_market_buy_takes_the_book_level_by_level() -> None:
    assert told(matcher(BOOK).submit(order(BUY, "2.5"))) == [("a", "101", "1", "taker"), ("a", "102", "1.5", "taker")]


def test_market_sell_takes_the_bids_from_the_highest_down() -> None:
    assert told(matcher(BOOK).submit(order(SELL, 3))) == [("a", "99", "2", "taker"), ("a", "98", "1", "taker")]


def test_market_order_larger_than_the_book_expires_with_its_filled_part() -> None:
    outcomes = matcher(BOOK).submit(order(BUY, 20))
    assert told(outcomes)[-1] == ("a", "expired", "", "")
    assert outcomes[-1].order.filled == 14


def test_marketable_limit_takes_to_its_limit_and_rests_with_the_remainder() -> None:
    m = matcher(BOOK)
    first = m.submit(order(BUY, 5, limit=102))
    assert told(first) == [("a", "101", "1", "taker"), ("a", "102", "3", "taker")]
    assert told(m.on_trade(trade(101.5, 3, SELL))) == [("a", "102", "1", "maker")]


def test_what_we_took_is_not_offered_again_until_the_record_changes_the_level() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1))
    assert told(m.submit(order(BUY, 1, name="b"))) == [("b", "102", "1", "taker")]
    m.on_delta(delta(11, asks=[(101, "0.7")]))
    assert told(m.submit(order(BUY, 2, name="c"))) == [("c", "101", "0.7", "taker"), ("c", "102", "1.3", "taker")]


def test_taking_the_same_level_in_parts_adds_up() -> None:
    m = matcher(tick(99, 2, 101, 5))
    for name in "abc":
        m.submit(order(BUY, 2, name=name))
    assert told(m.submit(order(BUY, 1, name="d"))) == [("d", "expired", "", "")]


def test_with_ticks_alone_only_the_best_quantity_is_there() -> None:
    m = matcher(tick(99, 2, 101, "0.5"))
    assert told(m.submit(order(BUY, 2))) == [("a", "101", "0.5", "taker"), ("a", "expired", "", "")]


def test_tick_without_an_ask_offers_nothing_to_a_buyer() -> None:
    assert told(matcher(BOOK, tick(99, 2, 0, 0, 11)).submit(order(BUY, 1))) == [("a", "expired", "", "")]


def test_fresher_tick_takes_better_levels_away_and_sets_the_best() -> None:
    m = matcher(BOOK, tick(99, 2, 102, "0.4", update_id=11))
    assert told(m.submit(order(BUY, 1))) == [("a", "102", "0.4", "taker"), ("a", "104", "0.6", "taker")]


def test_tick_older_than_the_book_is_passed_over() -> None:
    m = matcher(tick(99, 2, 102, "0.4", update_id=9), BOOK)
    assert told(m.submit(order(BUY, 1))) == [("a", "101", "1", "taker")]


def test_stale_tick_after_the_book_is_passed_over() -> None:
    m = matcher(BOOK, tick(99, 2, 102, "0.4", update_id=9))
    assert told(m.submit(order(BUY, 1))) == [("a", "101", "1", "taker")]


def test_tick_without_update_id_counts_until_the_book_changes() -> None:
    m = matcher(BOOK, tick(99, 2, 102, 1))
    assert m.worst_price(BUY, D(1)) == 102
    m.on_delta(delta(11, asks=[(101, 2)]))
    assert m.worst_price(BUY, D(1)) == 101


def test_print_that_the_display_does_not_show_yet_is_gone_from_it() -> None:
    m = matcher(BOOK, trade(101, "0.6", BUY))
    assert told(m.submit(order(BUY, 1, limit=101, tif=TimeInForce.IOC)))[0] == ("a", "101", "0.4", "taker")


def test_print_deeper_in_the_book_means_that_better_levels_are_gone() -> None:
    m = matcher(BOOK, trade(102, 1, BUY))
    assert told(m.submit(order(BUY, 1))) == [("a", "102", "1", "taker")]
    bids = matcher(BOOK, trade(98, 1, SELL))
    assert told(bids.submit(order(SELL, 1))) == [("a", "98", "1", "taker")]


@pytest.mark.parametrize(
    "shows",
    [tick(99, 2, 101, 1, 11), tick(99, 2, 101, 1), delta(11, asks=[(101, 1)])],
    ids=["tick", "undated", "delta"],
)
def test_display_after_a_print_is_believed_again(shows: MarketEvent) -> None:
    m = matcher(BOOK, trade(102, 1, BUY), shows)
    assert m.worst_price(BUY, D(1)) == 101


def test_stale_tick_does_not_bring_back_what_was_printed_away() -> None:
    assert matcher(BOOK, trade(102, 1, BUY), tick(99, 2, 101, 1, update_id=9)).worst_price(BUY, D(1)) == 102


def test_prints_under_an_unchanged_display_add_up_however_many_they_are() -> None:
    m = matcher(book(bids=[(99, 1)], asks=[(101, 500)]))
    for _ in range(3000):
        m.on_trade(trade(101, "0.1", BUY))
    assert told(m.submit(order(BUY, 300)))[0] == ("a", "101", "200.0", "taker")
    m.on_tick(tick(99, 1, 101, 500))
    assert m.worst_price(BUY, D(400)) == 101


def test_levels_deep_in_a_large_book_are_found() -> None:
    m = matcher(book(bids=[(99, 1)], asks=[(101 + n, 1) for n in range(100)]))
    outcomes = m.submit(order(BUY, 70))
    assert len(outcomes) == 70
    assert m.worst_price(BUY, D(1)) == 171


def test_memory_of_taken_levels_is_dropped_for_levels_that_are_gone() -> None:
    m = matcher()
    for n in range(600):
        m.on_tick(tick(1, 1, 100 + n, 1))
        m.submit(order(BUY, 1, name=str(n)))
    assert len(m.liquidity._taken) <= 257
    assert told(m.submit(order(BUY, 1))) == [("a", "expired", "", "")]


def test_crossed_book_is_not_believed() -> None:
    m = matcher(book(bids=[(103, 1)], asks=[(101, 1)]))
    assert not m.liquidity.displayed
    assert m.submit(order(BUY, 1)) == []


def test_a_book_that_was_crossed_is_not_believed_before_a_later_snapshot() -> None:
    m = matcher(BOOK, delta(11, bids=[(103, 1)]), delta(12, bids=[(103, 0)]))
    assert m.submit(order(BUY, 1)) == []
    assert told(m.on_book(book(bids=[(99, 1)], asks=[(103, 4)], last=15))) == [("a", "103", "1", "taker")]


def test_crossed_best_prices_are_not_believed() -> None:
    m = matcher(tick(99, 1, 101, 1), tick(101, 1, 101, 1))
    assert not m.liquidity.displayed
    assert m.submit(order(BUY, 1)) == []
    assert told(m.on_tick(tick(99, 1, 102, 1))) == [("a", "102", "1", "taker")]


def test_book_with_a_gap_offers_nothing_until_it_is_resynced() -> None:
    m = matcher(BOOK, delta(15))
    assert m.submit(order(BUY, 1)) == []
    assert told(m.on_book(book(bids=[(99, 1)], asks=[(103, 4)], last=15))) == [("a", "103", "1", "taker")]


def test_offered_quantities_are_cut_down_to_the_lot_size() -> None:
    assert told(matcher(tick(99, 1, 101, "0.25")).submit(order(BUY, 1)))[0] == ("a", "101", "0.20", "taker")


# -- time in force ------------------------------------------------------------------------------------------------


def test_ioc_takes_what_is_there_and_expires() -> None:
    m = matcher(BOOK)
    outcomes = m.submit(order(BUY, 2, limit=101, tif=TimeInForce.IOC))
    assert told(outcomes) == [("a", "101", "1", "taker"), ("a", "expired", "", "")]
    assert m.cancel("a") is None


def test_fok_that_cannot_be_filled_whole_takes_nothing() -> None:
    m = matcher(BOOK)
    assert told(m.submit(order(BUY, "4.1", limit=102, tif=TimeInForce.FOK))) == [("a", "expired", "", "")]
    assert told(m.submit(order(BUY, 4, limit=102, tif=TimeInForce.FOK, name="b"))) == [
        ("b", "101", "1", "taker"),
        ("b", "102", "3", "taker"),
    ]


def test_post_only_is_rejected_where_it_would_take_and_rests_otherwise() -> None:
    m = matcher(BOOK)
    taking = m.submit(order(BUY, 1, limit=101, tif=TimeInForce.POST_ONLY))
    assert isinstance(taking[0], Ended)
    assert taking[0].status is OrderStatus.REJECTED
    assert m.submit(order(BUY, 1, limit="100.5", tif=TimeInForce.POST_ONLY)) == []
    assert m.cancel("a") is not None


def test_post_only_is_rejected_even_where_we_took_all_that_was_displayed() -> None:
    m = matcher(tick(99, 1, 101, 1))
    m.submit(order(BUY, 1, name="b"))
    assert told(m.submit(order(BUY, 1, limit=101, tif=TimeInForce.POST_ONLY))) == [("a", "rejected", "", "")]


# -- resting ------------------------------------------------------------------------------------------------------


def test_print_at_our_price_drains_the_queue_ahead_then_fills_us() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=99))
    assert told(m.on_trade(trade(99, "1.5", SELL))) == []
    assert told(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "0.5", "maker")]
    assert told(m.on_trade(trade(99, 9, SELL))) == [("a", "99", "0.5", "maker")]
    assert told(m.on_trade(trade(99, 9, SELL))) == []


def test_a_queue_off_the_lot_size_leaves_us_whole_lots() -> None:
    m = matcher(book([(99, "0.25")], [(101, 1)]))
    m.submit(order(BUY, 1, limit=99))
    assert told(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "0.70", "maker")]


def test_cancels_in_the_book_never_advance_us() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=99))
    m.on_delta(delta(11, bids=[(99, "0.1")]))
    m.on_tick(tick(99, "0.1", 101, 1, 12))
    assert told(m.on_trade(trade(99, 2, SELL))) == []
    assert told(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "1", "maker")]


def test_print_through_our_price_fills_us_at_our_limit_up_to_its_quantity() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 3, limit=99))
    assert told(m.on_trade(trade(98.5, 2, SELL))) == [("a", "99", "2", "maker")]
    # The level was passed, so nobody is ahead of us any more.
    assert told(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "1", "maker")]


def test_resting_sell_fills_by_buying_aggressors_only() -> None:
    m = matcher(BOOK)
    m.submit(order(SELL, 1, limit="100.5"))
    assert told(m.on_trade(trade(102, 9, SELL))) == []
    assert told(m.on_trade(trade(102, 9, BUY))) == [("a", "100.5", "1", "maker")]


def test_order_better_than_the_best_has_nobody_ahead() -> None:
    m = matcher(BOOK)
    m.submit(order(SELL, 1, limit=100))
    assert told(m.on_trade(trade(100, "0.3", BUY))) == [("a", "100", "0.3", "maker")]


@pytest.mark.parametrize("limit", ["98.5", "50"], ids=["between levels", "deeper than shown"])
def test_order_at_a_price_that_is_not_displayed_waits_for_a_print_through_it(limit: str) -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=limit))
    assert told(m.on_trade(trade(limit, 1000, SELL))) == []
    assert told(m.on_trade(trade(D(limit) - 1, "0.4", SELL))) == [("a", limit, "0.4", "maker")]


def test_with_ticks_alone_the_queue_is_known_at_the_best_only() -> None:
    m = matcher(tick(99, 2, 101, 1))
    m.submit(order(BUY, 1, limit=99, name="best"))
    m.submit(order(BUY, 1, limit=98, name="deeper"))
    assert told(m.on_trade(trade(99, 3, SELL))) == [("best", "99", "1", "maker")]
    assert told(m.on_trade(trade(98, 9, SELL))) == []


def test_two_orders_at_one_price_share_a_print_by_time() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 2, limit=99, name="first"))
    m.submit(order(BUY, 2, limit=99, name="second"))
    assert told(m.on_trade(trade(99, 5, SELL))) == [("first", "99", "2", "maker"), ("second", "99", "1", "maker")]


def test_better_price_goes_before_earlier_time() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 2, limit="99.5", name="earlier"))
    m.submit(order(BUY, 2, limit="100", name="better"))
    fills = m.on_trade(trade("99.5", 3, SELL))
    assert told(fills) == [("better", "100", "2", "maker"), ("earlier", "99.5", "1", "maker")]


def test_sells_are_served_from_the_lowest_price_up() -> None:
    m = matcher(BOOK)
    m.submit(order(SELL, 2, limit="100.5", name="higher"))
    m.submit(order(SELL, 2, limit="100", name="lower"))
    fills = m.on_trade(trade("101", 3, BUY))
    assert told(fills) == [("lower", "100", "2", "maker"), ("higher", "100.5", "1", "maker")]


def test_cancelled_order_fills_no_more() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=99))
    cancelled = m.cancel("a")
    assert cancelled is not None
    assert cancelled.filled == 0
    assert told(m.on_trade(trade(90, 9, SELL))) == []
    assert m.cancel("a") is None


# -- trades alone -------------------------------------------------------------------------------------------------


def test_with_trades_alone_a_market_order_waits_for_prints_of_its_side() -> None:
    m = matcher(trade(100, 5, BUY))
    assert m.submit(order(BUY, 3)) == []
    assert told(m.on_trade(trade(99, 9, SELL))) == []
    assert told(m.on_trade(trade(100.5, 2, BUY))) == [("a", "100.5", "2", "taker")]
    assert told(m.on_trade(trade(101, 2, BUY))) == [("a", "101", "1", "taker")]
    assert told(m.on_trade(trade(101, 2, BUY))) == []


def test_with_trades_alone_takers_and_makers_share_one_print() -> None:
    m = matcher(trade(100, 5, BUY), trade(99, 5, SELL))
    m.submit(order(BUY, 2, name="taker"))
    m.submit(order(SELL, 9, limit="100.5", name="maker"))
    assert told(m.on_trade(trade(101, 3, BUY))) == [("taker", "101", "2", "taker"), ("maker", "100.5", "1", "maker")]


def test_market_order_that_waits_expires_beyond_its_protection() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 3, worst=105))
    assert told(m.on_trade(trade(105, 1, BUY))) == [("a", "105", "1", "taker")]
    assert told(m.on_trade(trade("105.5", 1, BUY))) == [("a", "expired", "", "")]


def test_marketable_limit_rests_when_the_offer_moves_beyond_it() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 2, limit=100))
    assert told(m.on_trade(trade(101, 5, BUY))) == []
    assert told(m.on_trade(trade(100, 5, BUY))) == []  # it rests now, and no seller has come to it
    assert told(m.on_trade(trade("99.5", 5, SELL))) == [("a", "100", "2", "maker")]


def test_limit_order_away_from_the_last_offer_rests_behind_an_unknown_queue() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 1, limit=99))
    assert told(m.on_trade(trade(99, 1000, SELL))) == []
    assert told(m.on_trade(trade("98.5", 1, SELL))) == [("a", "99", "1", "maker")]


def test_ioc_and_fok_are_decided_by_the_next_print_of_their_side() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 1, limit=100, tif=TimeInForce.FOK, name="fok-too-small"))
    m.submit(order(BUY, 2, limit=101, tif=TimeInForce.IOC, name="ioc"))
    m.submit(order(BUY, 1, limit=99, tif=TimeInForce.IOC, name="ioc-too-low"))
    assert told(m.on_trade(trade(100, "0.5", BUY))) == [
        ("fok-too-small", "expired", "", ""),
        ("ioc", "100", "0.5", "taker"),
        ("ioc", "expired", "", ""),
        ("ioc-too-low", "expired", "", ""),
    ]


def test_post_only_without_a_book_goes_by_the_last_print() -> None:
    m = matcher(trade(100, 5, BUY))
    assert told(m.submit(order(BUY, 1, limit=100, tif=TimeInForce.POST_ONLY))) == [("a", "rejected", "", "")]
    assert m.submit(order(BUY, 1, limit="99.5", tif=TimeInForce.POST_ONLY, name="b")) == []


def test_order_that_waits_takes_from_the_book_as_soon_as_one_is_displayed() -> None:
    m = matcher()
    m.submit(order(BUY, 2))
    m.submit(order(SELL, 1, name="b"))
    assert told(m.on_tick(tick(99, 5, 101, 5))) == [("a", "101", "2", "taker"), ("b", "99", "1", "taker")]


def test_delta_that_leaves_the_book_unusable_wakes_nobody() -> None:
    m = matcher()
    m.submit(order(BUY, 2))
    assert told(m.on_delta(delta(3))) == []
    assert told(m.on_book(book(bids=[(1, 1)], asks=[(2, 2)], last=3))) == [("a", "2", "2", "taker")]


# -- candles alone ------------------------------------------------------------------------------------------------


def test_with_candles_alone_a_market_order_fills_at_the_next_open_within_a_share_of_the_volume() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 6, arrival=100))
    assert told(m.on_candle(candle(100, 102, 103, 100, 101, 40))) == [("a", "102", "4.0", "taker")]
    assert told(m.on_candle(candle(200, 101, 103, 100, 101, 90))) == [("a", "101", "2.0", "taker")]


def test_candle_that_opened_before_the_order_arrived_does_not_fill_it() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 1, arrival=150, name="market"))
    m.submit(order(BUY, 1, limit=99, arrival=150, name="limit"))
    assert told(m.on_candle(candle(100, 98, 103, 90, 101, 40))) == []
    assert [name for name, *_ in told(m.on_candle(candle(200, 98, 103, 90, 101, 40)))] == ["market", "limit"]


def test_candle_that_opened_within_the_grace_counts_as_after_the_arrival() -> None:
    m = Matcher(COIN, candle_grace_ns=30)
    m.on_candle(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 1, arrival=130))
    assert told(m.on_candle(candle(100, 98, 103, 90, 101, 40))) == [("a", "98", "1", "taker")]


def test_resting_order_fills_only_where_the_candle_went_through_its_limit() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 3, limit=98))
    m.submit(order(SELL, 1, limit=103, name="b"))
    assert told(m.on_candle(candle(100, 100, 103, 98, 101, 40))) == []
    assert told(m.on_candle(candle(200, 100, 103, "97.5", 101, 20))) == [("a", "98", "2.0", "maker")]
    assert told(m.on_candle(candle(300, 100, "103.5", "97.5", 101, 20))) == [
        ("a", "98", "1.0", "maker"),
        ("b", "103", "1", "maker"),
    ]


def test_post_only_with_candles_alone_goes_by_the_last_close() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    assert told(m.submit(order(BUY, 1, limit=100, tif=TimeInForce.POST_ONLY))) == [("a", "rejected", "", "")]


def test_candles_beside_a_better_record_fill_nothing() -> None:
    m = matcher(trade(100, 1, BUY), candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 1))
    assert told(m.on_candle(candle(100, 100, 103, 90, 101, 40))) == []


# -- prices of reference ------------------------------------------------------------------------------------------


def test_reference_is_the_best_that_the_record_tells() -> None:
    empty = Liquidity(S)
    assert empty.reference(BUY) is None
    empty.on_candle(candle(0, 100, 101, 99, 100, 50))
    assert empty.reference(SELL) == 100
    empty.on_trade(trade(90, 1, SELL))
    assert (empty.reference(BUY), empty.reference(SELL)) == (90, 90)
    empty.on_trade(trade(91, 1, BUY))
    assert (empty.reference(BUY), empty.reference(SELL)) == (91, 90)
    empty.on_tick(tick(80, 1, 82, 1))
    assert (empty.reference(BUY), empty.reference(SELL)) == (82, 80)


def test_worst_price_is_none_where_nothing_is_offered() -> None:
    assert matcher(trade(90, 1, SELL)).worst_price(BUY, D(1)) is None
    assert matcher(BOOK).worst_price(BUY, D(1000)) == 104


# -- a naive oracle -----------------------------------------------------------------------------------------------

prices = st.integers(95, 105).map(D)
sizes = st.integers(1, 40).map(lambda n: D(n) / 10)
sides = st.sampled_from(list(Side))


@st.composite
def records(draw: st.DrawFn) -> list[MarketEvent | WorkingOrder]:
    """A random record with random orders in it: update ids are contiguous, all else is wild."""
    out: list[MarketEvent | WorkingOrder] = []
    update = book_id = 10
    display = draw(st.sampled_from(["nothing", "ticks", "book", "both"]))
    kinds = {"nothing": "to", "ticks": "tok", "book": "tod", "both": "tokd"}[display]
    bids, asks = st.integers(95, 100).map(D), st.integers(100, 105).map(D)
    if display in ("book", "both"):
        out.append(
            OrderBookEvent(
                symbol=S,
                last_update_id=update,
                bids=tuple(sorted(draw(st.dictionaries(bids, sizes)).items(), reverse=True)),
                asks=tuple(sorted(draw(st.dictionaries(asks, sizes)).items())),
            )
        )
    for n in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(kinds))
        if kind == "t":
            out.append(trade(draw(prices), draw(sizes), draw(sides)))
        elif kind == "k":
            update += 1
            out.append(tick(draw(bids), draw(sizes), draw(asks), draw(sizes), update))
        elif kind == "d":
            quantities = st.integers(0, 30).map(lambda n: D(n) / 10)
            changes = [tuple(draw(st.dictionaries(side, quantities, max_size=3)).items()) for side in (bids, asks)]
            first = book_id + 1
            update = book_id = max(update + draw(st.integers(0, 2)), first)
            out.append(delta(first, bids=changes[0], asks=changes[1], last=book_id))
        else:
            limit = draw(st.none() | prices)
            tif = draw(st.sampled_from(list(TimeInForce))) if limit is not None else TimeInForce.GTC
            out.append(order(draw(sides), draw(sizes), limit, tif, name=str(n)))
    return out


class Oracle:
    """What the record displayed, worked out again from its whole history, one event at a time."""

    def __init__(self) -> None:
        self.book: dict[Side, dict[Decimal, Decimal]] | None = None  # by the side of the taker
        self.book_id = 0
        self.tick: TickEvent | None = None

    def see(self, event: MarketEvent) -> None:
        if isinstance(event, OrderBookEvent):
            self.book = {BUY: dict(event.asks), SELL: dict(event.bids)}
            self.book_id = event.last_update_id
        elif isinstance(event, OrderBookDeltaEvent) and self.book is not None:
            if event.last_update_id > self.book_id:
                self.book[BUY].update(event.asks)
                self.book[SELL].update(event.bids)
                self.book_id = event.last_update_id
        elif isinstance(event, TickEvent):
            self.tick = event if event.bid_price < event.ask_price else None
        if self.book is not None:
            bids, asks = ([p for p, q in self.book[taker].items() if q] for taker in (SELL, BUY))
            if bids and asks and max(bids) >= min(asks):
                self.book, self.book_id = None, 0  # crossed: there is no book until a later snapshot
            elif self.tick is not None and self.tick.update_id <= self.book_id:
                self.tick = None

    def displayed(self, taker: Side) -> dict[Decimal, Decimal]:
        shown = dict(self.book[taker]) if self.book is not None else {}
        tick = self.tick
        if tick is not None and tick.update_id > self.book_id:
            best = tick.ask_price if taker is BUY else tick.bid_price
            shown = {p: q for p, q in shown.items() if (p > best if taker is BUY else p < best)}
            shown[best] = tick.ask_quantity if taker is BUY else tick.bid_quantity
        return {p: q for p, q in shown.items() if q}


@pytest.mark.long
@given(records())
def test_nothing_fills_that_the_record_did_not_offer_at_that_time(record: list[MarketEvent | WorkingOrder]) -> None:
    m, oracle = Matcher(COIN), Oracle()
    for item in record:
        if isinstance(item, WorkingOrder):
            outcomes: Sequence[Outcome] = m.submit(item)
            took: dict[Decimal, Decimal] = {}
            for fill in (o for o in outcomes if isinstance(o, Fill)):
                assert fill.order is item
                assert fill.liquidity == "taker"
                took[fill.price] = took.get(fill.price, D(0)) + fill.quantity
            shown = oracle.displayed(item.side)
            for price, quantity in took.items():
                assert quantity <= shown[price]
            assert list(took) == sorted(took, reverse=item.side is SELL)
        else:
            oracle.see(item)
            outcomes = m.handlers[type(item)](item)
            fills = [o for o in outcomes if isinstance(o, Fill)]
            if isinstance(item, TradeEvent):
                assert sum(f.quantity for f in fills) <= item.quantity
                for f in fills:
                    if f.liquidity == "taker":
                        assert f.order.side is item.side
                        assert f.price == item.price
                    else:
                        assert f.order.side is not item.side
                        assert f.price == f.order.limit
                        assert item.price <= f.price if f.order.side is BUY else item.price >= f.price
            else:
                for f in fills:
                    assert f.liquidity == "taker"
                    assert f.quantity <= oracle.displayed(f.order.side)[f.price]
        for o in outcomes:
            limit = o.order.limit
            assert D(0) <= o.order.filled <= o.order.quantity
            if isinstance(o, Fill):
                assert o.quantity > 0
                assert o.quantity % COIN.lot_size == 0
                if limit is not None:
                    assert o.price <= limit if o.order.side is BUY else o.price >= limit
                assert o.order.time_in_force is not TimeInForce.POST_ONLY or o.liquidity == "maker"
            elif o.order.time_in_force is TimeInForce.FOK:
                assert o.order.filled == 0


@pytest.mark.long
@given(records(), st.data())
def test_takes_from_an_unchanged_level_never_exceed_it(
    record: list[MarketEvent | WorkingOrder], data: st.DataObject
) -> None:
    m = Matcher(COIN)
    for item in record:
        if not isinstance(item, WorkingOrder):
            m.handlers[type(item)](item)
    shown = {side: {o.price: o.displayed for o in m.liquidity.offers(side, None) or ()} for side in Side}
    if not m.liquidity.displayed:
        return
    took: dict[tuple[Side, Decimal], Decimal] = {}
    for n in range(6):
        taker = order(data.draw(sides), data.draw(sizes), name=f"new {n}")
        for o in m.submit(taker):
            if isinstance(o, Fill):
                took[taker.side, o.price] = took.get((taker.side, o.price), D(0)) + o.quantity
    for (side, price), quantity in took.items():
        assert quantity <= shown[side][price]


def test_a_book_that_has_not_changed_for_long_while_trades_went_on_is_not_believed() -> None:
    seen = BOOK
    late = msgspec.structs.replace(trade(120, 2, Side.BUY), ts_ingress=10_000_000_001)
    in_time = msgspec.structs.replace(late, ts_ingress=10_000_000_000)

    assert matcher(seen, in_time).liquidity.displayed
    lost = matcher(seen, late).liquidity
    assert not lost.displayed
    assert lost.reference(Side.BUY) == 120
    lost.on_tick(msgspec.structs.replace(tick(119, 1, 121, 1), ts_ingress=10_000_000_002))
    assert lost.displayed
