"""The matcher compared with a naive oracle that reads the record in a different way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matching_kit import BOOK, BUY, COIN, SELL, D, S, delta, matcher, order, tick, trade

from tickdeck.domain.events import (
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import Fill, Matcher, Outcome, WorkingOrder
from tickdeck.domain.values import Side, TimeInForce

prices = st.integers(95, 105).map(D)
sizes = st.integers(1, 40).map(lambda n: D(n) / 10)
sides = st.sampled_from(list(Side))


@st.composite
def records(draw: st.DrawFn) -> list[MarketEvent | WorkingOrder]:
    """A random record with random orders. Only the update ids are regular."""
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
    """The displayed book, computed from the whole history, one event at a time."""

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
def test_fills_never_exceed_what_the_record_offered_at_that_time(record: list[MarketEvent | WorkingOrder]) -> None:
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


def test_a_book_that_stays_unchanged_while_trades_continue_is_not_trusted() -> None:
    seen = BOOK
    late = msgspec.structs.replace(trade(120, 2, Side.BUY), ts_ingress=10_000_000_001)
    in_time = msgspec.structs.replace(late, ts_ingress=10_000_000_000)

    assert matcher(seen, in_time).liquidity.displayed
    lost = matcher(seen, late).liquidity
    assert not lost.displayed
    assert lost.reference(Side.BUY) == 120
    lost.on_tick(msgspec.structs.replace(tick(119, 1, 121, 1), ts_ingress=10_000_000_002))
    assert lost.displayed
