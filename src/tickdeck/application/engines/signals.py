"""The signal engine: indicators over the market, computed once for all strategies."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.domain.events import CandleEvent, OrderBookDeltaEvent, OrderBookEvent, SignalSnapshotEvent, TradeEvent
from tickdeck.domain.market import BookImbalance, Ema, Rsi, Sma, Vwap
from tickdeck.errors import ConfigError

__all__ = ["SignalEngine"]

_NAME = re.compile(r"(ema|sma|rsi|vwap|imbalance)-([1-9][0-9]*)")


class _SymbolSignals:
    """The signals of one symbol, grouped by what feeds them."""

    __slots__ = ("book", "closes", "trades")

    def __init__(self, names: Iterable[str]) -> None:
        self.closes: dict[str, Ema | Sma | Rsi] = {}
        self.trades: dict[str, Vwap] = {}
        self.book: dict[str, BookImbalance] = {}
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None:
                raise ConfigError(
                    f"signal {name!r} is not known; there are ema-N, sma-N, rsi-N (N candles), vwap-N (N trades), "
                    "imbalance-N (N levels)"
                )
            kind, n = match[1], int(match[2])
            if kind == "vwap":
                self.trades[name] = Vwap(n)
            elif kind == "imbalance":
                self.book[name] = BookImbalance(n)
            else:
                self.closes[name] = {"ema": Ema, "sma": Sma, "rsi": Rsi}[kind](n)

    def value(self, name: str) -> float | None:
        for group in (self.closes, self.trades, self.book):
            found = group.get(name)
            if found is not None:
                return found.value
        return None

    def values(self) -> dict[str, float]:
        groups = (self.closes, self.trades, self.book)
        return {name: s.value for group in groups for name, s in group.items() if s.value is not None}


class SignalEngine:
    """Maintains the named signals of every symbol and publishes a snapshot of them at each closed candle.

    ``ema-N``, ``sma-N`` and ``rsi-N`` use the closes of candles, ``vwap-N`` uses trades, ``imbalance-N`` uses the local
    book. The engine subscribes only to what its signals need.
    """

    component = "signals"
    hears = (CandleEvent, TradeEvent, OrderBookEvent, OrderBookDeltaEvent)
    publishes = (SignalSnapshotEvent,)

    def __init__(self, bus: InMemoryEventBus, market_data: MarketDataEngine, names: Iterable[str] = ()) -> None:
        self._bus = bus
        self._market_data = market_data
        self._names = tuple(dict.fromkeys(names))
        self._symbols: dict[str, _SymbolSignals] = {}
        needed = _SymbolSignals(self._names)
        if not self._names:
            return
        heard: list[tuple[type[TradeEvent | CandleEvent | OrderBookEvent | OrderBookDeltaEvent], object]] = []
        heard.append((CandleEvent, self.on_candle))
        if needed.trades:
            heard.append((TradeEvent, self.on_trade))
        if needed.book:
            heard += [(OrderBookEvent, self.on_book), (OrderBookDeltaEvent, self.on_book)]
        for event_type, handler in heard:
            bus.subscribe(event_type, handler, priority=PRIORITY[self.component], component=self.component)  # type: ignore[arg-type]

    def _of(self, symbol: str) -> _SymbolSignals:
        found = self._symbols.get(symbol)
        if found is None:
            found = self._symbols[symbol] = _SymbolSignals(self._names)
        return found

    def value(self, name: str, symbol: str) -> float | None:
        """The newest value of a signal; ``None`` while it warms up. Raises ``ConfigError`` for a signal that was not
        requested at the start."""
        self.check((name,))
        return self._of(symbol).value(name)

    def check(self, names: Iterable[str]) -> None:
        """Raise ``ConfigError`` if the signal was not requested at the start, because it is not computed then."""
        for name in names:
            if name not in self._names:
                raise ConfigError(f"signal {name!r} was not requested; name it in the strategy's required_signals()")

    def on_candle(self, candle: CandleEvent) -> None:
        signals = self._of(candle.symbol)
        close = float(candle.close)
        for indicator in signals.closes.values():
            indicator.update(close)
        values = signals.values()
        if values:
            self._bus.publish(SignalSnapshotEvent(symbol=candle.symbol, values=values))

    def on_trade(self, trade: TradeEvent) -> None:
        for vwap in self._of(trade.symbol).trades.values():
            vwap.update(float(trade.price), float(trade.quantity))

    def on_book(self, event: OrderBookEvent | OrderBookDeltaEvent) -> None:
        book = self._market_data.market(event.symbol).book  # an unusable book is empty and gives no value
        for imbalance in self._of(event.symbol).book.values():
            imbalance.update(book.bids(imbalance.depth), book.asks(imbalance.depth))
