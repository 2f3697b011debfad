"""The matcher's rules with only trades or only candles."""

from __future__ import annotations

from matching_kit import BUY, COIN, SELL, book, brief, candle, delta, matcher, order, tick, trade

from tickdeck.domain.market import Matcher
from tickdeck.domain.values import TimeInForce

# -- trades alone -------------------------------------------------------------------------------------------------


def test_with_trades_alone_a_market_order_waits_for_prints_of_its_side() -> None:
    m = matcher(trade(100, 5, BUY))
    assert m.submit(order(BUY, 3)) == []
    assert brief(m.on_trade(trade(99, 9, SELL))) == []
    assert brief(m.on_trade(trade(100.5, 2, BUY))) == [("a", "100.5", "2", "taker")]
    assert brief(m.on_trade(trade(101, 2, BUY))) == [("a", "101", "1", "taker")]
    assert brief(m.on_trade(trade(101, 2, BUY))) == []


def test_with_trades_alone_takers_and_makers_share_one_print() -> None:
    m = matcher(trade(100, 5, BUY), trade(99, 5, SELL))
    m.submit(order(BUY, 2, name="taker"))
    m.submit(order(SELL, 9, limit="100.5", name="maker"))
    assert brief(m.on_trade(trade(101, 3, BUY))) == [("taker", "101", "2", "taker"), ("maker", "100.5", "1", "maker")]


def test_market_order_that_waits_expires_beyond_its_protection() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 3, worst=105))
    assert brief(m.on_trade(trade(105, 1, BUY))) == [("a", "105", "1", "taker")]
    assert brief(m.on_trade(trade("105.5", 1, BUY))) == [("a", "expired", "", "")]


def test_marketable_limit_rests_when_the_offer_moves_beyond_it() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 2, limit=100))
    assert brief(m.on_trade(trade(101, 5, BUY))) == []
    assert brief(m.on_trade(trade(100, 5, BUY))) == []  # it rests now, and no seller has come to it
    assert brief(m.on_trade(trade("99.5", 5, SELL))) == [("a", "100", "2", "maker")]


def test_limit_order_away_from_the_last_offer_rests_behind_an_unknown_queue() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 1, limit=99))
    assert brief(m.on_trade(trade(99, 1000, SELL))) == []
    assert brief(m.on_trade(trade("98.5", 1, SELL))) == [("a", "99", "1", "maker")]


def test_ioc_and_fok_are_decided_by_the_next_print_of_their_side() -> None:
    m = matcher(trade(100, 5, BUY))
    m.submit(order(BUY, 1, limit=100, tif=TimeInForce.FOK, name="fok-too-small"))
    m.submit(order(BUY, 2, limit=101, tif=TimeInForce.IOC, name="ioc"))
    m.submit(order(BUY, 1, limit=99, tif=TimeInForce.IOC, name="ioc-too-low"))
    assert brief(m.on_trade(trade(100, "0.5", BUY))) == [
        ("fok-too-small", "expired", "", ""),
        ("ioc", "100", "0.5", "taker"),
        ("ioc", "expired", "", ""),
        ("ioc-too-low", "expired", "", ""),
    ]


def test_post_only_without_a_book_uses_the_last_trade() -> None:
    m = matcher(trade(100, 5, BUY))
    assert brief(m.submit(order(BUY, 1, limit=100, tif=TimeInForce.POST_ONLY))) == [("a", "rejected", "", "")]
    assert m.submit(order(BUY, 1, limit="99.5", tif=TimeInForce.POST_ONLY, name="b")) == []


def test_order_that_waits_takes_from_the_book_as_soon_as_one_is_displayed() -> None:
    m = matcher()
    m.submit(order(BUY, 2))
    m.submit(order(SELL, 1, name="b"))
    assert brief(m.on_tick(tick(99, 5, 101, 5))) == [("a", "101", "2", "taker"), ("b", "99", "1", "taker")]


def test_delta_that_leaves_the_book_unusable_fills_nothing() -> None:
    m = matcher()
    m.submit(order(BUY, 2))
    assert brief(m.on_delta(delta(3))) == []
    assert brief(m.on_book(book(bids=[(1, 1)], asks=[(2, 2)], last=3))) == [("a", "2", "2", "taker")]


# -- candles alone ------------------------------------------------------------------------------------------------


def test_with_candles_alone_a_market_order_fills_at_the_next_open_within_a_share_of_the_volume() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 6, arrival=100))
    assert brief(m.on_candle(candle(100, 102, 103, 100, 101, 40))) == [("a", "102", "4.0", "taker")]
    assert brief(m.on_candle(candle(200, 101, 103, 100, 101, 90))) == [("a", "101", "2.0", "taker")]


def test_candle_that_opened_before_the_order_arrived_does_not_fill_it() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 1, arrival=150, name="market"))
    m.submit(order(BUY, 1, limit=99, arrival=150, name="limit"))
    assert brief(m.on_candle(candle(100, 98, 103, 90, 101, 40))) == []
    assert [name for name, *_ in brief(m.on_candle(candle(200, 98, 103, 90, 101, 40)))] == ["market", "limit"]


def test_candle_that_opened_within_the_grace_counts_as_after_the_arrival() -> None:
    m = Matcher(COIN, candle_grace_ns=30)
    m.on_candle(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 1, arrival=130))
    assert brief(m.on_candle(candle(100, 98, 103, 90, 101, 40))) == [("a", "98", "1", "taker")]


def test_resting_order_fills_only_where_the_candle_went_through_its_limit() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 3, limit=98))
    m.submit(order(SELL, 1, limit=103, name="b"))
    assert brief(m.on_candle(candle(100, 100, 103, 98, 101, 40))) == []
    assert brief(m.on_candle(candle(200, 100, 103, "97.5", 101, 20))) == [("a", "98", "2.0", "maker")]
    assert brief(m.on_candle(candle(300, 100, "103.5", "97.5", 101, 20))) == [
        ("a", "98", "1.0", "maker"),
        ("b", "103", "1", "maker"),
    ]


def test_post_only_with_candles_alone_uses_the_last_close() -> None:
    m = matcher(candle(0, 100, 101, 99, 100, 50))
    assert brief(m.submit(order(BUY, 1, limit=100, tif=TimeInForce.POST_ONLY))) == [("a", "rejected", "", "")]


def test_candles_next_to_a_better_record_fill_nothing() -> None:
    m = matcher(trade(100, 1, BUY), candle(0, 100, 101, 99, 100, 50))
    m.submit(order(BUY, 1))
    assert brief(m.on_candle(candle(100, 100, 103, 90, 101, 40))) == []
