"""A pair of stop and target at the venue on localhost, which a run sees as one order."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal

import pytest
from venue_account_kit import in_venue

from tickdeck.application.ports import OrderRequest
from tickdeck.domain.events import FeedConnected, OrderSubmittedEvent, VenueFillReported, VenueOrderReported
from tickdeck.domain.trading import Order
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import NotSupported, UnknownOrder
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.pairs import PairsAsOrders
from tickdeck.infrastructure.venue import RunningVenue

D = Decimal
BTC = "BTCUSDT"
ID = "td" + "0" * 28
WANTED = OrderRequest(
    client_order_id=ID, symbol=BTC, side=Side.SELL, quantity=D("0.5"), limit=D(55_000), stop=D(45_000)
)


def wrapped(exchange: BinanceExchange) -> PairsAsOrders:
    order = Order(
        OrderSubmittedEvent(order_id=ID, symbol=BTC, side=Side.SELL, quantity=D("0.5"), limit=D(55_000), stop=D(45_000))
    )
    return PairsAsOrders(exchange, {ID: order})


def test_a_pair_is_placed_found_and_cancelled_as_one_order() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        pairs = wrapped(exchange)
        placed = await pairs.place(WANTED)
        assert (placed.client_order_id, placed.status, placed.filled) == (ID, OrderStatus.ACCEPTED, 0)
        assert [order.client_order_id for order in await pairs.open_orders(BTC)] == [ID]
        found = await wrapped(exchange).order(BTC, client_order_id=ID)
        assert (found.status, found.quantity, found.limit) == (OrderStatus.ACCEPTED, D("0.5"), D(55_000))
        assert found.venue_order_id == placed.venue_order_id

        cancelled = await pairs.cancel(BTC, client_order_id=ID)

        assert cancelled.status is OrderStatus.CANCELLED
        assert await pairs.open_orders(BTC) == ()
        with pytest.raises(UnknownOrder):
            await pairs.cancel(BTC, client_order_id=ID)

    in_venue(body)


@pytest.mark.parametrize(("quantity", "status"), [("0.2", OrderStatus.PARTIALLY_FILLED), ("0.5", OrderStatus.FILLED)])
def test_a_fill_of_the_target_is_one_of_the_order_and_ends_the_stop(quantity: str, status: OrderStatus) -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        pairs = wrapped(exchange)
        placed = await pairs.place(WANTED)
        venue.traders.take(BTC, True, D(quantity), D(55_000), venue.venue.now())

        found = await wrapped(exchange).order(BTC, client_order_id=ID)
        fills = await pairs.fills(BTC, venue_order_id=placed.venue_order_id)

        assert (found.status, found.filled) == (status, D(quantity))
        assert [(fill.price, fill.quantity) for fill in fills] == [(D(55_000), D(quantity))]
        for fill in fills:
            owner = await pairs.order(BTC, venue_order_id=fill.venue_order_id)
            assert owner.client_order_id == ID
        if status is OrderStatus.PARTIALLY_FILLED:
            assert (await pairs.cancel(BTC, client_order_id=ID)).status is OrderStatus.CANCELLED

    in_venue(body)


def test_a_stop_that_is_reached_fills_the_order() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        pairs = wrapped(exchange)
        await pairs.place(WANTED)
        venue.traders.quote(BTC, True, D(44_000), D(5), venue.venue.now())
        venue.traders.take(BTC, False, D(5), D(44_000), venue.venue.now())

        found = await wrapped(exchange).order(BTC, client_order_id=ID)
        assert (found.status, found.filled, found.average_price) == (OrderStatus.FILLED, D("0.5"), D(40_000))

    in_venue(body)


def test_the_private_stream_tells_of_one_order() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        pairs = wrapped(exchange)
        async with aclosing(pairs.private_events()) as events:
            assert isinstance(await anext(events), FeedConnected)
            await pairs.place(WANTED)
            venue.traders.take(BTC, True, D("0.2"), D(55_000), venue.venue.now())
            venue.traders.take(BTC, True, D("0.3"), D(55_000), venue.venue.now())
            reports, fills = [], []
            async for event in events:
                if isinstance(event, VenueFillReported):
                    fills.append((event.order_id, event.quantity))
                elif isinstance(event, VenueOrderReported):
                    reports.append((event.order_id, event.status, event.filled))
                    if event.status is OrderStatus.FILLED:
                        break
        assert {order_id for order_id, *_ in [*reports, *fills]} == {ID}
        assert sum(quantity for _, quantity in fills) == D("0.5")
        before = [status for _, status, _ in reports[:-1]]
        assert not any(status.is_final for status in before)
        assert reports[-1][2] == D("0.5")

    in_venue(body)


def test_an_order_with_a_stop_alone_waits_at_the_venue() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        alone = OrderRequest(client_order_id=ID, symbol=BTC, side=Side.SELL, quantity=D("0.5"), stop=D(45_000))
        placed = await exchange.place(alone)
        assert placed.status is OrderStatus.ACCEPTED
        assert (await exchange.cancel(BTC, client_order_id=ID)).status is OrderStatus.CANCELLED
        with pytest.raises(NotSupported):
            await exchange.place(WANTED)

    in_venue(body)
