"""Market data of Binance, spot and USD-M futures: the types of messages, and the events that they become.

Both the readers of recorded captures and live feeds use this module. Field names are those of Binance's documentation
("WebSocket Streams"; for futures "Websocket Market Streams"). Unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from tickdeck.domain.events import (
    CandleEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.values import ZERO, Level, Side

__all__ = [
    "BOOKS",
    "MESSAGES",
    "SPOT",
    "TRADES",
    "USD_M",
    "Build",
    "Head",
    "Nothing",
    "TimeUnits",
    "Wrapped",
    "decode_head",
    "event_builders",
    "kind_of_bare",
    "kind_of_stream",
]

SPOT, USD_M = "binance", "binance-usdm"
"""The sources of events."""

_MS = 1_000_000  # ns in a millisecond
_BUY, _SELL = Side.BUY, Side.SELL  # looking up a member costs more than the rest of the line

T = TypeVar("T")
Build: TypeAlias = Callable[[Any, str, int], MarketEvent | None]
"""Maps (decoded data, symbol, receive time in ns) to its event, or to ``None`` if it has none."""

Levels: TypeAlias = tuple[Level, ...]


class TimeUnits(Protocol):
    """The range of plausible times. ``first_ms`` and ``last_ms`` bound it in ms, the venue's usual unit."""

    first_ms: int
    last_ms: int

    def from_int(self, number: int, what: str = "the time") -> int:
        """A time in any unit, as ns UTC. Raises ``ValueError`` if it is not plausible."""


class Trade(msgspec.Struct, gc=False):
    trade_id: int = msgspec.field(name="t")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    trade_time: int = msgspec.field(name="T")
    kind: str = msgspec.field(name="X", default="MARKET")


class AggTrade(msgspec.Struct, gc=False):
    trade_id: int = msgspec.field(name="a")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    trade_time: int = msgspec.field(name="T")
    kind: str = "MARKET"


class BookTicker(msgspec.Struct, gc=False):
    update_id: int = msgspec.field(name="u")
    bid_price: Decimal = msgspec.field(name="b")
    bid_quantity: Decimal = msgspec.field(name="B")
    ask_price: Decimal = msgspec.field(name="a")
    ask_quantity: Decimal = msgspec.field(name="A")
    transaction_time: int = msgspec.field(name="T", default=0)


class Depth(msgspec.Struct, gc=False):
    event_time: int = msgspec.field(name="E")
    first_update_id: int = msgspec.field(name="U")
    final_update_id: int = msgspec.field(name="u")
    bids: Levels = msgspec.field(name="b")
    asks: Levels = msgspec.field(name="a")
    previous_update_id: int = msgspec.field(name="pu", default=0)
    transaction_time: int = msgspec.field(name="T", default=0)


class DepthSnapshot(msgspec.Struct, gc=False):
    """The body of the REST response."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    transaction_time: int = msgspec.field(name="T", default=0)


class PartialDepth(msgspec.Struct, gc=False):
    """The best levels (``depth20``): on spot with the field names of a snapshot, on futures with those of a delta."""

    last_update_id: int = msgspec.field(name="lastUpdateId", default=0)
    spot_bids: Levels = msgspec.field(name="bids", default=())
    spot_asks: Levels = msgspec.field(name="asks", default=())
    final_update_id: int = msgspec.field(name="u", default=0)
    futures_bids: Levels = msgspec.field(name="b", default=())
    futures_asks: Levels = msgspec.field(name="a", default=())
    transaction_time: int = msgspec.field(name="T", default=0)

    @property
    def bids(self) -> Levels:
        return self.spot_bids or self.futures_bids

    @property
    def asks(self) -> Levels:
        return self.spot_asks or self.futures_asks


class Candle(msgspec.Struct, gc=False):
    open_time: int = msgspec.field(name="t")
    close_time: int = msgspec.field(name="T")
    open: Decimal = msgspec.field(name="o")
    high: Decimal = msgspec.field(name="h")
    low: Decimal = msgspec.field(name="l")
    close: Decimal = msgspec.field(name="c")
    volume: Decimal = msgspec.field(name="v")
    is_closed: bool = msgspec.field(name="x")
    trades: int = msgspec.field(name="n", default=0)


class Kline(msgspec.Struct, gc=False):
    candle: Candle = msgspec.field(name="k")


class Wrapped(msgspec.Struct, Generic[T], gc=False):
    data: T


class Nothing(msgspec.Struct):
    """A message that is skipped."""

    data: None = None


_ABSENT = msgspec.Raw()


class Head(msgspec.Struct, gc=False):
    """The fields that determine the kind and the symbol of a message."""

    stream: str | None = None
    data: msgspec.Raw = _ABSENT
    event: str | None = msgspec.field(name="e", default=None)
    symbol: str | None = msgspec.field(name="s", default=None)
    rest_symbol: str | None = msgspec.field(name="symbol", default=None)
    kline: msgspec.Raw = msgspec.field(name="k", default=_ABSENT)
    last_update_id: msgspec.Raw = msgspec.field(name="lastUpdateId", default=_ABSENT)
    best_bid_quantity: msgspec.Raw = msgspec.field(name="B", default=_ABSENT)
    best_ask_quantity: msgspec.Raw = msgspec.field(name="A", default=_ABSENT)
    previous: msgspec.Raw = msgspec.field(name="pu", default=_ABSENT)
    trade_kind: msgspec.Raw = msgspec.field(name="X", default=_ABSENT)
    event_time: msgspec.Raw = msgspec.field(name="E", default=_ABSENT)


decode_head = msgspec.json.Decoder(Head).decode


MESSAGES: dict[str, type[Any]] = {
    "trade": Trade,
    "aggTrade": AggTrade,
    "bookTicker": BookTicker,
    "depth": Depth,
    "partial": PartialDepth,
    "snapshot": DepthSnapshot,
    "kline": Kline,
}
"""The type of a message's data, by kind."""

