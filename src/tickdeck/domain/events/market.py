"""Public market data: trades, best prices, books, candles, and gaps in them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, TypeAlias

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.kinds import Bound
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.upcast import upcast
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
    """A public trade on the exchange. Emitted by market data sources.

    ``price`` is in quote, ``quantity`` in base. ``side`` is the side of the aggressor. ``trade_id`` is the id from the
    venue. If it is an integer, consecutive trades of a symbol should have consecutive ids; a jump is reported as a gap.
    """

    event_type: ClassVar[str] = "market.trade"
    price: _Positive
    quantity: _Positive
    side: Side
    trade_id: int | str = 0


class TickEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The best bid and ask. Emitted by market data sources.

    Prices are in quote, quantities in base. ``update_id`` is the id of the book update at the venue; 0 if the venue
    gives none.
    """

    event_type: ClassVar[str] = "market.tick"
    bid_price: _NotNegative
    bid_quantity: _NotNegative
    ask_price: _NotNegative
    ask_quantity: _NotNegative
    update_id: int = 0


class OrderBookEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A full order book as of ``last_update_id``. Emitted by market data sources.

    ``bids`` are sorted from the highest price down, ``asks`` from the lowest price up. Each level is (price in quote,
    quantity in base).
    """

    event_type: ClassVar[str] = "market.book"
    last_update_id: int
    bids: _Levels
    asks: _Levels


class OrderBookDeltaEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """Changed levels of an order book, with absolute quantities; 0 deletes a level. Emitted by market data sources.

    The delta covers the updates ``first_update_id`` to ``last_update_id`` of the venue. ``previous_update_id`` is the
    last id of the previous delta if the venue provides it (``pu`` of Binance futures), otherwise 0.
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
    """A closed candle. Emitted by the market data engine (built from trades) and by candle files (an input).

    The candle covers ``open_ts`` to ``close_ts``, in ns UTC; ``close_ts`` is exclusive. ``interval`` is in ns, prices
    are in quote, and ``volume`` is in base. ``trades`` is 0 if the source does not count them. ``gap``: market data
    that belongs to the candle is missing, so its numbers may be wrong.
    """

    event_type: ClassVar[str] = "market.candle"
    version: ClassVar[int] = 2
    interval: int
    open_ts: int
    close_ts: int
    open: _Positive
    high: _Positive
    low: _Positive
    close: _Positive
    volume: _NotNegative
    trades: int = 0
    gap: bool = False

    def __post_init__(self) -> None:
        if self.interval <= 0:
            raise invalid(self, "interval", "above 0 ns")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise invalid(self, "high", f"the highest price of the candle, and low ({self.low}) the lowest")


class GapDetected(MarketEvent, frozen=True, kw_only=True, gc=False):
    """Market data is missing. Emitted by the market data engine.

    ``what`` is missing: ``book`` (updates; the local book is unusable until ``BookResynced``), ``trades``, or
    ``candles`` of a candle file. ``expected`` and ``received`` are update ids, trade ids or open times (ns UTC). For a
    book, both are the same if the update crossed the book, that is, the best bid reached the best ask; ``received`` is
    0 after ``run.resumed``, because nobody knows what was missed.
    """

    event_type: ClassVar[str] = "market.gap_detected"
    is_market_data: ClassVar[bool] = False
    what: str
    expected: int
    received: int


class GapFilled(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A gap in the market data is closed. Emitted by the market data engine.

    ``what``, ``expected`` and ``received`` are those of the ``GapDetected``. ``how`` is ``late`` if the missing trades
    arrived after all, and ``snapshot`` if a new book replaced the missing deltas (``BookResynced`` has its update id).
    """

    event_type: ClassVar[str] = "market.gap_filled"
    is_market_data: ClassVar[bool] = False
    what: str
    expected: int
    received: int
    how: str


class BookResynced(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The local book is usable. Emitted by the market data engine when a snapshot joins the deltas."""

    event_type: ClassVar[str] = "market.book_resynced"
    is_market_data: ClassVar[bool] = False
    last_update_id: int


class MarketSnapshotEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The state of a symbol: its book, its last trade, and what was traded since the previous snapshot. Emitted by the
    market data engine at the first market data of each interval, if snapshots are configured.

    ``bids`` and ``asks`` are the best levels (price in quote, quantity in base); they are empty while the book is
    unusable. ``last_price`` (quote) and ``last_quantity`` (base) are ``None`` before the first trade. ``volume``
    (base), ``trades`` and ``vwap`` (quote, ``None`` without trades) count from ``since`` (ns UTC, receive time).
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


upcast(CandleEvent.event_type, 1, lambda fields: fields, keeps_stream=True)  # the new field has a default
