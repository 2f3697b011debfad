"""The signal engine: signals over the market, computed once for all strategies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from tickdeck.application.bus import EventBus
from tickdeck.application.engines.candle_plan import DEFAULT_CANDLES, CandlePlan
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.signals import Signal, built_in_signal, split_timeframe
from tickdeck.domain.events import (
    CandleEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    SignalSnapshotEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import Timeframe
from tickdeck.errors import ConfigError

__all__ = ["SignalEngine", "SignalFactory", "with_timeframe"]

SignalFactory: TypeAlias = Callable[[], Signal]
"""Makes a new signal for a symbol."""
_Heard: TypeAlias = TradeEvent | TickEvent | OrderBookEvent | OrderBookDeltaEvent | CandleEvent
_FED_BY: tuple[tuple[type[_Heard], str], ...] = (
    (TradeEvent, "on_trade"),
    (TickEvent, "on_tick"),
    (OrderBookEvent, "on_book"),
    (OrderBookDeltaEvent, "on_book"),
    (CandleEvent, "on_candle"),
)


class SignalEngine:
    """Maintains the named signals of every symbol.

    ``names`` are the signals that strategies use. ``own`` are users' signals by name; they are always computed. A name
    with a timeframe (``ema-12@1h``) uses the candles of that timeframe, other names use the run's own candles.
    ``signal.snapshot`` contains the values of all signals that are published when a candle closes, or the value of one
    signal that is published at each event. The engine subscribes only to the events that its signals need. A user's
    signal that raises is dropped for its symbol. Raises ``ConfigError`` for an unknown name.
    """

    component = "signals"
    hears = (CandleEvent, TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent)
    publishes = (SignalSnapshotEvent,)

    def __init__(
        self,
        bus: EventBus,
        market_data: MarketDataEngine,
        names: Iterable[str] = (),
        own: Mapping[str, SignalFactory] | None = None,
        candles: CandlePlan = DEFAULT_CANDLES,
    ) -> None:
        self._bus = bus
        self._market_data = market_data
        self._candles = candles
        self._own = dict(own or {})
        self._factories: dict[str, SignalFactory] = dict(own or {})
        for name in names:
            if name not in self._factories:
                bare, _ = split_timeframe(name)
                self._factories[name] = (own or {}).get(bare) or _built_in_factory(bare, own or {})
        self._symbols: dict[str, dict[str, Signal]] = {}
        groups: dict[Timeframe | None, list[str]] = {}
        for name, make in self._factories.items():
            self._subscribe(name, type(make()))
            groups.setdefault(split_timeframe(name)[1], []).append(name)
        for timeframe, group in groups.items():
            bus.subscribe(
                CandleEvent,
                partial(self.publish_snapshot, group),
                where=self._filter(timeframe),
                name="SignalEngine.publish_snapshot" + (f"@{timeframe}" if timeframe else ""),
                priority=PRIORITY[self.component],
                component=self.component,
            )

    def _filter(self, timeframe: Timeframe | None) -> Callable[[CandleEvent], bool] | None:
        """The condition for candles that signals of ``timeframe`` receive."""
        return self._candles.filter(() if timeframe is None else (timeframe,))

    def _subscribe(self, name: str, signal_class: type[Signal]) -> None:
        """Subscribe the methods that the signal's class overrides. Each signal has its own subscriptions, so an error
        in one does not affect the others."""
        timeframe = split_timeframe(name)[1]
        for event_type, method in _FED_BY:
            if getattr(signal_class, method) is not getattr(Signal, method):
                self._bus.subscribe(
                    event_type,
                    self._feeder(name, method),
                    where=self._filter(timeframe) if method == "on_candle" else None,
                    priority=PRIORITY[self.component] + 1,  # before the snapshot that shows its value
                    name=f"{name}.{method}",
                    component=f"{self.component}:{name}",
                )

    def _feeder(self, name: str, method: str) -> Callable[[_Heard], None]:
        def feed(event: _Heard) -> None:
            signals = self._of(event.symbol)
            signal = signals.get(name)
            if signal is None:
                return
            given = self._market_data.market(event.symbol).book if method == "on_book" else event
            try:
                getattr(signal, method)(given)
                value = signal.value
                if value is not None and (type(value) is not float or not math.isfinite(value)):
                    value = signal.value = _as_float(name, value)
            except BaseException:
                del signals[name]
                raise
            if value is not None and signal.publish_at == "event":
                self._bus.publish(SignalSnapshotEvent(symbol=event.symbol, values={name: value}))

        return feed

    def _of(self, symbol: str) -> dict[str, Signal]:
        found = self._symbols.get(symbol)
        if found is None:
            found = self._symbols[symbol] = {name: make() for name, make in self._factories.items()}
        return found

    def value(self, name: str, symbol: str) -> float | None:
        """The newest value of a signal; ``None`` while it warms up, and for one that failed. Raises ``ConfigError`` for
        a signal that was not requested at the start."""
        self.check((name,))
        signal = self._of(symbol).get(name)
        return signal.value if signal is not None else None

    def full_name(self, name: str, timeframes: tuple[Timeframe, ...]) -> str:
        """See ``with_timeframe``."""
        return with_timeframe(name, timeframes, self._own)

    def computes(self, name: str) -> bool:
        """Whether the signal was requested at the start."""
        return name in self._factories

    def check(self, names: Iterable[str]) -> None:
        """Raise ``ConfigError`` if the signal was not requested at the start, because it is not computed then."""
        for name in names:
            if not self.computes(name):
                raise ConfigError(
                    f"signal {name!r} is not computed in this run; name it in the strategy's required_signals() before "
                    "a run starts"
                )

    def publish_snapshot(self, names: list[str], candle: CandleEvent) -> None:
        """Publish the values of those of ``names`` that are due at a candle's close."""
        signals = self._of(candle.symbol)
        values = {
            name: value
            for name in names
            if (signal := signals.get(name)) is not None
            and (value := signal.value) is not None
            and signal.publish_at == "candle"
        }
        if values:
            self._bus.publish(SignalSnapshotEvent(symbol=candle.symbol, values=values))


def with_timeframe(name: str, timeframes: tuple[Timeframe, ...], own: Mapping[str, SignalFactory] | None = None) -> str:
    """The full name of a signal for a strategy that receives candles of ``timeframes``: ``rsi-14`` is ``rsi-14@1h`` if
    the first of them is an hour. Names with a timeframe, and signals that use no candles, are unchanged."""
    if not timeframes or "@" in name:
        return name
    make = (own or {}).get(name)
    signal = make() if make is not None else built_in_signal(name)
    if signal is None or type(signal).on_candle is Signal.on_candle:
        return name
    return f"{name}@{timeframes[0]}"


def _built_in_factory(name: str, own: Mapping[str, SignalFactory]) -> SignalFactory:
    if built_in_signal(name) is None:
        yours = f", and yours: {', '.join(own)}" if own else ""
        raise ConfigError(
            f"signal {name!r} is not known; there are ema-N, sma-N, rsi-N, atr-N, talib-ema-N (N candles), "
            f"vwap-N (N trades), imbalance-N (N levels){yours}"
        )

    def make() -> Signal:
        signal = built_in_signal(name)
        assert signal is not None
        return signal

    return make


def _as_float(name: str, value: object) -> float:
    """A value that is not a finite float already. Raises ``ConfigError`` for one that cannot be one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ConfigError(f"signal {name!r}: value is {value!r}; set a finite float, or None while there is no value")
