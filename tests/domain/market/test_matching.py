"""The matcher's rules with a displayed book, one by one."""

from __future__ import annotations

import pytest
from matching_kit import BOOK, BUY, SELL, D, S, book, brief, candle, delta, matcher, order, tick, trade

from tickdeck.domain.events import (
    MarketEvent,
)
from tickdeck.domain.market import Ended, WorkingOrder
from tickdeck.domain.market.liquidity import Liquidity
from tickdeck.domain.values import OrderStatus, TimeInForce

# -- taking from a displayed book ---------------------------------------------------------------------------------


def test_market_buy_takes_the_book_level_by_level() -> None:
    assert brief(matcher(BOOK).submit(order(BUY, "2.5"))) == [("a", "101", "1", "taker"), ("a", "102", "1.5", "taker")]


def test_market_sell_takes_the_bids_from_the_highest_down() -> None:
    assert brief(matcher(BOOK).submit(order(SELL, 3))) == [("a", "99", "2", "taker"), ("a", "98", "1", "taker")]


def test_market_order_larger_than_the_book_expires_with_its_filled_part() -> None:
    outcomes = matcher(BOOK).submit(order(BUY, 20))
    assert brief(outcomes)[-1] == ("a", "expired", "", "")
    assert outcomes[-1].order.filled == 14


def test_marketable_limit_takes_to_its_limit_and_rests_with_the_remainder() -> None:
    m = matcher(BOOK)
    first = m.submit(order(BUY, 5, limit=102))
    assert brief(first) == [("a", "101", "1", "taker"), ("a", "102", "3", "taker")]
    assert brief(m.on_trade(trade(101.5, 3, SELL))) == [("a", "102", "1", "maker")]


def test_what_we_took_is_not_offered_again_until_the_record_changes_the_level() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1))
    assert brief(m.submit(order(BUY, 1, name="b"))) == [("b", "102", "1", "taker")]
    m.on_delta(delta(11, asks=[(101, "0.7")]))
    assert brief(m.submit(order(BUY, 2, name="c"))) == [("c", "101", "0.7", "taker"), ("c", "102", "1.3", "taker")]


def test_taking_the_same_level_in_parts_adds_up() -> None:
    m = matcher(tick(99, 2, 101, 5))
    for name in "abc":
        m.submit(order(BUY, 2, name=name))
    assert brief(m.submit(order(BUY, 1, name="d"))) == [("d", "expired", "", "")]


def test_with_ticks_alone_only_the_best_quantity_is_there() -> None:
    m = matcher(tick(99, 2, 101, "0.5"))
    assert brief(m.submit(order(BUY, 2))) == [("a", "101", "0.5", "taker"), ("a", "expired", "", "")]


def test_tick_without_an_ask_offers_nothing_to_a_buyer() -> None:
    assert brief(matcher(BOOK, tick(99, 2, 0, 0, 11)).submit(order(BUY, 1))) == [("a", "expired", "", "")]


def test_fresher_tick_takes_better_levels_away_and_sets_the_best() -> None:
    m = matcher(BOOK, tick(99, 2, 102, "0.4", update_id=11))
    assert brief(m.submit(order(BUY, 1))) == [("a", "102", "0.4", "taker"), ("a", "104", "0.6", "taker")]


def test_tick_older_than_the_book_is_skipped() -> None:
    m = matcher(tick(99, 2, 102, "0.4", update_id=9), BOOK)
    assert brief(m.submit(order(BUY, 1))) == [("a", "101", "1", "taker")]


def test_stale_tick_after_the_book_is_skipped() -> None:
    m = matcher(BOOK, tick(99, 2, 102, "0.4", update_id=9))
    assert brief(m.submit(order(BUY, 1))) == [("a", "101", "1", "taker")]


def test_tick_without_update_id_counts_until_the_book_changes() -> None:
    m = matcher(BOOK, tick(99, 2, 102, 1))
    assert m.worst_price(BUY, D(1)) == 102
    m.on_delta(delta(11, asks=[(101, 2)]))
    assert m.worst_price(BUY, D(1)) == 101


def test_trade_that_the_display_does_not_show_yet_is_subtracted() -> None:
    m = matcher(BOOK, trade(101, "0.6", BUY))
    assert brief(m.submit(order(BUY, 1, limit=101, tif=TimeInForce.IOC)))[0] == ("a", "101", "0.4", "taker")


def test_print_deeper_in_the_book_means_that_better_levels_are_gone() -> None:
    m = matcher(BOOK, trade(102, 1, BUY))
    assert brief(m.submit(order(BUY, 1))) == [("a", "102", "1", "taker")]
    bids = matcher(BOOK, trade(98, 1, SELL))
    assert brief(bids.submit(order(SELL, 1))) == [("a", "98", "1", "taker")]


