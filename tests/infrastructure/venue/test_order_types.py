"""The venue's matching: priority, makers and takers, times in force, market orders, amends."""

from __future__ import annotations

from matching_engine_kit import D, engine, place, refusal

from tickdeck.infrastructure.venue.matching import (
    ExecutionKind,
    NewOrder,
    Refusal,
    Status,
    Tif,
    Type,
)


def test_the_better_price_fills_first_and_within_a_price_the_earlier_order() -> None:
    venue = engine()
    late_good = place(venue, "ann", "sell", "1", "101")
    first = place(venue, "bob", "sell", "1", "100")
    second = place(venue, "ann", "sell", "1", "100")

    taker = place(venue, "cyd", "buy", "1.5", "101")

    assert (taker.status, taker.spent) == (Status.FILLED, D("150"))
    assert (first.filled, second.filled, late_good.filled) == (D(1), D("0.5"), D(0))


def test_a_taker_gets_the_makers_price_and_the_rest_of_its_lock_back() -> None:
    venue = engine()
    place(venue, "ann", "sell", "2", "100")

    place(venue, "bob", "buy", "2", "120")

    free, locked = venue.balances.of("bob")["USDT"]
    assert (free, locked) == (D(10_000) - 200, D(0))


def test_a_reduced_order_keeps_its_place_in_the_queue() -> None:
    venue = engine()
    first = place(venue, "ann", "sell", "2", "100")
    second = place(venue, "bob", "sell", "1", "100")

    venue.reduce("ann", "BTCUSDT", first.number, D(1), 2)
    place(venue, "cyd", "buy", "1", "100")

    assert (first.status, second.filled) == (Status.FILLED, D(0))
    assert venue.balances.of("ann")["BTC"].locked == 0


# -- order types ------------------------------------------------------------------------------------------------------


def test_an_ioc_order_takes_what_it_can_and_expires() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")

    order = place(venue, "bob", "buy", "3", "100", tif=Tif.IOC)

    assert (order.status, order.filled) == (Status.EXPIRED, D(1))
    assert venue.balances.of("bob")["USDT"].locked == 0


def test_a_fok_order_fills_whole_or_not_at_all() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "1", "101")

    short = place(venue, "bob", "buy", "2.1", "101", tif=Tif.FOK)
    whole = place(venue, "bob", "buy", "2", "101", tif=Tif.FOK)

    assert (short.status, short.filled) == (Status.EXPIRED, D(0))
    assert (whole.status, whole.spent) == (Status.FILLED, D(201))


def test_a_post_only_order_that_would_take_is_refused_and_changes_nothing() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")

    assert refusal(place, venue, "bob", "buy", "1", "100", type=Type.LIMIT_MAKER) is Refusal.WOULD_TAKE
    assert venue.balances.of("bob")["USDT"] == (D(10_000), D(0))
    assert venue.open_orders("bob") == []


def test_a_market_order_takes_level_by_level_and_the_rest_expires() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "1", "110")

    order = place(venue, "bob", "buy", "5")

    assert (order.status, order.filled, order.spent) == (Status.EXPIRED, D(2), D(210))


def test_a_market_buy_sized_in_quote_spends_no_more_than_asked() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")
    place(venue, "ann", "sell", "5", "110")

    order = venue.place(
        NewOrder(account="bob", symbol="BTCUSDT", is_buy=True, type=Type.MARKET, quote_quantity=D(250), client_id="q"),
        1,
    )

    assert (order.status, order.spent, order.filled) == (Status.FILLED, D(243), D("2.3"))
    assert venue.balances.of("bob")["USDT"] == (D(10_000) - 243, D(0))


def test_an_order_sized_in_quote_reports_its_last_trade_as_the_one_that_filled_it() -> None:
    venue = engine()
    place(venue, "ann", "sell", "5", "100")
    venue.drain()

    venue.place(
        NewOrder(account="bob", symbol="BTCUSDT", is_buy=True, type=Type.MARKET, quote_quantity=D(255), client_id="q"),
        1,
    )

    mine = [e for e in venue.drain() if e.order.account == "bob"]
    assert [(e.kind, e.status) for e in mine] == [
        (ExecutionKind.NEW, Status.NEW),
        (ExecutionKind.TRADE, Status.FILLED),
    ]


def test_an_order_sized_in_quote_expires_when_the_book_is_empty() -> None:
    venue = engine()
    place(venue, "ann", "sell", "1", "100")

    order = venue.place(
        NewOrder(account="bob", symbol="BTCUSDT", is_buy=True, type=Type.MARKET, quote_quantity=D(255), client_id="q"),
        1,
    )

    assert (order.status, order.filled) == (Status.EXPIRED, D(1))


def test_an_amended_order_answers_to_its_new_client_id_alone() -> None:
    venue = engine()
    order = place(venue, "ann", "sell", "2", "100", client_id="old")

    venue.reduce("ann", "BTCUSDT", order.number, D(1), 2, client_id="new")

    assert venue.find("ann", "BTCUSDT", client_id="new") is order
    assert venue.find("ann", "BTCUSDT", client_id="old") is None


def test_filters_do_not_bind_the_venues_own_accounts() -> None:
    venue = engine(max_orders=1)
    venue.deposit("#makers", "BTC", D(10))

    for _ in range(2):
        place(venue, "#makers", "sell", "0.01", "100.5")

    assert venue.depth("BTCUSDT", 5)[1] == [(D("100.5"), D("0.02"))]
