"""Which events triggers need, and which triggers an event may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tickdeck.application.bus import Subscription
from tickdeck.application.engines.condition_values import ConditionValues
from tickdeck.application.engines.trigger_values import Audience, WatchedTrigger, WatchedValue
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.conditions import Reference
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

__all__ = ["TOPICS", "TriggerInputs"]

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
        self._watched: dict[str, WatchedTrigger] = {}
        self._order = 0
        self._audiences: dict[tuple[type[DomainEvent], str], Audience] = {}  # by topic and symbol
        self._read: dict[tuple[str, Reference], WatchedValue] = {}  # by account and name
        self._hearing: dict[type[DomainEvent], Subscription] = {}

    def watch(self, triggers: Iterable[WatchedTrigger]) -> None:
        """Receive from now on what ``triggers`` need."""
        watched = {one.trigger_id: one for one in triggers}
        for one in [one for name, one in self._watched.items() if watched.get(name) is not one]:
            self._remove(one)
        for one in watched.values():
            if one.trigger_id not in self._watched:
                self._add(one)
        self._uses_quotes = any(one.uses_quotes for one in watched.values())
        timeframes = (timeframe for one in watched.values() for timeframe in one.timeframes)
        self._values.candles.timeframes = tuple(dict.fromkeys(timeframes))
        self._subscribe()

    def _add(self, trigger: WatchedTrigger) -> None:
        self._watched[trigger.trigger_id] = trigger
        self._order += 1
        trigger.order = self._order
        for reference, limits in trigger.limits().items():
            key = trigger.account, reference
            value = self._read.get(key)
            if value is None:
                value = self._read[key] = WatchedValue(reference, trigger.account)
            trigger.values[value] = limits
            value.add(trigger)
        for kind in dict.fromkeys(trigger.inputs(self._symbols)):
            audience = self._audiences.get(kind)
            if audience is None:
                audience = self._audiences[kind] = Audience(*kind)
            audience.add(trigger)

    def _remove(self, trigger: WatchedTrigger) -> None:
        del self._watched[trigger.trigger_id]
        for value in trigger.values:
            value.remove(trigger)
            if not value.readers:
                del self._read[value.account, value.reference]
        for audience in trigger.audiences:
            audience.remove(trigger)
            if not audience.all:
                del self._audiences[audience.topic, audience.symbol]
        trigger.audiences.clear()

    def _subscribe(self) -> None:
        wanted = {topic: None for topic, _ in self._audiences}
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
        """The triggers whose condition ``event`` may change, in the order in which they are watched. They are to be
        evaluated; those that are not settled then, once more."""
        if isinstance(event, CandleEvent):
            self._values.candles.take(event)
        symbol: str = getattr(event, "symbol", "")
        audience = self._audiences.get((topic, symbol))
        if audience is None:
            return []
        quotes_alone = topic in _QUOTES and self._values.has_last_price(symbol)
        if quotes_alone and not self._uses_quotes:
            return []
        for value in audience.values:
            for concerned in value.take(self._values.value("", value.reference, account=value.account)):
                concerned.look_again()
        if not audience.due:
            return []
        due = audience.due.values()
        found = [one for one in due if one.uses_quotes] if quotes_alone else list(due)
        for one in found:
            one.is_looked_at()
        return sorted(found, key=_order_of)


def _order_of(trigger: WatchedTrigger) -> int:
    return trigger.order