@pytest.mark.parametrize(
    "shows",
    [tick(99, 2, 101, 1, 11), tick(99, 2, 101, 1), delta(11, asks=[(101, 1)])],
    ids=["tick", "undated", "delta"],
)
def test_display_after_a_trade_is_trusted_again(shows: MarketEvent) -> None:
    m = matcher(BOOK, trade(102, 1, BUY), shows)
    assert m.worst_price(BUY, D(1)) == 101


def test_stale_tick_does_not_restore_traded_quantity() -> None:
    assert matcher(BOOK, trade(102, 1, BUY), tick(99, 2, 101, 1, update_id=9)).worst_price(BUY, D(1)) == 102


def test_prints_under_an_unchanged_display_add_up_however_many_they_are() -> None:
    m = matcher(book(bids=[(99, 1)], asks=[(101, 500)]))
    for _ in range(3000):
        m.on_trade(trade(101, "0.1", BUY))
    assert brief(m.submit(order(BUY, 300)))[0] == ("a", "101", "200.0", "taker")
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
    assert brief(m.submit(order(BUY, 1))) == [("a", "expired", "", "")]


def test_crossed_book_is_not_trusted() -> None:
    m = matcher(book(bids=[(103, 1)], asks=[(101, 1)]))
    assert not m.liquidity.displayed
    assert m.submit(order(BUY, 1)) == []


def test_a_crossed_book_is_not_trusted_before_a_later_snapshot() -> None:
    m = matcher(BOOK, delta(11, bids=[(103, 1)]), delta(12, bids=[(103, 0)]))
    assert m.submit(order(BUY, 1)) == []
    assert brief(m.on_book(book(bids=[(99, 1)], asks=[(103, 4)], last=15))) == [("a", "103", "1", "taker")]


def test_crossed_best_prices_are_not_trusted() -> None:
    m = matcher(tick(99, 1, 101, 1), tick(101, 1, 101, 1))
    assert not m.liquidity.displayed
    assert m.submit(order(BUY, 1)) == []
    assert brief(m.on_tick(tick(99, 1, 102, 1))) == [("a", "102", "1", "taker")]


def test_book_with_a_gap_offers_nothing_until_it_is_resynced() -> None:
    m = matcher(BOOK, delta(15))
    assert m.submit(order(BUY, 1)) == []
    assert brief(m.on_book(book(bids=[(99, 1)], asks=[(103, 4)], last=15))) == [("a", "103", "1", "taker")]


def test_offered_quantities_are_cut_down_to_the_lot_size() -> None:
    assert brief(matcher(tick(99, 1, 101, "0.25")).submit(order(BUY, 1)))[0] == ("a", "101", "0.20", "taker")


# -- time in force ------------------------------------------------------------------------------------------------


def test_ioc_takes_what_is_there_and_expires() -> None:
    m = matcher(BOOK)
    outcomes = m.submit(order(BUY, 2, limit=101, tif=TimeInForce.IOC))
    assert brief(outcomes) == [("a", "101", "1", "taker"), ("a", "expired", "", "")]
    assert m.cancel("a") is None


def test_fok_that_cannot_be_filled_whole_takes_nothing() -> None:
    m = matcher(BOOK)
    assert brief(m.submit(order(BUY, "4.1", limit=102, tif=TimeInForce.FOK))) == [("a", "expired", "", "")]
    assert brief(m.submit(order(BUY, 4, limit=102, tif=TimeInForce.FOK, name="b"))) == [
        ("b", "101", "1", "taker"),
        ("b", "102", "3", "taker"),
    ]


def test_post_only_is_rejected_if_it_would_take_and_rests_otherwise() -> None:
    m = matcher(BOOK)
    taking = m.submit(order(BUY, 1, limit=101, tif=TimeInForce.POST_ONLY))
    assert isinstance(taking[0], Ended)
    assert taking[0].status is OrderStatus.REJECTED
    assert m.submit(order(BUY, 1, limit="100.5", tif=TimeInForce.POST_ONLY)) == []
    assert m.cancel("a") is not None


def test_post_only_is_rejected_even_where_we_took_all_that_was_displayed() -> None:
    m = matcher(tick(99, 1, 101, 1))
    m.submit(order(BUY, 1, name="b"))
    assert brief(m.submit(order(BUY, 1, limit=101, tif=TimeInForce.POST_ONLY))) == [("a", "rejected", "", "")]


# -- resting ------------------------------------------------------------------------------------------------------


def test_print_at_our_price_drains_the_queue_ahead_then_fills_us() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=99))
    assert brief(m.on_trade(trade(99, "1.5", SELL))) == []
    assert brief(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "0.5", "maker")]
    assert brief(m.on_trade(trade(99, 9, SELL))) == [("a", "99", "0.5", "maker")]
    assert brief(m.on_trade(trade(99, 9, SELL))) == []


