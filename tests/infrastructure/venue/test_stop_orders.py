"""Stop orders of the venue: when they wait, trigger, expire, and are cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from matching_engine_kit import D, engine, place, refusal

from tickdeck.infrastructure.venue.matching import (
    ExecutionKind,
    MatchingEngine,
    Order,
    Refusal,
    Status,
    Type,
)


def stop(
    venue: MatchingEngine, account: str, side: str, quantity: str, at: str, limit: str | None = None, **more: Any
) -> Order:
    kind = Type.STOP_LOSS if limit is None else Type.STOP_LOSS_LIMIT
    return place(venue, account, side, quantity, limit, **{"type": kind, "stop_price": D(at), **more})


def trade(venue: MatchingEngine, price: str) -> None:
    place(venue, "#makers", "sell", "0.1", price)
    place(venue, "#takers", "buy", "0.1", price)


def with_makers() -> MatchingEngine:
    venue = engine()
    for account in ("#makers", "#takers"):
        venue.deposit(account, "USDT", D(10**9))
        venue.deposit(account, "BTC", D(10**9))
    return venue


@pytest.mark.parametrize(
    ("kind", "side", "stop_price", "before", "reaches"),
    [
        (Type.STOP_LOSS, "sell", "95", "96", "95"),
        (Type.STOP_LOSS, "buy", "105", "104", "105"),
        (Type.TAKE_PROFIT, "sell", "105", "104", "106"),
        (Type.TAKE_PROFIT, "buy", "95", "96", "94"),
    ],
)
def test_a_stop_order_waits_until_a_trade_reaches_its_price(
    kind: Type, side: str, stop_price: str, before: str, reaches: str
) -> None:
    venue = with_makers()
    trade(venue, "100")
    place(venue, "#makers", "buy", "50", "80")
    place(venue, "#makers", "sell", "50", "120")
    order = stop(venue, "ann", side, "1", stop_price, type=kind)
    assert (order.is_waiting, order.status, order.working_since) == (True, Status.NEW, 0)

    trade(venue, before)
    assert order.is_waiting
    trade(venue, reaches)

    assert (order.status, order.filled, venue.open_orders("ann")) == (Status.FILLED, D(1), [])
    kinds = [e.kind for e in venue.drain() if e.order is order]
    assert kinds == [ExecutionKind.NEW, ExecutionKind.TRIGGERED, ExecutionKind.TRADE]
    assert all(balance.locked == 0 for balance in venue.balances.of("ann").values())


def test_a_stop_that_is_already_reached_is_refused_and_changes_nothing() -> None:
    venue = with_makers()
    trade(venue, "90")

    assert refusal(stop, venue, "ann", "sell", "1", "95") is Refusal.WOULD_TRIGGER
    assert venue.balances.of("ann")["BTC"] == (D(100), D(0))
    assert venue.open_orders("ann") == []


def test_a_triggered_stop_limit_rests_at_its_limit_and_holds_its_coins() -> None:
    venue = with_makers()
    order = stop(venue, "ann", "sell", "1", "95", "94")
    place(venue, "#makers", "buy", "5", "90")
    place(venue, "#takers", "sell", "1", "90")

    assert (order.is_waiting, order.status, order.resting) == (False, Status.NEW, True)
    assert venue.balances.of("ann")["BTC"] == (D(99), D(1))
    venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    assert venue.balances.of("ann")["BTC"] == (D(100), D(0))


def test_one_stop_may_trigger_the_next() -> None:
    venue = with_makers()
    for price in ("95", "90", "85"):
        place(venue, "#makers", "buy", "1", price)
    first = stop(venue, "ann", "sell", "1", "95")
    second = stop(venue, "bob", "sell", "1", "90")

    place(venue, "#takers", "sell", "1", "95")

    assert (first.status, second.status) == (Status.FILLED, Status.FILLED)
    assert (first.spent, second.spent) == (D(90), D(85))


def test_a_waiting_stop_is_cancelled_reduced_and_counted() -> None:
    venue = engine()
    orders = [stop(venue, "ann", "buy", "1", "120") for _ in range(5)]

    assert refusal(stop, venue, "ann", "buy", "1", "120") is Refusal.MAX_NUM_ALGO_ORDERS
    venue.reduce("ann", "BTCUSDT", orders[0].number, D("0.5"), 2)
    assert venue.balances.of("ann")["USDT"].locked == D(540)
    for order in orders:
        venue.cancel("ann", "BTCUSDT", 2, number=order.number)
    assert venue.balances.of("ann")["USDT"] == (D(10_000), D(0))


def test_a_market_stop_that_the_account_can_no_longer_pay_expires() -> None:
    venue = with_makers()
    order = stop(venue, "ann", "buy", "80", "120")
    place(venue, "#makers", "sell", "200", "130")
    place(venue, "#takers", "buy", "1", "130")

    assert (order.status, order.filled) == (Status.EXPIRED, D(0))
    assert venue.balances.of("ann")["USDT"] == (D(10_000), D(0))
