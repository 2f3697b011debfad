"""Market data, orders and a matcher for the tests of matching."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tickdeck.domain.events import (
    CandleEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import Fill, Instrument, Matcher, Outcome, WorkingOrder
from tickdeck.domain.values import Side, TimeInForce

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


def brief(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str, str]]:
    """Fills as (order, price, quantity, liquidity), ends as (order, status, "", "")."""
    return [
        (o.order.order_id, str(o.price), str(o.quantity), o.liquidity)
        if isinstance(o, Fill)
        else (o.order.order_id, o.status.value, "", "")
        for o in outcomes
    ]


BOOK = book(bids=[(99, 2), (98, 5), (97, 1)], asks=[(101, 1), (102, 3), (104, 10)])
