"""The base class of signals."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from tickdeck.application.parameters import Parametrised
from tickdeck.domain.events import CandleEvent, TickEvent, TradeEvent
from tickdeck.domain.market import OrderBook

__all__ = ["PublishAt", "Signal"]

PublishAt: TypeAlias = Literal["candle", "event"]
"""When ``signal.snapshot`` contains the value: at each closed candle, or after each event that the signal receives."""


class Signal(Parametrised):
    """Subclass it, annotate your parameters with defaults, and override the methods of the events that you need::

        class Imbalance(Signal):
            publish_at = "event"
            depth: int = 5

            def on_book(self, book: OrderBook) -> None:
                bid = sum(float(quantity) for _, quantity in book.bids(self.depth))
                ask = sum(float(quantity) for _, quantity in book.asks(self.depth))
                self.value = (bid - ask) / (bid + ask) if bid + ask else None

    A run creates one object per symbol and feeds it once, no matter how many strategies use it. Set ``self.value``
    to a finite float, or to ``None`` while there is no value. The rules for strategies apply: plain methods, no I/O, no
    wall clock, no global ``random``, all state in ``self``. A signal that raises loses its value and receives nothing
    more; ``system.handler_failed`` shows the error.
    """

    kind: ClassVar[str] = "signal"
    publish_at: ClassVar[PublishAt] = "candle"
    value: float | None

    def __new__(cls, **parameters: object) -> Signal:
        signal = super().__new__(cls)
        signal.value = None
        return signal

    def on_trade(self, trade: TradeEvent) -> None:
        """A public trade."""

    def on_tick(self, tick: TickEvent) -> None:
        """The best bid or ask changed."""

    def on_book(self, book: OrderBook) -> None:
        """The local order book changed. A book that is not usable is empty."""

    def on_candle(self, candle: CandleEvent) -> None:
        """A candle closed."""
