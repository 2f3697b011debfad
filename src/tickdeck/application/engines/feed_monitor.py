"""The feed monitor: reports a symbol that has gone silent."""

from __future__ import annotations

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    CandleEvent,
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    FeedStale,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TradeEvent,
)

__all__ = ["FeedMonitor"]

_OWNER = "engine/feed_monitor"  # owner of its timers; no strategy can have this name


class FeedMonitor:
    """Watches the symbols of a feed while it is connected, with one timer per symbol.

    After a silence of ``stale_after`` (ns) it publishes ``feed.stale`` once. The timer is set for the earliest time at
    which the silence could be too long, and set again if it fires too early. An event therefore costs no more than
    storing its time.
    """

    component = "feed_monitor"
    hears = (
        FeedConnected,
        FeedDisconnected,
        TimerFired,
        TradeEvent,
        TickEvent,
        OrderBookEvent,
        OrderBookDeltaEvent,
        CandleEvent,
    )
    publishes = (FeedStale,)

    def __init__(self, kernel: Kernel, stale_after: int) -> None:
        self._kernel = kernel
        self._stale_after = stale_after
        self._heard: dict[str, int] = {}  # symbol -> receive time of its last market data
        self._timers: dict[str, int] = {}
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        kernel.subscribe(FeedConnected, self.on_connected, **own)
        kernel.subscribe(FeedDisconnected, self.on_disconnected, **own)
        kernel.subscribe(TradeEvent, self.on_market, **own)
        kernel.subscribe(TickEvent, self.on_market, **own)
        kernel.subscribe(OrderBookEvent, self.on_market, **own)
        kernel.subscribe(OrderBookDeltaEvent, self.on_market, **own)
        kernel.subscribe(CandleEvent, self.on_market, **own)
        kernel.subscribe(
            TimerFired,
            self.on_timer,
            where=lambda timer: timer.owner == _OWNER,
            priority=PRIORITY[self.component],
            component=self.component,
        )

    def on_connected(self, feed: FeedConnected) -> None:
        self.on_disconnected(feed)  # a symbol that returns starts anew
        for symbol in feed.symbols:
            self._heard[symbol] = feed.ts_ingress
            self._watch(symbol)

    def on_disconnected(self, feed: FeedConnected | FeedDisconnected) -> None:
        for symbol in feed.symbols:
            timer = self._timers.pop(symbol, None)
            if timer is not None:
                self._kernel.cancel_timer(timer)

    def on_market(self, event: MarketEvent) -> None:
        if event.is_input:  # a candle may be one of ours
            symbol = event.symbol
            self._heard[symbol] = event.ts_ingress
            if symbol not in self._timers:
                self._watch(symbol)

    def on_timer(self, timer: TimerFired) -> None:
        symbol = timer.name
        since = self._heard[symbol]
        if self._kernel.clock.now() - since < self._stale_after:
            self._watch(symbol)
        else:
            del self._timers[symbol]  # set again at the symbol's next event
            self._kernel.publish(FeedStale(symbol=symbol, since=since, limit=self._stale_after))

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record."""
        if isinstance(event, FeedConnected):
            self._heard |= dict.fromkeys(event.symbols, event.ts_ingress)
        elif isinstance(event, MarketEvent) and event.is_input:
            self._heard[event.symbol] = event.ts_ingress
        elif isinstance(event, TimerSet) and event.owner == _OWNER:
            self._timers[event.name] = event.timer_id
        elif isinstance(event, TimerCancelled | TimerFired):
            self._timers = {symbol: number for symbol, number in self._timers.items() if number != event.timer_id}

    def _watch(self, symbol: str) -> None:
        due = self._heard[symbol] + self._stale_after
        self._timers[symbol] = self._kernel.set_timer(due, symbol, _OWNER)
