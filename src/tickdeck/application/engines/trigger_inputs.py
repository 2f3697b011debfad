"""Which events triggers need, and which triggers an event may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from tickdeck.application.bus import Subscription
from tickdeck.application.engines.condition_values import ConditionValues
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.application.strategies import INPUTS, source_of, timeframes_in
from tickdeck.domain.conditions import Evaluator, Source, parse_condition
from tickdeck.domain.events import (
    BalanceEvent,
    CandleEvent,
    DomainEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    PositionEvent,
    SignalSnapshotEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.trading import TriggerSettings

__all__ = ["TOPICS", "TriggerInputs", "WatchedTrigger"]

_QUOTES: tuple[type[DomainEvent], ...] = (TickEvent, OrderBookEvent, OrderBookDeltaEvent)
TOPICS: tuple[type[DomainEvent], ...] = (
    TradeEvent,
    CandleEvent,
    *_QUOTES,
    SignalSnapshotEvent,
    PositionEvent,
    BalanceEvent,
)
"""All events that can change a condition, besides timers."""


class WatchedTrigger:
    """The condition of an active trigger, ready to be evaluated. ``symbol`` counts for names without one."""

    def __init__(self, trigger_id: str, settings: TriggerSettings, symbol: str) -> None:
        self.trigger_id = trigger_id
        self.condition = parse_condition(settings.when)
        self.evaluator = Evaluator(self.condition)
        self.symbol = symbol
        self.account = settings.account
        sources = [source_of(reference) for reference in self.condition.references]
        self.uses_quotes = Source.QUOTES in sources or Source.BOOK in sources

    def inputs(self, symbols: tuple[str, ...]) -> Iterator[tuple[type[DomainEvent], str]]:
        """The topics and symbols of the events that may change it."""
        for reference in self.condition.references:
            source = source_of(reference)
            whose = ("", *symbols) if source is Source.ACCOUNT else (reference.symbol or self.symbol,)
            yield from ((topic, symbol) for topic in INPUTS[source] for symbol in whose)


class TriggerInputs:
    """Receives the events that the watched triggers need, and no others. ``look(watched)`` evaluates those that an
    event may change."""

    def __init__(
        self,
        kernel: Kernel,
        values: ConditionValues,
        symbols: tuple[str, ...],
        component: str,
        look: Callable[[list[WatchedTrigger]], None],
    ) -> None:
        self._kernel = kernel
        self._values = values
        self._symbols = symbols
        self._component = component
        self._look = look
        self._uses_quotes = False
        self._affected: dict[tuple[type[DomainEvent], str], dict[str, WatchedTrigger]] = {}  # by topic and symbol
        self._hearing: dict[type[DomainEvent], Subscription] = {}

    def watch(self, triggers: Iterable[WatchedTrigger]) -> None:
        """Receive from now on what ``triggers`` need."""
        watched = list(triggers)
        self._uses_quotes = any(one.uses_quotes for one in watched)
        self._affected = {}
        for one in watched:
            for key in one.inputs(self._symbols):
                self._affected.setdefault(key, {})[one.trigger_id] = one
        self._values.candles.timeframes = timeframes_in(one.condition for one in watched)
        self._subscribe()

    def _subscribe(self) -> None:
        wanted = {topic: None for topic, _ in self._affected}
        if not self._uses_quotes and self._are_traded():
            wanted = {topic: None for topic in wanted if topic not in _QUOTES}
        for topic in [topic for topic in self._hearing if topic not in wanted]:
            self._hearing.pop(topic).cancel()
        for topic in wanted:
            if topic not in self._hearing:
                handler = self._on_quotes if topic in _QUOTES else self._on_event
                self._hearing[topic] = self._kernel.subscribe(
                    topic,
                    partial(handler, topic),
                    name=f"TriggerInputs.{topic.__name__}",
                    priority=PRIORITY[self._component],
                    component=self._component,
                )

    def _are_traded(self) -> bool:
        """Whether the price of each symbol is that of a trade or a candle, so that quotes do not change it."""
        return all(map(self._values.has_last_price, self._symbols))

    def _on_event(self, topic: type[DomainEvent], event: DomainEvent) -> None:
        self._look(self.changed_by(topic, event))

    def _on_quotes(self, topic: type[DomainEvent], event: DomainEvent) -> None:
        self._on_event(topic, event)
        if not self._uses_quotes and self._are_traded():
            self._subscribe()

    def changed_by(self, topic: type[DomainEvent], event: DomainEvent) -> list[WatchedTrigger]:
        """The triggers whose condition ``event`` may change."""
        if isinstance(event, CandleEvent):
            self._values.candles.take(event)
        symbol: str = getattr(event, "symbol", "")
        found = self._affected.get((topic, symbol))
        if found is None:
            return []
        if topic in _QUOTES and self._values.has_last_price(symbol):
            return [watched for watched in found.values() if watched.uses_quotes]
        return list(found.values())
