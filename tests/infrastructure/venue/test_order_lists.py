"""Order lists (OCO) in the matching engine: two orders where a fill of one cancels the other."""

from __future__ import annotations

import msgspec
import pytest
from matching_engine_kit import D, engine, ids, place, refusal

from tickdeck.infrastructure.venue.matching import (
    Balance,
    ListStatus,
    MatchingEngine,
    NewOrder,
    OrderList,
    Refusal,
    SelfTrade,
    Status,
    Type,
)


def pair(
    venue: MatchingEngine,
    side: str = "sell",
    quantity: str = "1",
    target: str = "110",
    stop: str = "90",
    limit: str | None = None,
    client_id: str = "list",
    kind: Type = Type.LIMIT_MAKER,
) -> OrderList:
    def order(kind: Type, price: str | None, stop_price: str | None) -> NewOrder:
        return NewOrder(
            account="ann",
            symbol="BTCUSDT",
            is_buy=side == "buy",
            type=kind,
            quantity=D(quantity),
            price=D(price) if price else None,
            stop_price=D(stop_price) if stop_price else None,
            client_id=f"c{next(ids)}",
            self_trade=SelfTrade.EXPIRE_MAKER,
        )

    first = order(kind, target, None) if kind is Type.LIMIT_MAKER else order(kind, None, target)
    second = order(Type.STOP_LOSS_LIMIT if limit else Type.STOP_LOSS, limit, stop)
    return venue.place_list((first, second), client_id, 1)


def statuses(venue: MatchingEngine, found: OrderList) -> list[Status]:
    return [leg.status for leg in venue.lists.legs(found)]


def trade(venue: MatchingEngine, price: str) -> None:
    """Let the last price be this one."""
    place(venue, "bob", "sell", "0.1", price)
    place(venue, "cyd", "buy", "0.1", price)


def test_a_pair_locks_its_coins_once() -> None:
    venue = engine()
    pair(venue, quantity="60")
    assert venue.balances.of("ann")["BTC"] == Balance(D(40), D(60))


def test_a_buy_locks_what_the_dearer_order_needs_and_less_when_the_cheaper_one_trades() -> None:
    venue = engine()
    pair(venue, "buy", "10", target="90", stop="110", limit="115")
    assert venue.balances.of("ann")["USDT"].locked == D(1_150)

    place(venue, "bob", "sell", "4", "90")

    assert venue.balances.of("ann")["USDT"] == Balance(D(10_000) - 900, D(540))


def test_the_target_fills_in_parts_and_the_stop_expires_with_the_first() -> None:
    venue = engine()
    found = pair(venue, quantity="2")
    assert venue.drain_lists()[0].status is ListStatus.STARTED

    place(venue, "bob", "buy", "0.5", "110")
    assert statuses(venue, found) == [Status.PARTIALLY_FILLED, Status.EXPIRED]
    assert not found.done
    trade(venue, "89")  # the stop is gone
    place(venue, "bob", "buy", "1.5", "110")

    assert statuses(venue, found) == [Status.FILLED, Status.EXPIRED]
    assert [change.status for change in venue.drain_lists()] == [ListStatus.DONE]
    assert found.done
    assert venue.balances.of("ann")["BTC"].locked == 0


@pytest.mark.parametrize(("limit", "after"), [(None, Status.FILLED), ("89", Status.NEW)])
def test_the_stop_is_reached_and_the_target_expires(limit: str | None, after: Status) -> None:
    venue = engine()
    trade(venue, "100")
    found = pair(venue, limit=limit)
    if limit is None:
        place(venue, "bob", "buy", "5", "88")

    trade(venue, "90")

    assert statuses(venue, found) == [Status.EXPIRED, after]
    assert found.done is (limit is None)
    assert venue.lists.legs(found)[0].ended_by_list
    assert venue.balances.of("ann")["BTC"].locked == (0 if limit is None else 1)


