"""An account at the venue on localhost, with a market in bitcoin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, endpoints_at
from tickdeck.infrastructure.venue import RunningVenue, running_venue

D = Decimal


def in_venue(body: Callable[[RunningVenue, BinanceExchange], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with running_venue(**options) as venue, asyncio.timeout(120):
            exchange = BinanceExchange(HmacKey(venue.key, venue.secret), endpoints=endpoints_at(venue.url))
            for price in (40_000, 60_000):
                venue.traders.quote("BTCUSDT", price < 50_000, D(price), D(5), venue.venue.now())
            try:
                await body(venue, exchange)
            finally:
                await exchange.close()

    asyncio.run(run())
