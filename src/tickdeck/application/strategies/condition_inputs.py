"""Which events can change the value of a condition, and the values that only they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from tickdeck.application.strategies.desk import PositionView
from tickdeck.domain.conditions import FUNCTIONS, Condition, Kind, Reference, Source, TimeOfDay
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
from tickdeck.domain.market import Timeframe, parse_timeframe
from tickdeck.domain.values import plain

__all__ = [
    "INPUTS",
    "LastCandles",
    "asks_for_profits",
    "describe_values",
    "events_of",
    "profit_percent",
    "source_of",
    "timeframes_in",
    "without_value",
]

_MOST_DIGITS = 19
"""Digits before the point of a value that is shown without an exponent."""
_BOOKS: tuple[type[DomainEvent], ...] = (OrderBookEvent, OrderBookDeltaEvent)
_PRICES: tuple[type[DomainEvent], ...] = (TradeEvent, CandleEvent, TickEvent, *_BOOKS)
INPUTS: dict[Source, tuple[type[DomainEvent], ...]] = {
    Source.PRICE: _PRICES,
    Source.QUOTES: (TickEvent, *_BOOKS),
    Source.TRADES: (TradeEvent,),
    Source.BOOK: _BOOKS,
    Source.CANDLES: (CandleEvent,),
    Source.SIGNAL: (SignalSnapshotEvent,),
    Source.POSITION: (PositionEvent,),
    Source.PROFIT: (*_PRICES, PositionEvent),
    Source.ACCOUNT: (*_PRICES, PositionEvent, BalanceEvent),
    Source.TIME: (),
}
"""The events that can change a value. Times of day change with timers."""


def source_of(reference: Reference) -> Source:
    return FUNCTIONS[reference.function].source


def events_of(conditions: Iterable[Condition]) -> tuple[type[DomainEvent], ...]:
    """The classes of the events that can change one of ``conditions``, each once."""
    sources = [source_of(reference) for condition in conditions for reference in condition.references]
    return tuple(dict.fromkeys(event_class for source in sources for event_class in INPUTS[source]))


def timeframes_in(conditions: Iterable[Condition]) -> tuple[Timeframe, ...]:
    """The timeframes of the candles whose prices ``conditions`` use, each once."""
    found = (
        parse_timeframe(reference.timeframe)
        for condition in conditions
        for reference in condition.references
        if FUNCTIONS[reference.function].timeframe == "required"
    )
    return tuple(dict.fromkeys(found))


def profit_percent(position: PositionView) -> Decimal | None:
    """The profit of an open position in percent of its entry price; ``None`` if it is flat or has no price."""
    if position.is_flat or position.price is None or not position.average_price:
        return None
    change = (position.price - position.average_price) / position.average_price * 100
    return change if position.quantity > 0 else -change


def asks_for_profits(conditions: Iterable[Condition]) -> bool:
    """Whether a condition uses what a strategy has earned."""
    return any(FUNCTIONS[one.function].of == "strategy" for condition in conditions for one in condition.references)


def describe_values(condition: Condition, value: Callable[[Reference], Decimal | None]) -> dict[str, str]:
    """The values of the names in a condition as text, by name."""
    return {str(reference): _shown(reference, value(reference)) for reference in condition.references}


def _shown(reference: Reference, value: Decimal | None) -> str:
    if value is None:
        return "unknown"
    if FUNCTIONS[reference.function].kind is Kind.TIME:
        return str(TimeOfDay(int(value) // 1_000_000_000))
    if value.adjusted() >= _MOST_DIGITS:
        return str(value)  # with an exponent: rounding it to decimals would need more digits than arithmetic has
    return plain(round(value, 8))


def without_value(references: Iterable[Reference], value: Callable[[Reference], Decimal | None]) -> list[str]:
    """The indicators and candles among ``references`` that have no value, each once: the market data is too short for
    them, or has nothing of the kind."""
    market = (Source.TRADES, Source.CANDLES, Source.BOOK)
    return [
        str(reference)
        for reference in dict.fromkeys(references)
        if source_of(reference) in market and value(reference) is None
    ]


class LastCandles:
    """The last closed candle of each symbol and timeframe that a condition uses."""

    def __init__(self) -> None:
        self.timeframes: tuple[Timeframe, ...] = ()
        """Those of the candles to keep."""
        self.last: dict[tuple[str, str], dict[str, Decimal]] = {}
        """The fields of the last candle, by symbol and timeframe."""

    def take(self, candle: CandleEvent) -> None:
        for timeframe in self.timeframes:
            if timeframe.lasts(candle.interval):
                self.last[candle.symbol, str(timeframe)] = {
                    "open": candle.open,
                    "high": candle.high,
                    "low": candle.low,
                    "close": candle.close,
                    "volume": candle.volume,
                }

    def value(self, symbol: str, reference: Reference) -> Decimal | None:
        """The field of the last candle that ``reference`` names; ``None`` before the first one has closed."""
        candle = self.last.get((symbol, reference.timeframe))
        return candle[reference.function] if candle is not None else None
