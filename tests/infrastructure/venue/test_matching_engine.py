"""The venue's matching engine: fees, filters, refusals, self-trade prevention, and what it keeps of old orders."""

from __future__ import annotations

from decimal import Decimal

import pytest
from matching_engine_kit import BTC, D, engine, place, refusal

from tickdeck.infrastructure.venue.matching import (
    ExecutionKind,
    Market,
    MarketStatus,
    MatchingEngine,
    NewOrder,
    Refusal,
    SelfTrade,
    Status,
)


def test_fees_are_paid_in_the_chosen_asset_at_a_discount_while_it_lasts() -> None:
    bnb = Market(symbol="BNBUSDT", base="BNB", quote="USDT", tick_size=D(1), step_size=D("0.1"), min_quantity=D("0.1"))
    venue = MatchingEngine([BTC, bnb])
    for account in ("ann", "#makers"):
        for asset in ("USDT", "BTC", "BNB"):
            venue.deposit(account, asset, D(1_000) if asset != "BNB" else D(1))
    venue.pay_fees_in("ann", "BNB")
    totals = {asset: venue.balances.total(asset) for asset in ("BTC", "USDT", "BNB")}
    place(venue, "#makers", "sell", "9", "100")

    place(venue, "ann", "buy", "1", "100")  # the value of BNB is not known yet
    for account, is_buy in (("#makers", False), ("ann", True)):
        request = NewOrder(
            account=account, symbol="BNBUSDT", is_buy=is_buy, quantity=D("0.5"), price=D(10), client_id="bnb"
        )
        venue.place(request, 1)
    venue.drain()
    place(venue, "ann", "buy", "1", "100")

    paid = [e for e in venue.drain() if e.kind is ExecutionKind.TRADE and not e.is_maker]
    assert [(e.commission, e.commission_asset) for e in paid] == [(D("0.0075"), "BNB")]
    assert venue.balances.of("ann")["BTC"].free == D(1_000) + 2 - D("0.001")
    left = venue.balances.of("ann")["BNB"].free
    venue.deposit("ann", "BNB", -left)
    place(venue, "ann", "buy", "1", "100")
    assert venue.drain()[-2].commission_asset == "BTC"
    totals["BNB"] -= left
    assert {asset: venue.balances.total(asset) for asset in totals} == totals


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        ("0.05", "100", Refusal.LOT_SIZE),
        ("0.15", "100", Refusal.LOT_SIZE),
        ("10000", "100", Refusal.LOT_SIZE),
        ("1", "100.5", Refusal.PRICE_FILTER),
        ("1", "0", Refusal.PRICE_FILTER),
        ("0.1", "9", Refusal.NOTIONAL),
        ("101", "100", Refusal.INSUFFICIENT_BALANCE),
    ],
)
def test_orders_that_violate_a_filter_or_the_balance_are_refused(quantity: str, price: str, reason: Refusal) -> None:
    assert refusal(place, engine(), "ann", "buy", quantity, price) is reason


def test_a_client_id_may_be_reused_only_when_its_order_has_ended() -> None:
    venue = engine()
    order = place(venue, "ann", "buy", "1", "50", client_id="same")

    assert refusal(place, venue, "ann", "buy", "1", "50", client_id="same") is Refusal.DUPLICATE_CLIENT_ID
    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    again = place(venue, "ann", "buy", "1", "50", client_id="same")

    assert venue.find("ann", "BTCUSDT", client_id="same") is again


def test_another_accounts_order_cannot_be_seen_or_cancelled() -> None:
    venue = engine()
    order = place(venue, "ann", "buy", "1", "50", client_id="mine")

    assert venue.find("bob", "BTCUSDT", number=order.number) is None
    assert refusal(venue.cancel, "bob", "BTCUSDT", 2, number=order.number) is Refusal.UNKNOWN_ORDER


def test_a_halted_market_refuses_orders_and_a_cancel_only_one_allows_cancels() -> None:
    venue = engine()
    order = place(venue, "ann", "buy", "1", "50")

    venue.set_status("BTCUSDT", MarketStatus.HALT)
    assert refusal(place, venue, "ann", "buy", "1", "50") is Refusal.MARKET_CLOSED
    assert refusal(venue.cancel, "ann", "BTCUSDT", 2, number=order.number) is Refusal.MARKET_CLOSED

    venue.set_status("BTCUSDT", MarketStatus.CANCEL_ONLY)
    assert refusal(place, venue, "ann", "buy", "1", "50") is Refusal.MARKET_CLOSED
    assert venue.cancel("ann", "BTCUSDT", 3, number=order.number).status is Status.CANCELED


