"""How reliable the recorded market data is: gaps in it, and times without a usable order book."""

from __future__ import annotations

import msgspec

from tickdeck.application.bus import EventBus
from tickdeck.application.engines import MarketDataEngine
from tickdeck.domain.events import BookResynced, GapDetected

__all__ = ["BookState", "PriceJumps", "RecordQuality"]


class BookState(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's order book at the end: ``usable`` or not, and ``since`` when (the run's clock, ns UTC; ``None`` if it
    never was usable). ``unusable_ns``: how long it was unusable after it had been usable."""

    usable: bool
    since: int | None
    unusable_ns: int


class PriceJumps(msgspec.Struct, frozen=True, kw_only=True):
    """How often a symbol's price changed at once by a factor of 500 or more, and when ``first`` (the run's clock, ns
    UTC). No market does that: a row is damaged, or a decimal point is missing."""

    count: int
    first: int


class RecordQuality:
    """Counts gaps by symbol and follows the order books. Only observes; publishes nothing."""

    def __init__(self, bus: EventBus, market_data: MarketDataEngine) -> None:
        self._market_data = market_data
        self._changed: dict[str, int] = {}  # when a book last became usable or unusable
        self._broken: dict[str, int] = {}
        self._unusable: dict[str, int] = {}
        self.gaps: dict[str, int] = {}
        self.crossed: dict[str, int] = {}
        """How often an update crossed the order book, by symbol. ``gaps`` includes these."""
        bus.subscribe(GapDetected, self._on_gap, priority=-100, component="report")
        bus.subscribe(BookResynced, self._on_resynced, priority=-100, component="report")

    def _on_gap(self, gap: GapDetected) -> None:
        self.gaps[gap.symbol] = self.gaps.get(gap.symbol, 0) + 1
        if gap.what == "book":
            self._changed[gap.symbol] = self._broken[gap.symbol] = gap.ts_ingress
            if gap.expected == gap.received:
                self.crossed[gap.symbol] = self.crossed.get(gap.symbol, 0) + 1

    def _on_resynced(self, resynced: BookResynced) -> None:
        symbol, now = resynced.symbol, resynced.ts_ingress
        self._changed[symbol] = now
        if symbol in self._broken:
            self._unusable[symbol] = self._unusable.get(symbol, 0) + now - self._broken.pop(symbol)

    def repeated(self) -> dict[str, int]:
        """The number of repeated trades, for each symbol that had any."""
        return {symbol: market.repeated for symbol, market in self._market_data.markets.items() if market.repeated}

    def jumps(self) -> dict[str, PriceJumps]:
        """The jumps of the price, for each symbol that had any."""
        return {
            symbol: PriceJumps(count=market.jumps, first=market.jumped_at)
            for symbol, market in self._market_data.markets.items()
            if market.jumps
        }

    def books(self, now: int) -> dict[str, BookState]:
        """The order books of all symbols with snapshots or updates, at ``now`` (the run's clock, ns UTC)."""
        states = {}
        for symbol, market in self._market_data.markets.items():
            if market.book.seen:
                broken = now - self._broken[symbol] if symbol in self._broken else 0
                states[symbol] = BookState(
                    usable=market.book.usable,
                    since=self._changed.get(symbol),
                    unusable_ns=self._unusable.get(symbol, 0) + broken,
                )
        return states
