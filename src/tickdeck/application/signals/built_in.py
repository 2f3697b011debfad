"""The built-in signals, by names such as ``ema-12``."""

from __future__ import annotations

import re

from tickdeck.application.signals.signal import Signal
from tickdeck.domain.events import CandleEvent, TradeEvent
from tickdeck.domain.market import Atr, BookImbalance, Ema, OrderBook, Rsi, Sma, Timeframe, Vwap, parse_timeframe

__all__ = ["built_in_signal", "split_timeframe"]


class _OfCloses(Signal):
    """An indicator over the closes of candles."""

    indicator: Ema | Sma | Rsi

    def on_candle(self, candle: CandleEvent) -> None:
        self.value = self.indicator.update(float(candle.close))


class EmaSignal(_OfCloses):
    """Exponential moving average of ``period`` closes."""

    period: int = 12

    def check_parameters(self) -> None:
        self.indicator = Ema(self.period)


class TalibEmaSignal(_OfCloses):
    """Exponential moving average of ``period`` closes, seeded with the mean of the first ``period``, like that of
    TA-Lib.
    """

    period: int = 12

    def check_parameters(self) -> None:
        self.indicator = Ema(self.period, seed="sma")


class SmaSignal(_OfCloses):
    """Simple moving average of ``period`` closes."""

    period: int = 12

    def check_parameters(self) -> None:
        self.indicator = Sma(self.period)


class RsiSignal(_OfCloses):
    """Relative strength index over ``period`` closes."""

    period: int = 14

    def check_parameters(self) -> None:
        self.indicator = Rsi(self.period)


class AtrSignal(Signal):
    """Average true range of ``period`` candles (quote)."""

    period: int = 14

    def check_parameters(self) -> None:
        self.indicator = Atr(self.period)

    def on_candle(self, candle: CandleEvent) -> None:
        self.value = self.indicator.update(float(candle.high), float(candle.low), float(candle.close))


class VwapSignal(Signal):
    """Volume-weighted average price of the last ``window`` trades."""

    window: int = 100

    def check_parameters(self) -> None:
        self.indicator = Vwap(self.window)

    def on_trade(self, trade: TradeEvent) -> None:
        self.value = self.indicator.update(float(trade.price), float(trade.quantity))


class ImbalanceSignal(Signal):
    """Imbalance of the order book over ``depth`` levels per side."""

    depth: int = 5

    def check_parameters(self) -> None:
        self.indicator = BookImbalance(self.depth)

    def on_book(self, book: OrderBook) -> None:
        self.value = self.indicator.update(book.bids(self.depth), book.asks(self.depth))


_NAME = re.compile(r"(ema|talib-ema|sma|rsi|atr|vwap|imbalance)-([1-9][0-9]*)")
_CLASSES: dict[str, tuple[type[Signal], str]] = {
    "ema": (EmaSignal, "period"),
    "talib-ema": (TalibEmaSignal, "period"),
    "sma": (SmaSignal, "period"),
    "rsi": (RsiSignal, "period"),
    "atr": (AtrSignal, "period"),
    "vwap": (VwapSignal, "window"),
    "imbalance": (ImbalanceSignal, "depth"),
}


def built_in_signal(name: str) -> Signal | None:
    """A new signal for a name such as ``ema-12``; ``None`` if the name is not that of a built-in signal.

    There are ``ema-N``, ``sma-N``, ``rsi-N``, ``atr-N``, ``talib-ema-N`` (N candles), ``vwap-N`` (N trades) and
    ``imbalance-N`` (N levels).
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    signal_class, parameter = _CLASSES[match[1]]
    return signal_class(**{parameter: int(match[2])})


def split_timeframe(name: str) -> tuple[str, Timeframe | None]:
    """``ema-12@1h`` as (``ema-12``, one hour); a name without ``@`` has no timeframe. Raises ``ConfigError``."""
    bare, at, timeframe = name.partition("@")
    return bare, parse_timeframe(timeframe) if at else None