# -- self-trade prevention --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "maker", "taker", "taker_fills"),
    [
        (SelfTrade.NONE, Status.FILLED, Status.PARTIALLY_FILLED, D(1)),
        (SelfTrade.EXPIRE_TAKER, Status.NEW, Status.EXPIRED_IN_MATCH, D(0)),
        (SelfTrade.EXPIRE_MAKER, Status.EXPIRED_IN_MATCH, Status.NEW, D(0)),
        (SelfTrade.EXPIRE_BOTH, Status.EXPIRED_IN_MATCH, Status.EXPIRED_IN_MATCH, D(0)),
        (SelfTrade.DECREMENT, Status.EXPIRED_IN_MATCH, Status.NEW, D(0)),
    ],
)
def test_orders_of_one_account_meet_by_the_takers_mode(
    mode: SelfTrade, maker: Status, taker: Status, taker_fills: Decimal
) -> None:
    venue = engine()
    resting = place(venue, "ann", "sell", "1", "100")

    taking = place(venue, "ann", "buy", "3", "100", self_trade=mode)

    assert (resting.status, taking.status, taking.filled) == (maker, taker, taker_fills)
    if mode is SelfTrade.DECREMENT:
        assert (taking.remaining, taking.prevented) == (D(2), D(1))
    prevented = [e for e in venue.drain() if e.kind is ExecutionKind.TRADE_PREVENTION]
    assert bool(prevented) == (mode is not SelfTrade.NONE)


# -- reports ----------------------------------------------------------------------------------------------------------


def test_each_execution_carries_the_orders_figures_of_its_moment() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "1", "101")
    venue.drain()

    place(venue, "bob", "buy", "2", "101")

    mine = [e for e in venue.drain() if e.order.account == "bob"]
    assert [e.kind for e in mine] == [ExecutionKind.NEW, ExecutionKind.TRADE, ExecutionKind.TRADE]
    assert [(e.filled, e.spent, e.status) for e in mine[1:]] == [
        (D(1), D(100), Status.PARTIALLY_FILLED),
        (D(2), D(201), Status.FILLED),
    ]
    assert (mine[1].commission, mine[1].commission_asset) == (D("0.001"), "BTC")


def test_changed_levels_are_reported_once_with_their_current_quantity() -> None:
    venue = engine()
    order = place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "2", "100")
    assert venue.take_changed_levels("BTCUSDT") == [(False, D(100), D(3))]

    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    place(venue, "bob", "buy", "2", "100")

    assert venue.take_changed_levels("BTCUSDT") == [(False, D(100), D(0))]
    assert venue.take_changed_levels("BTCUSDT") == []


def test_a_level_that_empties_and_refills_is_reported_once() -> None:
    venue = engine()
    order = place(venue, "ann", "sell", "1", "100")
    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    place(venue, "bob", "sell", "3", "100")

    assert venue.take_changed_levels("BTCUSDT") == [(False, D(100), D(3))]
    assert venue.depth("BTCUSDT", 5)[1] == [(D(100), D(3))]


def test_a_queue_does_not_grow_with_the_orders_that_left_it() -> None:
    venue = engine()
    first = place(venue, "ann", "sell", "1", "100")
    for _ in range(1_000):
        order = place(venue, "bob", "sell", "1", "100")
        venue.cancel("bob", "BTCUSDT", 2, number=order.number)
    second = place(venue, "bob", "sell", "1", "100")

    assert len(venue._desks["BTCUSDT"].book.asks.levels[D(100)].orders) < 50
    place(venue, "cyd", "buy", "1.5", "100")
    assert (first.filled, second.filled) == (D(1), D("0.5"))


def test_finished_orders_are_forgotten_beyond_what_is_kept() -> None:
    venue = MatchingEngine([BTC], keep=10)
    venue.deposit("ann", "USDT", D(10_000))
    for _ in range(3_000):
        order = place(venue, "ann", "buy", "0.1", "50")
        venue.cancel("ann", "BTCUSDT", 2, number=order.number)

    assert len(venue.orders("ann", "BTCUSDT")) <= 1_010
    assert venue.find("ann", "BTCUSDT", number=order.number) is order


def test_orders_of_other_traders_do_not_evict_those_of_clients() -> None:
    venue = MatchingEngine([BTC], keep=10)
    venue.deposit("ann", "USDT", D(10_000))
    venue.deposit("#makers", "USDT", D(10_000))
    mine = place(venue, "ann", "buy", "0.1", "50")
    venue.cancel("ann", "BTCUSDT", 2, number=mine.number)
    for _ in range(3_000):
        order = place(venue, "#makers", "buy", "0.1", "50")
        venue.cancel("#makers", "BTCUSDT", 2, number=order.number)

    assert venue.find("ann", "BTCUSDT", number=mine.number) is mine
    assert venue.orders("#makers", "BTCUSDT") == []
