"""The strategy engine: gives strategies what they hear, carries out what they say, and sets one aside that fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tickdeck.application.engines.execution import ExecutionEngine
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.signals import SignalEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.application.kernel import STRATEGY, Kernel
from tickdeck.application.strategy import PositionView, Strategy
from tickdeck.domain.events import (
    ActionIntent,
    CandleEvent,
    DomainEvent,
    HandlerFailed,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    RunStarted,
    RunStopped,
    SignalSnapshotEvent,
    StrategyDecisionEvent,
    TickEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.values import Price
from tickdeck.errors import ConfigError

__all__ = ["StrategyEngine"]

_MARKET: tuple[tuple[type[DomainEvent], str], ...] = (
    (TradeEvent, "on_trade"),
    (TickEvent, "on_tick"),
    (OrderBookEvent, "on_book"),
    (OrderBookDeltaEvent, "on_book"),
    (CandleEvent, "on_candle"),
    (SignalSnapshotEvent, "on_signal"),
    (PositionEvent, "on_position"),
)
_OWN_ORDERS: tuple[tuple[type[DomainEvent], str], ...] = (
    (OrderEvent, "on_order"),
    (OrderPartiallyFilledEvent, "on_fill"),
    (OrderFilledEvent, "on_fill"),
)


class StrategyEngine:
    """Runs strategies. A strategy that raises is paused: it hears nothing more (the kernel sees to that at once), and
    its open orders stay as they are."""

    component = "strategy"
    hears = (RunStarted, RunStopped, HandlerFailed, TimerFired, *(e for e, _ in _MARKET), *(e for e, _ in _OWN_ORDERS))
    publishes = (StrategyDecisionEvent,)

    def __init__(
        self,
        kernel: Kernel,
        *,
        market_data: MarketDataEngine,
        signals: SignalEngine,
        execution: ExecutionEngine,
        portfolio: PortfolioEngine,
        symbols: tuple[str, ...],
        nonce: str,
        seed: int,
    ) -> None:
        self._kernel = kernel
        self.market_data = market_data
        self.signals = signals
        self.execution = execution
        self.portfolio = portfolio
        self.symbols = symbols
        self.nonce = nonce
        self.seed = seed
        self.strategies: dict[str, Strategy] = {}
        self.paused: list[str] = []
        kernel.subscribe(
            HandlerFailed, self.on_handler_failed, priority=PRIORITY[self.component], component=self.component
        )

    def add(self, strategy_id: str, strategy: Strategy) -> None:
        """Run ``strategy`` under an id of its own. Raises ``ConfigError`` where the id is taken."""
        if strategy_id in self.strategies:
            raise ConfigError(f"two strategies are called {strategy_id!r}; name one of them otherwise")
        self.strategies[strategy_id] = strategy
        strategy._desk = _Desk(self, self._kernel, strategy_id)

        def hear(
            topic: type[DomainEvent],
            method: str,
            *,
            where: Callable[[Any], bool] | None = None,
            handler: Callable[[Any], None] | None = None,
        ) -> None:
            def still_wanted(event: DomainEvent) -> bool:
                # One event may come to two methods, as a fill does: not to the second where the first has raised.
                return where is not None and where(event) and subscription.active

            if getattr(type(strategy), method) is not getattr(Strategy, method):
                subscription = self._kernel.subscribe(
                    topic,
                    handler or getattr(strategy, method),
                    where=where and still_wanted,
                    priority=PRIORITY[self.component],
                    name=f"{strategy_id}.{method}",
                    component=f"{STRATEGY}{strategy_id}",
                )

        for topic, method in _MARKET:
            hear(topic, method)
        for topic, method in _OWN_ORDERS:
            hear(topic, method, where=lambda event: event.strategy_id == strategy_id)
        hear(TimerFired, "on_timer", where=lambda event: event.owner == strategy_id)
        hear(RunStarted, "on_start", handler=lambda _: strategy.on_start())
        hear(RunStopped, "on_stop", handler=lambda _: strategy.on_stop())

    def on_handler_failed(self, failed: HandlerFailed) -> None:
        strategy_id = failed.component.removeprefix(STRATEGY)
        if failed.component != strategy_id and strategy_id in self.strategies and strategy_id not in self.paused:
            self.paused.append(strategy_id)


class _Desk:
    """The ``StrategyDesk`` of one strategy in a run."""

    def __init__(self, engine: StrategyEngine, kernel: Kernel, strategy_id: str) -> None:
        self._engine = engine
        self._kernel = kernel
        self.strategy_id = strategy_id
        self.symbols = engine.symbols
        self.clock = kernel.clock
        self.rng = random.Random(f"{engine.seed}/{strategy_id}")

    def decide(self, intents: tuple[ActionIntent, ...], reason: str) -> tuple[str, ...]:
        """Publish a decision. Each order intent gets its client order id now, so that the strategy knows it at once."""
        decision_id = self._kernel.next_id()
        named = tuple(
            intent
            if intent.order_id or intent.action != "order"
            else msgspec.structs.replace(intent, order_id=client_order_id(self._engine.nonce, decision_id, k))
            for k, intent in enumerate(intents)
        )
        account_id = self._engine.portfolio.account_id
        self._kernel.publish(
            StrategyDecisionEvent(
                strategy_id=self.strategy_id,
                account_id=account_id,
                intents=named,
                reason=reason,
                source=self.strategy_id,
            )
        )
        return tuple(intent.order_id for intent in named)

    def signal(self, name: str, symbol: str) -> float | None:
        return self._engine.signals.value(name, symbol)

    def position(self, symbol: str) -> PositionView:
        return self._engine.portfolio.view(symbol)

    def price(self, symbol: str) -> Price | None:
        return self._engine.market_data.market(symbol).price

    def open_orders(self, symbol: str | None) -> tuple[str, ...]:
        return self._engine.execution.open_orders(self.strategy_id, symbol)

    def set_timer(self, name: str, delay: int) -> int:
        return self._kernel.set_timer(self._kernel.clock.now() + max(delay, 0), name, self.strategy_id)

    def cancel_timer(self, timer_id: int) -> None:
        self._kernel.cancel_timer(timer_id)


def strategy_ids(names: Sequence[str]) -> list[str]:
    """An id for each strategy of a run: its name, with ``-2``, ``-3``, ... behind a repeated one."""
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = count = seen.get(name, 0) + 1
        ids.append(name if count == 1 else f"{name}-{count}")
    return ids
