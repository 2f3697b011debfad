"""The prices that protected positions need: those that no order at the venue protects, and trailing stops."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.application.bus import SubscribeOptions, Subscription
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.protection_book import ProtectionBook
from tickdeck.application.engines.short_cover import PRICES
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.domain.events import CandleEvent, MarketEvent, TradeEvent
from tickdeck.domain.trading import Protection
from tickdeck.domain.values import Price

__all__ = ["ProtectionPrices"]

_AT_THE_OPEN = 1_000_000_000  # ns; a fill that comes so soon after the open of a candle is one at the open


class ProtectionPrices:
    """Receives market data while a position in ``book`` needs it.

    ``look(protection, worst, best)`` is called with the prices (quote, seen from the position) that an event shows: a
    trade; the middle of the best bid and ask, before the first trade; or the range of a candle, where there are only
    candles. ``price(symbol)`` is the last price.
    """

    def __init__(
        self,
        bus: CoreBus,
        book: ProtectionBook,
        *,
        price: Callable[[str], Price | None],
        look: Callable[[Protection, Price, Price], None],
    ) -> None:
        self._bus = bus
        self._book = book
        self._price = price
        self._look = look
        self._watching: list[Subscription] = []
        self._traded: dict[str, None] = {}  # symbols with trades or best prices, so their candles add nothing

    def watch(self) -> None:
        """Receive prices while one is needed."""
        needed = any(map(_needs_prices, self._book.live()))
        if needed and not self._watching:
            own: SubscribeOptions = {"priority": PRIORITY["risk"], "component": "risk"}
            self._watching = [self._bus.subscribe(event_type, self.on_price, **own) for event_type in PRICES]
        elif self._watching and not needed:
            for subscription in self._watching:
                subscription.cancel()
            self._watching = []

    def on_price(self, event: MarketEvent) -> None:
        for p, worst, best in self._seen(event):
            self._look(p, worst, best)

    def recall(self, event: MarketEvent) -> None:
        """The same for an event of the record: what trailing stops follow, and whether a price was reached. It may wait
        for something to be sold, so that no decision on the record says so."""
        if self._watching:
            for p, worst, best in self._seen(event):
                p.look(worst, best)

    def _seen(self, event: MarketEvent) -> list[tuple[Protection, Price, Price]]:
        """The positions that an event is about, with the worst and the best price that it shows."""
        symbol = event.symbol
        if not isinstance(event, CandleEvent):
            self._traded[symbol] = None
        elif event.causation_id or symbol in self._traded:
            return []
        found = []
        for p in self._book.of(symbol):
            prices = self._prices(event, p)
            if prices is not None and p.held and not p.triggered:
                found.append((p, *prices))
        return found

    def _prices(self, event: MarketEvent, p: Protection) -> tuple[Price, Price] | None:
        if isinstance(event, CandleEvent):
            if p.began - event.open_ts > min(_AT_THE_OPEN, event.interval // 10):
                return event.close, event.close  # its range may be older than the position
            return (event.low, event.high) if p.exit_side.sign < 0 else (event.high, event.low)
        price = event.price if isinstance(event, TradeEvent) else self._price(event.symbol)
        return (price, price) if price is not None else None


def _needs_prices(p: Protection) -> bool:
    if not p.held:
        return False
    terms, order = p.terms, p.exit
    if order is None or terms.trailing is not None or terms.trailing_percent is not None:
        return True
    return order.target is None and not order.is_market and p.target() is not None