def test_a_queue_off_the_lot_size_leaves_us_whole_lots() -> None:
    m = matcher(book([(99, "0.25")], [(101, 1)]))
    m.submit(order(BUY, 1, limit=99))
    assert brief(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "0.70", "maker")]


def test_cancels_in_the_book_never_advance_us() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=99))
    m.on_delta(delta(11, bids=[(99, "0.1")]))
    m.on_tick(tick(99, "0.1", 101, 1, 12))
    assert brief(m.on_trade(trade(99, 2, SELL))) == []
    assert brief(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "1", "maker")]


def test_print_through_our_price_fills_us_at_our_limit_up_to_its_quantity() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 3, limit=99))
    assert brief(m.on_trade(trade(98.5, 2, SELL))) == [("a", "99", "2", "maker")]
    # The level was passed, so nothing is ahead of us any more.
    assert brief(m.on_trade(trade(99, 1, SELL))) == [("a", "99", "1", "maker")]


def test_resting_sell_fills_by_buying_aggressors_only() -> None:
    m = matcher(BOOK)
    m.submit(order(SELL, 1, limit="100.5"))
    assert brief(m.on_trade(trade(102, 9, SELL))) == []
    assert brief(m.on_trade(trade(102, 9, BUY))) == [("a", "100.5", "1", "maker")]


def test_order_better_than_the_best_has_no_queue_ahead() -> None:
    m = matcher(BOOK)
    m.submit(order(SELL, 1, limit=100))
    assert brief(m.on_trade(trade(100, "0.3", BUY))) == [("a", "100", "0.3", "maker")]


@pytest.mark.parametrize("limit", ["98.5", "50"], ids=["between levels", "deeper than shown"])
def test_order_at_a_price_that_is_not_displayed_waits_for_a_print_through_it(limit: str) -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=limit))
    assert brief(m.on_trade(trade(limit, 1000, SELL))) == []
    assert brief(m.on_trade(trade(D(limit) - 1, "0.4", SELL))) == [("a", limit, "0.4", "maker")]


def test_with_ticks_alone_the_queue_is_known_at_the_best_only() -> None:
    m = matcher(tick(99, 2, 101, 1))
    m.submit(order(BUY, 1, limit=99, name="best"))
    m.submit(order(BUY, 1, limit=98, name="deeper"))
    assert brief(m.on_trade(trade(99, 3, SELL))) == [("best", "99", "1", "maker")]
    assert brief(m.on_trade(trade(98, 9, SELL))) == []


def test_two_orders_at_one_price_share_a_print_by_time() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 2, limit=99, name="first"))
    m.submit(order(BUY, 2, limit=99, name="second"))
    assert brief(m.on_trade(trade(99, 5, SELL))) == [("first", "99", "2", "maker"), ("second", "99", "1", "maker")]


def test_better_price_goes_before_earlier_time() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 2, limit="99.5", name="earlier"))
    m.submit(order(BUY, 2, limit="100", name="better"))
    fills = m.on_trade(trade("99.5", 3, SELL))
    assert brief(fills) == [("better", "100", "2", "maker"), ("earlier", "99.5", "1", "maker")]


def test_sells_are_served_from_the_lowest_price_up() -> None:
    m = matcher(BOOK)
    m.submit(order(SELL, 2, limit="100.5", name="higher"))
    m.submit(order(SELL, 2, limit="100", name="lower"))
    fills = m.on_trade(trade("101", 3, BUY))
    assert brief(fills) == [("lower", "100", "2", "maker"), ("higher", "100.5", "1", "maker")]


def test_cancelled_order_fills_no_more() -> None:
    m = matcher(BOOK)
    m.submit(order(BUY, 1, limit=99))
    cancelled = m.cancel("a")
    assert cancelled is not None
    assert cancelled.filled == 0
    assert brief(m.on_trade(trade(90, 9, SELL))) == []
    assert m.cancel("a") is None


# -- reference prices ----------------------------------------------------------------------------------------------


def test_reference_is_the_best_known_price() -> None:
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


def test_worst_price_is_none_if_nothing_is_offered() -> None:
    assert matcher(trade(90, 1, SELL)).worst_price(BUY, D(1)) is None
    assert matcher(BOOK).worst_price(BUY, D(1000)) == 104


def test_a_stop_that_a_trade_reaches_takes_from_the_displayed_book() -> None:
    market = matcher(book([(100, 1), (99, 3)], [(101, 5)]), trade(100.5, 1, BUY))
    stop = WorkingOrder(order_id="a", side=SELL, quantity=D(2), arrival=0, stop=D(99.5))
    assert market.submit(stop) == []

    assert brief(market.on_trade(trade(99.5, 1, SELL))) == [("a", "99", "2", "taker")]
    assert market.cancel("a") is None
