"""Resting orders by price and time, and the cost of a cancel in a deep queue."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.market import Fill, Instrument, Matcher, WorkingOrder
from tickdeck.domain.market.resting import RestingOrders
from tickdeck.domain.values import Side

D = Decimal
SIDES = st.sampled_from(Side)


def order(n: int, price: Decimal, side: Side = Side.BUY) -> WorkingOrder:
    return WorkingOrder(order_id=str(n), side=side, quantity=D(1), arrival=n, limit=price)


@given(SIDES, st.lists(st.tuples(st.integers(0, 6), st.booleans())), st.integers(-1, 7))
def test_orders_are_sorted_by_price_and_time(side: Side, steps: list[tuple[int, bool]], asked: int) -> None:
    resting, oracle = RestingOrders[WorkingOrder](side), list[WorkingOrder]()
    for n, (price, adds) in enumerate(steps):
        if adds or not oracle:
            oracle.append(order(n, D(price), side))
            resting.add(oracle[-1])
        else:
            resting.remove(oracle.pop(price % len(oracle)))

    def limit(resting_order: WorkingOrder) -> Decimal:
        return resting_order.limit or D(0)

    better = [o for o in oracle if (limit(o) > asked if side is Side.BUY else limit(o) < asked)]
    better.sort(key=lambda o: -limit(o) if side is Side.BUY else limit(o))
    assert list(resting.better_than(D(asked))) == better
    assert resting.at(D(asked)) == [o for o in oracle if limit(o) == asked]


def test_a_price_keeps_all_its_digits() -> None:
    price = D("1." + "0" * 40 + "1")
    resting = RestingOrders[WorkingOrder](Side.BUY)
    resting.add(order(1, price))
    assert resting.at(price)
    resting.remove(order(1, price))
    assert not resting


class Compared(WorkingOrder, eq=False):
    """Counts how often an order is compared with another one."""

    def __eq__(self, other: object) -> bool:
        comparisons.append(1)
        return self is other

    __hash__ = None  # type: ignore[assignment]


comparisons: list[int] = []


def test_a_cancel_in_a_deep_queue_looks_at_no_other_order() -> None:
    matcher = Matcher(Instrument(symbol="BTCUSDT", base="BTC", quote="USDT"))
    for n in range(2_000):
        matcher.submit(Compared(order_id=str(n), side=Side.BUY, quantity=D(1), arrival=n, limit=D(100 + n % 2)))
    comparisons.clear()

    for n in reversed(range(2_000)):
        assert matcher.cancel(str(n)) is not None

    assert comparisons == []


def test_a_trade_looks_only_at_the_orders_that_it_reaches() -> None:
    matcher = Matcher(Instrument(symbol="BTCUSDT", base="BTC", quote="USDT"))
    for n in range(2_000):
        matcher.submit(order(n, D(100 + n)))
    visited: list[str] = []
    resting = matcher._bids

    class Watched(RestingOrders[WorkingOrder]):
        def better_than(self, price: Decimal) -> list[WorkingOrder]:  # type: ignore[override]
            orders = list(super().better_than(price))
            visited.extend(o.order_id for o in orders)
            return orders

    matcher._bids = Watched(Side.BUY)
    for level in resting.values():
        for resting_order in level.values():
            matcher._bids.add(resting_order)

    sale = TradeEvent(symbol="BTCUSDT", price=D(2_097), quantity=D(5), side=Side.SELL)
    fills = [outcome for outcome in matcher.on_trade(sale) if isinstance(outcome, Fill)]

    assert visited == ["1999", "1998"]
    assert [fill.price for fill in fills] == [2_099, 2_098]
