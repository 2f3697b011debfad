"""Shared by the tests of market data as async iterators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from application_kit import BTC, SECOND, START, trade

from tickdeck.domain.events import MarketEvent, TradeEvent
from tickdeck.infrastructure.exchanges.simulated.market_feed import MarketFeed, MarketStream

ETH = "ETHUSDT"


class FakeClock:
    """A wall clock that advances by the time slept, after all others had a turn."""

    def __init__(self) -> None:
        self.now = 1_000
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await turns(3 if seconds else 1)
        if seconds:
            self.slept.append(seconds)
            self.now += round(seconds * 1e9)


def trades(count: int, symbol: str = BTC, step: int = SECOND) -> list[TradeEvent]:
    return [trade(str(n + 1), ts=START + n * step, symbol=symbol, trade_id=n) for n in range(count)]


def feed_of(events: Iterable[MarketEvent], **arguments: Any) -> MarketFeed:
    return MarketFeed(iter(events), **{"wall": FakeClock(), **arguments})


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def numbers(stream: MarketStream[TradeEvent]) -> list[int | str]:
    return [event.trade_id async for event in stream]


async def collect(stream: MarketStream[Any], into: list[Any]) -> None:
    """Collects the events; those before an error are in ``into`` too."""
    async for event in stream:
        into.append(event)  # noqa: PERF401


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(60):  # a test that would hang fails instead
            await main()
        await turns(3)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], "a task is left"

    asyncio.run(timed())
