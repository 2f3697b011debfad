"""What the exchange shows to everyone: trades, best prices, books, candles, and how good that record is."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, TypeAlias

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.kinds import Bound
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.values import Price, Quantity, Side

__all__ = [
    "BookResynced",
    "CandleEvent",
    "GapDetected",
    "GapFilled",
    "MarketEvent",
    "MarketSnapshotEvent",
    "OrderBookDeltaEvent",
    "OrderBookEvent",
    "TickEvent",
    "TradeEvent",
]

_Positive: TypeAlias = Annotated[Decimal, Bound.ABOVE_ZERO]
_NotNegative: TypeAlias = Annotated[Decimal, Bound.NOT_NEGATIVE]
_Levels: TypeAlias = tuple[tuple[_Positive, _NotNegative], ...]


class MarketEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of the public market data of one symbol."""

    is_market_data: ClassVar[bool] = True
    priority: ClassVar[Priority] = Priority.P2
    symbol: str

    @property
    def aggregate_id(self) -> str:
        return self.symbol


class TradeEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A public execution on the exchange. Emitted by market data sources.

    ``price`` in quote, ``quantity`` in base, ``side`` of the aggressor. ``trade_id`` as the venue gave it; where
    it is an integer, successive trades of a symbol are expected to count up by one.
    """

    event_type: ClassVar[str] = "market.trade"
    price: _Positive
    quantity: _Positive
    side: Side
    trade_id: int | str = 0


class TickEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The best bid and ask. Emitted by market data sources.

    Prices in quote, quantities in base. ``update_id`` is the book's update id at the venue, 0 where it gives none.
    """

    event_type: ClassVar[str] = "market.tick"
    bid_price: _NotNegative
    bid_quantity: _NotNegative
    ask_price: _NotNegative
    ask_quantity: _NotNegative
    update_id: int = 0


class OrderBookEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A whole order book at ``last_update_id``. Emitted by market data sources.

    ``bids`` from the highest price down, ``asks`` from the lowest up: (price in quote, quantity in base).
    """

    event_type: ClassVar[str] = "market.book"
    last_update_id: int
    bids: _Levels
    asks: _Levels


class OrderBookDeltaEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """Changed levels of an order book, as absolute quantities; 0 deletes. Emitted by market data sources.

    Covers the venue's updates ``first_update_id`` to ``last_update_id``. ``previous_update_id`` is the last id of
    the delta before it where the venue says so (Binance futures: ``pu``), else 0.
    """

    event_type: ClassVar[str] = "market.book_delta"
    first_update_id: int
    last_update_id: int
    previous_update_id: int = 0
    bids: _Levels = ()
    asks: _Levels = ()

    def __post_init__(self) -> None:
        if self.last_update_id < self.first_update_id:
            raise invalid(self, "last_update_id", f"at least first_update_id ({self.first_update_id})")


class CandleEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A closed candle. Emitted by the market data engine (derived from trades) and by candle files (an input).

    ``open_ts`` and ``close_ts`` bound it, ns UTC, the end exclusive; ``interval`` in ns. Prices in quote, ``volume`` in
    base. ``trades`` is 0 where the source does not count them.
    """

    event_type: ClassVar[str] = "market.candle"
    interval: int
    open_ts: int
    close_ts: int
    open: _Positive
    high: _Positive
    low: _Positive
    close: _Positive
    volume: _NotNegative
    trades: int = 0

    def __post_init__(self) -> None:
        if self.interval <= 0:
            raise invalid(self, "interval", "above 0 ns")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise invalid(self, "high", f"the candle's maximum, and low ({self.low}) its minimum")


class GapDetected(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The record has a hole. Emitted by the market data engine.

    ``what`` is missing: updates of the ``book`` (the local book is unusable until ``BookResynced``), ``trades``, or
    ``candles`` of a candle file. ``expected`` and ``received`` are update ids, trade ids, or open times (ns UTC). Of a
    book both are the same where that update crossed it: the best bid came to lie at or above the best ask.
    """

    event_type: ClassVar[str] = "market.gap_detected"
    is_market_data: ClassVar[bool] = False
    what: str
    expected: int
    received: int


class GapFilled(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A hole in the record is closed. Emitted by the market data engine.

    ``what``, ``expected`` and ``received`` are those of its ``GapDetected``. ``how``: ``late``, the missing trades came
    after all; ``snapshot``, a new book took the place of the missing deltas (``BookResynced`` says where it stands).
    """

    event_type: ClassVar[str] = "market.gap_filled"
    is_market_data: ClassVar[bool] = False
    what: str
    expected: int
    received: int
    how: str


class BookResynced(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The local book is usable (again). Emitted by the market data engine when a snapshot joins the deltas."""

    event_type: ClassVar[str] = "market.book_resynced"
    is_market_data: ClassVar[bool] = False
    last_update_id: int


class MarketSnapshotEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A symbol at an instant: its book, its last trade, and what was traded since the snapshot before. Emitted by the
    market data engine at the first market data of each interval, where snapshots are configured.

    ``bids`` and ``asks`` are the best levels (price in quote, quantity in base), none where the book
    cannot be trusted. ``last_price`` in quote and ``last_quantity`` in base are ``None`` before the first trade.
    Since ``since`` (ns UTC, our receive time): ``volume`` in base, ``trades``, and ``vwap`` in quote (``None``
    without trades).
    """

    event_type: ClassVar[str] = "market.snapshot"
    is_market_data: ClassVar[bool] = False
    bids: _Levels = ()
    asks: _Levels = ()
    last_price: Price | None = None
    last_quantity: Quantity | None = None
    since: int
    volume: Quantity = Decimal(0)
    trades: int = 0
    vwap: Price | None = None
