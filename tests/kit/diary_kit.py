"""Shared by the tests of the strategy engine: a strategy that records what it receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application_kit import BTC, D

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    DomainEvent,
    TimerFired,
    TradeEvent,
)


class Diary(Strategy):
    """Receives everything, and does what its script says on the n-th trade."""

    size: int = 1

    def __init__(self, script: dict[int, Callable[[Diary], object]] | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.script = script or {}
        self.heard: list[str] = []
        self.results: list[object] = []
        self.trades = 0

    def on_start(self) -> None:
        self.heard.append("start")

    def on_stop(self) -> None:
        self.heard.append("stop")

    def on_trade(self, trade: TradeEvent) -> None:
        self.trades += 1
        self.heard.append(f"trade {trade.price}")
        if self.trades in self.script:
            self.results.append(self.script[self.trades](self))

    def on_tick(self, tick: DomainEvent) -> None:
        self.heard.append("tick")

    def on_book(self, book: DomainEvent) -> None:
        self.heard.append(f"book {book.event_type}")

    def on_candle(self, candle: DomainEvent) -> None:
        self.heard.append("candle")

    def on_signal(self, signal: DomainEvent) -> None:
        self.heard.append("signal")

    def on_order(self, order: DomainEvent) -> None:
        self.heard.append(order.event_type)

    def on_fill(self, fill: Any) -> None:
        self.heard.append(f"fill {fill.quantity} at {fill.price}")

    def on_position(self, position: DomainEvent) -> None:
        self.heard.append(position.event_type)

    def on_timer(self, timer: TimerFired) -> None:
        self.heard.append(f"timer {timer.name}")


def buy_one(s: Strategy) -> str:
    return s.buy(BTC, D(1))
