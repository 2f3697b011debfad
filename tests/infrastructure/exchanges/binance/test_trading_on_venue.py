"""An account at the venue on localhost: its limits."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tickdeck.application.ports import OrderRequest
from tickdeck.domain.values import Side
from tickdeck.errors import RateLimited
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, endpoints_at
from tickdeck.infrastructure.venue import running_venue
from tickdeck.infrastructure.venue.dialects.binance.limits import RateLimits


def test_the_venue_never_has_to_refuse_for_its_limits_and_cancels_go_through() -> None:
    async def run() -> None:
        rates = RateLimits(weight=1_000, orders_10s=20, orders_day=50)
        async with running_venue(rates=rates) as venue, asyncio.timeout(30):
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