def test_cancelling_one_order_cancels_both() -> None:
    venue = engine()
    found = pair(venue)

    venue.cancel("ann", "BTCUSDT", 2, number=found.orders[1])

    assert statuses(venue, found) == [Status.CANCELED] * 2
    assert found.done
    assert venue.balances.of("ann")["BTC"] == Balance(D(100), D(0))


def test_an_expiry_or_self_trade_prevention_ends_both() -> None:
    venue = engine()
    found = pair(venue)
    place(venue, "ann", "buy", "1", "110", self_trade=SelfTrade.EXPIRE_MAKER)
    assert statuses(venue, found) == [Status.EXPIRED_IN_MATCH, Status.EXPIRED]
    other = pair(venue, client_id="other", target="120")
    venue.expire(venue.lists.legs(other)[0], 2)
    assert statuses(venue, other) == [Status.EXPIRED] * 2


def test_an_amend_changes_both_orders_and_a_new_client_id_is_reported() -> None:
    venue = engine()
    found = pair(venue, quantity="2")
    venue.drain_lists()

    venue.reduce("ann", "BTCUSDT", found.orders[0], D("1.5"), 2, client_id="new")

    assert [leg.quantity for leg in venue.lists.legs(found)] == [D("1.5")] * 2
    assert [change.status for change in venue.drain_lists()] == [ListStatus.UPDATED]
    assert venue.balances.of("ann")["BTC"].locked == D("1.5")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"target": "100"}, Refusal.PRICE_RELATION),
        ({"stop": "100"}, Refusal.PRICE_RELATION),
        ({"side": "buy"}, Refusal.PRICE_RELATION),
        ({"quantity": "100.1"}, Refusal.INSUFFICIENT_BALANCE),
        ({"quantity": "0.15"}, Refusal.LOT_SIZE),
        ({"target": "110.5"}, Refusal.PRICE_FILTER),
        ({"client_id": "first"}, Refusal.DUPLICATE_CLIENT_ID),
        ({"kind": Type.TAKE_PROFIT, "target": "100"}, Refusal.PRICE_RELATION),
    ],
)
def test_a_bad_pair_is_refused_and_changes_nothing(more: dict[str, str], reason: Refusal) -> None:
    venue = engine()
    trade(venue, "100")
    pair(venue, client_id="first", quantity="0.1")
    before = venue.balances.of("ann")

    assert refusal(pair, venue, **more) is reason

    assert venue.balances.of("ann") == before
    assert len(venue.open_orders("ann")) == 2


def test_a_target_that_would_take_is_refused() -> None:
    venue = engine()
    place(venue, "bob", "buy", "1", "120")
    assert refusal(pair, venue) is Refusal.WOULD_TAKE


def test_stops_and_lists_are_counted() -> None:
    venue = engine(max_order_lists=1)
    pair(venue, client_id="a")
    assert refusal(pair, venue, client_id="b") is Refusal.MAX_NUM_ORDER_LISTS
    venue = engine(max_stop_orders=1)
    assert refusal(pair, venue, kind=Type.TAKE_PROFIT) is Refusal.MAX_NUM_ALGO_ORDERS


def test_a_list_is_found_by_both_ids_and_forgotten_with_its_orders() -> None:
    venue = MatchingEngine([msgspec.structs.replace(next(iter(engine().markets.values())))], keep=1)
    venue.deposit("ann", "BTC", D(1_000_000))
    found = pair(venue)
    assert venue.lists.find("ann", found.number, "") is found
    assert venue.lists.find("ann", None, "list") is found
    assert venue.lists.find("bob", found.number, "") is None
    venue.cancel("ann", "BTCUSDT", 2, number=found.orders[0])

    for _ in range(1_100):
        order = place(venue, "ann", "sell", "1", "100")
        venue.cancel("ann", "BTCUSDT", 2, number=order.number)

    assert venue.lists.by_number == {}
