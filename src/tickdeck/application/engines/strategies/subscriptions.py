"""Which events go to which method of a strategy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tickdeck.application.bus import Subscription
from tickdeck.application.engines.candle_plan import CandlePlan, timeframes_of
from tickdeck.application.engines.strategies.surroundings import StrategySurroundings
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import STRATEGY, Kernel
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    CandleEvent,
    DomainEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    RunStarted,
    RunStopped,
    SignalSnapshotEvent,
    StrategyActivated,
    StrategyUpdated,
    TickEvent,
    TimerFired,
    TradeEvent,
)

__all__ = ["MARKET", "OWN_ORDERS", "StrategySubscriptions"]

MARKET: tuple[tuple[type[DomainEvent], str], ...] = (
    (TradeEvent, "on_trade"),
    (TickEvent, "on_tick"),
    (OrderBookEvent, "on_book"),
    (OrderBookDeltaEvent, "on_book"),
    (CandleEvent, "on_candle"),
    (SignalSnapshotEvent, "on_signal"),
    (PositionEvent, "on_position"),
)
OWN_ORDERS: tuple[tuple[type[DomainEvent], str], ...] = (
    (OrderEvent, "on_order"),
    (OrderPartiallyFilledEvent, "on_fill"),
    (OrderFilledEvent, "on_fill"),
)


class StrategySubscriptions:
    """Subscribes the methods that strategies override, and cancels that while a strategy is paused."""

    def __init__(self, kernel: Kernel, candles: CandlePlan) -> None:
        self._kernel = kernel
        self._candles = candles
        self._heard_by: dict[str, list[Subscription]] = {}
        self.surroundings: dict[str, StrategySurroundings] = {}
        """What is around the methods of each strategy, by its id."""

    def __contains__(self, strategy_id: object) -> bool:
        """Whether the strategy receives events."""
        return strategy_id in self._heard_by

    def listen(self, strategy_id: str, strategy: Strategy) -> list[Subscription]:
        """Subscribe the methods that the class of ``strategy`` overrides, in place of earlier subscriptions."""
        self.mute(strategy_id)
        surroundings = self.surroundings.get(strategy_id)
        if surroundings is None:
            surroundings = self.surroundings[strategy_id] = StrategySurroundings(strategy, self._kernel)
        else:
            surroundings.renew()
        run_in_context: Callable[[Callable[[Any], object], Any], object] = surroundings.context.run
        self._heard_by[strategy_id] = subscriptions = []

        def hear(
            topic: type[DomainEvent],
            method: str,
            *,
            where: Callable[[Any], bool] | None = None,
            handler: Callable[[Any], None] | None = None,
        ) -> None:
            def still_wanted(event: DomainEvent) -> bool:
                # One event may go to two methods, such as a fill: not to the second if the first raised.
                return where is not None and where(event) and subscription.active

            if getattr(type(strategy), method) is not getattr(Strategy, method):
                subscription = self._kernel.subscribe(
                    topic,
                    partial(run_in_context, handler or getattr(strategy, method)),
                    where=where and still_wanted,
                    priority=PRIORITY["strategy"],
                    name=f"{strategy_id}.{method}",
                    component=f"{STRATEGY}{strategy_id}",
                )
                subscriptions.append(subscription)

        for topic, method in MARKET:
            hear(topic, method, where=self._candles.filter(timeframes_of(strategy)) if topic is CandleEvent else None)
        for topic, method in OWN_ORDERS:
            hear(topic, method, where=lambda event: event.strategy_id == strategy_id)
        hear(
            TimerFired,
            "on_timer",
            where=lambda event: event.owner == strategy_id,
            handler=surroundings.on_timer,
        )
        for event_class in strategy.required_events():
            hear(event_class, "on_event")
        hear(RunStarted, "on_start", handler=lambda _: strategy.on_start())
        hear(
            StrategyActivated,
            "on_activated",
            where=lambda event: event.strategy_id == strategy_id,
            handler=lambda _: strategy.on_activated(),
        )
        hear(
            StrategyUpdated,
            "on_updated",
            where=lambda event: event.strategy_id == strategy_id,
            handler=lambda _: strategy.on_updated(),
        )
        hear(RunStopped, "on_stop", handler=lambda _: strategy.on_stop())
        return subscriptions

    def mute(self, strategy_id: str) -> None:
        """Pass no more events to a strategy."""
        for subscription in self._heard_by.pop(strategy_id, ()):
            subscription.cancel()
