"""The effect of an amend on an order's place in the queue."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.domain.events import OrderBookDeltaEvent, OrderBookEvent, TradeEvent
from tickdeck.domain.market import Fill, Instrument, Matcher, Outcome, WorkingOrder
from tickdeck.domain.values import Side, TimeInForce

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
COIN = Instrument(symbol="B", base="B", quote="Q", tick_size=D("0.5"), lot_size=D("0.1"))
BOOK = OrderBookEvent(
    symbol="B", last_update_id=1, bids=((D(99), D(3)), (D(98), D(5))), asks=((D(101), D(1)), (D(102), D(4)))
)


def sold(quantity: str, price: str = "99") -> TradeEvent:
    return TradeEvent(symbol="B", price=D(price), quantity=D(quantity), side=SELL)


def resting(name: str = "a", quantity: str = "2", limit: str = "99") -> WorkingOrder:
    return WorkingOrder(order_id=name, side=BUY, quantity=D(quantity), limit=D(limit), arrival=0)


def matcher_with(*orders: WorkingOrder) -> Matcher:
    matcher = Matcher(COIN)
    matcher.on_book(BOOK)
    for order in orders:
        assert matcher.submit(order) == []
    return matcher


def fills(outcomes: list[Outcome] | tuple[Outcome, ...]) -> list[tuple[str, str, str]]:
    return [(o.order.order_id, f"{o.quantity}", o.liquidity) for o in outcomes if isinstance(o, Fill)]


def test_a_print_that_drains_the_queue_fills_an_order_that_was_not_amended() -> None:
    matcher = matcher_with(resting())
    assert matcher.on_trade(sold("2")) == []
    assert fills(matcher.on_trade(sold("2"))) == [("a", "1", "maker")]


@pytest.mark.parametrize(
    ("quantity", "limit"), [("3", "99"), ("2", "98"), ("1", "98")], ids=["more", "another price", "both"]
)
def test_an_amend_to_more_or_to_another_price_goes_to_the_back(quantity: str, limit: str) -> None:
    matcher = matcher_with(resting())
    matcher.on_trade(sold("2"))

    assert matcher.amend("a", D(quantity), D(limit), arrival=5) == []
    if limit == "98":
        matcher.amend("a", D(quantity), D("99"), arrival=6)  # back at the old price, behind the whole level again

    assert matcher.on_trade(sold("2")) == []
    assert matcher.on_trade(sold("1")) == []
    assert fills(matcher.on_trade(sold("1"))) == [("a", "1", "maker")]


def test_a_smaller_quantity_at_the_same_price_keeps_its_place() -> None:
    order = resting()
    matcher = matcher_with(order)
    matcher.on_trade(sold("2"))

    assert matcher.amend("a", D(1), D(99), arrival=5) == []

    assert fills(matcher.on_trade(sold("5"))) == [("a", "1", "maker")]
    assert order.remaining == 0


def test_an_amended_order_goes_behind_our_own_others_at_that_price() -> None:
    first, second = resting("first", "1"), resting("second", "1")
    matcher = matcher_with(first, second)

    matcher.amend("first", D("1.1"), D(99), arrival=5)

    assert fills(matcher.on_trade(sold("4"))) == [("second", "1", "maker")]


def test_an_amend_through_the_spread_takes() -> None:
    matcher = matcher_with(resting())
    assert fills(matcher.amend("a", D(2), D(101), arrival=5)) == [("a", "1", "taker")]
    assert fills(matcher.on_trade(sold("3", "100"))) == [("a", "1", "maker")]


def test_an_amended_order_counts_as_arrived_then() -> None:
    order = resting()
    matcher_with(order).amend("a", D(3), D(99), arrival=5)
    assert order.arrival == 5


def test_would_take_works_with_a_book_with_trades_and_with_nothing() -> None:
    matcher = matcher_with()
    assert matcher.takes(BUY, D(101))
    assert not matcher.takes(BUY, D("100.5"))
    assert matcher.takes(SELL, D(99))
    prints = Matcher(COIN)
    assert not prints.takes(BUY, D(1_000))
    prints.on_trade(TradeEvent(symbol="B", price=D(100), quantity=D(1), side=BUY))
    assert prints.takes(BUY, D(100))
    assert not prints.takes(BUY, D("99.5"))
    prints.on_trade(sold("1", "98"))
    assert prints.takes(SELL, D(98))
    assert not prints.takes(SELL, D("98.5"))


def test_an_amended_order_that_waits_for_a_display_continues_to_wait() -> None:
    matcher = Matcher(COIN)
    matcher.on_trade(TradeEvent(symbol="B", price=D(100), quantity=D(1), side=BUY))
    order = WorkingOrder(order_id="a", side=BUY, quantity=D(1), limit=D(100), arrival=0, time_in_force=TimeInForce.GTC)
    assert matcher.submit(order) == []

    assert matcher.amend("a", D(1), D(101), arrival=1) == []
    matcher.on_book(BOOK)
    taken = matcher.on_delta(OrderBookDeltaEvent(symbol="B", first_update_id=2, last_update_id=2))

    assert order.limit == order.worst == 101
    assert not order.remaining or fills(taken)
