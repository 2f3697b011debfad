"""What the exchange shows to everyone: trades, best prices, books, candles, and how good that record is."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import NO_METADATA, DomainEvent, invalid
from tickdeck.domain.values import Level, Price, Quantity, Side

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

_ZERO = Decimal(0)  # compared with twice as fast as with an int


class MarketEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of the public market data of one symbol."""

    is_market_data: ClassVar[bool] = True
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
    price: Price
    quantity: Quantity
    side: Side
    trade_id: int | str = 0

    def __post_init__(self) -> None:
        price, quantity = self.price, self.quantity
        if type(price) is not Decimal or not price.is_finite() or price <= _ZERO:
            raise invalid(self, "price", "a finite decimal.Decimal above 0 (a float is not exact)")
        if type(quantity) is not Decimal or not quantity.is_finite() or quantity <= _ZERO:
            raise invalid(self, "quantity", "a finite decimal.Decimal above 0 (a float is not exact)")
        if type(self.side) is not Side or type(self.symbol) is not str:
            super().__post_init__()  # says what is wrong
        if self.metadata is not NO_METADATA:
            self._freeze_metadata()


class TickEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The best bid and ask. Emitted by market data sources.

    Prices in quote, quantities in base. ``update_id`` is the book's update id at the venue, 0 where it gives none.
    """

    event_type: ClassVar[str] = "market.tick"
    bid_price: Price
    bid_quantity: Quantity
    ask_price: Price
    ask_quantity: Quantity
    update_id: int = 0

    def __post_init__(self) -> None:
        bid, bid_quantity, ask, ask_quantity = self.bid_price, self.bid_quantity, self.ask_price, self.ask_quantity
        if not (  # written out: this is the most frequent event of all
            type(bid) is type(bid_quantity) is type(ask) is type(ask_quantity) is Decimal
            and type(self.symbol) is str
            and bid.is_finite()
            and bid_quantity.is_finite()
            and ask.is_finite()
            and ask_quantity.is_finite()
            and bid >= _ZERO
            and bid_quantity >= _ZERO
            and ask >= _ZERO
            and ask_quantity >= _ZERO
        ):
            super().__post_init__()  # says what is wrong
            for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity"):
                if getattr(self, name) < 0:
                    raise invalid(self, name, "not negative")
        if self.metadata is not NO_METADATA:
            self._freeze_metadata()


def _check_levels(event: DomainEvent, side: str) -> None:
    levels: tuple[Level, ...] = getattr(event, side)
    if type(levels) is not tuple:
        raise invalid(event, side, "a tuple of levels")
    for level in levels:
        if type(level) is not tuple or len(level) != 2:
            raise invalid(event, side, f"levels that are tuples (price, quantity); {level!r} is not")
        price, quantity = level
        if (
            type(price) is not Decimal
            or type(quantity) is not Decimal
            or not price.is_finite()
            or not quantity.is_finite()
            or price <= _ZERO
            or quantity < _ZERO
        ):
            wanted = f"levels of (price above 0, quantity not negative) as finite decimals; the level {level!r} is not"
            raise invalid(event, side, wanted)


class OrderBookEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A whole order book at ``last_update_id``. Emitted by market data sources.

    ``bids`` from the highest price down, ``asks`` from the lowest up: (price in quote, quantity in base).
    """

    event_type: ClassVar[str] = "market.book"
    last_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def __post_init__(self) -> None:
        if not (
            type(self.symbol) is str
            and type(self.last_update_id) is int
            and type(self.ts) is type(self.ts_ingress) is int
        ):
            super().__post_init__()  # says what is wrong
        _check_levels(self, "bids")
        _check_levels(self, "asks")
        self._freeze_metadata()


class OrderBookDeltaEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """Changed levels of an order book, as absolute quantities; 0 deletes. Emitted by market data sources.

    Covers the venue's updates ``first_update_id`` to ``last_update_id``. ``previous_update_id`` is the last id of
    the delta before it where the venue says so (Binance futures: ``pu``), else 0.
    """

    event_type: ClassVar[str] = "market.book_delta"
    first_update_id: int
    last_update_id: int
    previous_update_id: int = 0
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    def __post_init__(self) -> None:
        if not (
            type(self.symbol) is str
            and type(self.first_update_id) is type(self.last_update_id) is type(self.previous_update_id) is int
            and type(self.ts) is type(self.ts_ingress) is int
        ):
            super().__post_init__()  # says what is wrong
        if self.last_update_id < self.first_update_id:
            raise invalid(self, "last_update_id", f"at least first_update_id ({self.first_update_id})")
        _check_levels(self, "bids")
        _check_levels(self, "asks")
        self._freeze_metadata()


class CandleEvent(MarketEvent, frozen=True, kw_only=True, gc=False):
    """A closed candle. Emitted by the market data engine (derived from trades) and by candle files (an input).

    ``open_ts`` and ``close_ts`` bound it, ns UTC, the end exclusive; ``interval`` in ns. Prices in quote, ``volume`` in
    base. ``trades`` is 0 where the source does not count them.
    """

    event_type: ClassVar[str] = "market.candle"
    interval: int
    open_ts: int
    close_ts: int
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Quantity
    trades: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval <= 0:
            raise invalid(self, "interval", "above 0 ns")
        for name in ("open", "high", "low", "close"):
            if getattr(self, name) <= 0:
                raise invalid(self, name, "above 0")
        if self.volume < 0:
            raise invalid(self, "volume", "not negative")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise invalid(self, "high", f"the candle's maximum, and low ({self.low}) its minimum")


class GapDetected(MarketEvent, frozen=True, kw_only=True, gc=False):
    """The record has a hole. Emitted by the market data engine.

    ``what`` is missing: updates of the ``book`` (the local book is unusable until ``BookResynced``), ``trades``, or
    ``candles`` of a candle file. ``expected`` and ``received`` are update ids, trade ids, or open times (ns UTC).
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
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    last_price: Price | None = None
    last_quantity: Quantity | None = None
    since: int
    volume: Quantity = Decimal(0)
    trades: int = 0
    vwap: Price | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_levels(self, "bids")
        _check_levels(self, "asks")
