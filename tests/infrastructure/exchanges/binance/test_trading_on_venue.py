"""An account at the venue on localhost: its limits, and pairs of orders."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from venue_account_kit import in_venue

from tickdeck.application.ports import OrderPair, OrderRequest
from tickdeck.domain.events import VenueFillReported, VenueOrderReported
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import OutcomeUnknown, RateLimited, UnknownOrder, WouldTrigger
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, endpoints_at
from tickdeck.infrastructure.venue import RunningVenue, running_venue
from tickdeck.infrastructure.venue.dialects.binance.limits import RateLimits


def test_the_venues_limits_are_never_exceeded_and_cancels_pass() -> None:
    async def run() -> None:
        rates = RateLimits(weight=1_000, orders_10s=20, orders_day=50)
        async with running_venue(rates=rates) as venue, asyncio.timeout(120):
            exchange = BinanceExchange(HmacKey(venue.key, venue.secret), endpoints=endpoints_at(venue.url))
            await exchange.instruments()
            statuses = []
            for number in range(100):
                order = OrderRequest(
                    client_order_id=f"n{number}",
                    symbol="BTCUSDT",
                    side=Side.BUY,
                    quantity=Decimal("0.001"),
                    limit=Decimal(20_000),
                )
                try:
                    await exchange.place(order)
                except RateLimited as error:
                    statuses.append(error.status)
            placed = await exchange.open_orders("BTCUSDT")
            for order_result in placed:
                await exchange.cancel("BTCUSDT", client_order_id=order_result.client_order_id)
            assert 18 <= len(placed) < 100
            assert statuses == [0] * (100 - len(placed))  # none is the venue's
            assert not await exchange.open_orders("BTCUSDT")
            await exchange.close()

    asyncio.run(run())


D = Decimal


def pair(side: Side = Side.SELL, **changes: Any) -> OrderPair:
    target, stop = (D(55_000), D(45_000)) if side is Side.SELL else (D(45_000), D(55_000))
    ids = {"client_order_id": "pair", "target_id": "target", "stop_id": "stop"}
    given: dict[str, Any] = {"symbol": "BTCUSDT", "side": side, "quantity": D("0.5"), "target": target, "stop": stop}
    return OrderPair(**{**ids, **given, **changes})


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("limited", [False, True])
def test_a_pair_is_placed_found_and_cancelled(side: Side, limited: bool) -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        wanted = pair(side)
        placed = await exchange.place_pair(pair(side, stop_limit=wanted.stop) if limited else wanted)
        assert not placed.done
        assert {order.client_order_id for order in placed.orders} == {"target", "stop"}
        assert {order.status for order in placed.orders} == {OrderStatus.ACCEPTED}
        assert len(await exchange.open_orders("BTCUSDT")) == 2
        assert (await exchange.pair("pair")).venue_order_ids == placed.venue_order_ids
        target = await exchange.order("BTCUSDT", client_order_id="target")
        assert (target.limit, target.quantity) == (wanted.target, D("0.5"))

        cancelled = await exchange.cancel_pair("BTCUSDT", "pair")

        assert cancelled.done
        assert {order.status for order in cancelled.orders} == {OrderStatus.CANCELLED}
        assert (await exchange.pair("pair")).done
        with pytest.raises(UnknownOrder):
            await exchange.cancel_pair("BTCUSDT", "pair")
        with pytest.raises(UnknownOrder):
            await exchange.pair("other")

    in_venue(body)


def test_a_stop_that_is_reached_already_is_refused_and_nothing_is_placed() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        venue.traders.take("BTCUSDT", False, D(1), D(40_000), venue.venue.now())
        with pytest.raises(WouldTrigger, match="relationship of the prices"):
            await exchange.place_pair(pair())
        assert await exchange.open_orders() == ()

    in_venue(body)


def test_the_end_of_a_pair_arrives_on_the_private_stream() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        async with aclosing(exchange.private_events()) as events:
            assert (await anext(events)).event_type == "feed.connected"
            await exchange.place_pair(pair())
            venue.traders.take("BTCUSDT", True, D("0.5"), D(55_000), venue.venue.now())
            ended: dict[str, OrderStatus] = {}
            fills = []
            async for event in events:
                if isinstance(event, VenueFillReported):
                    fills.append((event.order_id, event.price, event.quantity))
                if isinstance(event, VenueOrderReported):
                    ended[event.order_id] = event.status
                if ended.get("target") is OrderStatus.FILLED:
                    break
        assert ended == {"target": OrderStatus.FILLED, "stop": OrderStatus.EXPIRED}
        assert fills == [("target", D(55_000), D("0.5"))]

    in_venue(body)


def test_a_pair_whose_answer_is_lost_is_in_doubt_and_both_orders_are_there() -> None:
    async def body(venue: RunningVenue, exchange: BinanceExchange) -> None:
        with pytest.raises(OutcomeUnknown):
            await exchange.place_pair(pair())
        assert not (await exchange.pair("pair")).done
        assert len(await exchange.open_orders()) == 2

    in_venue(body, faults="drop_ack=1")
