"""Shared by the tests of the bus: events, a fake clock, an edge that fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, ClassVar

from tickdeck import (
    DomainEvent,
    Side,
    TickEvent,
    TradeEvent,
)


class Note(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "bustest.note"
    n: int = 0


def trade(symbol: str = "BTCUSDT", *, ts: int = 1, trade_id: int = 1) -> TradeEvent:
    return TradeEvent(
        symbol=symbol, price=Decimal(100), quantity=Decimal(1), side=Side.BUY, trade_id=trade_id, ts=ts, ts_ingress=ts
    )


def tick(bid: str, symbol: str = "BTCUSDT") -> TickEvent:
    return TickEvent(
        symbol=symbol, bid_price=Decimal(bid), bid_quantity=Decimal(1), ask_price=Decimal(200), ask_quantity=Decimal(1)
    )


class FakeClock:
    def __init__(self) -> None:
        self.now = 0
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        self.now += 100
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def failing(times: int, heard: list[Any]) -> Callable[[DomainEvent], Awaitable[None]]:
    left = [times]

    async def handler(event: DomainEvent) -> None:
        if left[0]:
            left[0] -= 1
            raise ConnectionError("https://secret@host")
        heard.append(event)

    return handler