TRADES = ("trade", "aggTrade", "kline")
BOOKS = ("depth", "partial")
_EVENTS = {"trade": "trade", "aggTrade": "aggTrade", "bookTicker": "bookTicker", "depthUpdate": "depth"}


def kind_of_stream(stream: str) -> tuple[str, str, str]:
    """(kind, symbol, label for counts) of a stream such as ``btcusdt@depth@100ms``. The kind is empty if such messages
    are not read.
    """
    name, _, channel = stream.partition("@")
    label = channel or stream
    if name.startswith("!") or not channel:
        return "", "", label
    what, _, rest = channel.partition("@")
    if what in ("trade", "aggTrade", "bookTicker") and not rest:
        return what, name.upper(), label
    if what == "depth" and (not rest or rest.endswith("ms")):
        return "depth", name.upper(), label
    if what in ("depth5", "depth10", "depth20"):
        return "partial", name.upper(), label
    if what.startswith("kline_"):
        return "kline", name.upper(), label
    return "", name.upper(), label


def kind_of_bare(head: Head) -> tuple[str, str, str]:
    """The same for a message that came without its stream."""
    symbol = head.symbol or head.rest_symbol or ""
    if head.last_update_id:
        return "snapshot", symbol, "snapshot"
    if head.event is None:
        is_ticker = symbol and head.best_bid_quantity and head.best_ask_quantity
        return ("bookTicker", symbol, "bookTicker") if is_ticker else ("", symbol, "message without stream")
    if head.event == "kline" and head.kline:
        interval = msgspec.json.decode(head.kline).get("i", "")
        return "kline", symbol, f"kline_{interval}"
    return _EVENTS.get(head.event, ""), symbol, f"message {head.event}"


# -- events ---------------------------------------------------------------------------------------------------------


def event_builders(venue: str, times: TimeUnits, skip: Callable[[str], None]) -> dict[str, Build]:
    """For each kind, the function that creates the event of a decoded message. ``skip(label)`` is called for a message
    that has no event.
    """
    first_ms, last_ms, to_ns = times.first_ms, times.last_ms, times.from_int

    def trade(data: Trade | AggTrade, symbol: str, received: int) -> TradeEvent | None:
        if (
            data.kind != "MARKET"
        ):  # futures: an entry of the insurance fund or a settlement, not a trade between two orders
            skip(f"trade {data.kind}")
            return None
        time = data.trade_time
        return TradeEvent(
            symbol=symbol,
            price=data.price,
            quantity=data.quantity,
            side=_SELL if data.buyer_is_maker else _BUY,
            trade_id=data.trade_id,
            ts=time * _MS if first_ms <= time <= last_ms else to_ns(time, "the trade time T"),
            ts_ingress=received,
            source=venue,
        )

    def ticker(data: BookTicker, symbol: str, received: int) -> TickEvent | None:
        if data.bid_price >= data.ask_price > ZERO:
            skip("best bid at or above the best ask")
            return None
        time = data.transaction_time
        return TickEvent(
            symbol=symbol,
            bid_price=data.bid_price,
            bid_quantity=data.bid_quantity,
            ask_price=data.ask_price,
            ask_quantity=data.ask_quantity,
            update_id=data.update_id,
            ts=(time * _MS if first_ms <= time <= last_ms else to_ns(time, "the time T")) if time else received,
            ts_ingress=received,
            source=venue,
        )

    def delta(data: Depth, symbol: str, received: int) -> OrderBookDeltaEvent:
        time = data.transaction_time or data.event_time
        return OrderBookDeltaEvent(
            symbol=symbol,
            first_update_id=data.first_update_id,
            last_update_id=data.final_update_id,
            previous_update_id=data.previous_update_id,
            bids=data.bids,
            asks=data.asks,
            ts=time * _MS if first_ms <= time <= last_ms else to_ns(time, "the event time"),
            ts_ingress=received,
            source=venue,
        )

    def book(data: DepthSnapshot | PartialDepth, symbol: str, received: int) -> OrderBookEvent:
        time = data.transaction_time
        return OrderBookEvent(
            symbol=symbol,
            last_update_id=data.last_update_id or getattr(data, "final_update_id", 0),
            bids=data.bids,
            asks=data.asks,
            ts=to_ns(time, "the time T") if time else received,
            ts_ingress=received,
            source=venue,
        )

    def candle(data: Kline, symbol: str, received: int) -> CandleEvent | None:
        k = data.candle
        if not k.is_closed:
            skip("open kline")
            return None
        begin = to_ns(k.open_time, "the open time t")
        end = to_ns(k.close_time, "the close time T") + (_MS if first_ms <= k.close_time <= last_ms else 1_000)
        return CandleEvent(
            symbol=symbol,
            interval=end - begin,
            open_ts=begin,
            close_ts=end,
            open=k.open,
            high=k.high,
            low=k.low,
            close=k.close,
            volume=k.volume,
            trades=k.trades,
            ts=end,
            ts_ingress=received,
            source=venue,
        )

    return {
        "trade": trade,
        "aggTrade": trade,
        "bookTicker": ticker,
        "depth": delta,
        "partial": book,
        "snapshot": book,
        "kline": candle,
    }
