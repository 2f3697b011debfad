"""Raw Binance captures: each line is our time of receipt, a space, and the JSON as it was received.

Spot and USD-M futures. The time of receipt is ns since the epoch as a rule; s, ms and us are told by their size.
Messages of streams come wrapped, as ``{"stream":"btcusdt@trade","data":{...}}``, or bare; the JSON may be formatted in
any way. An order book snapshot is the body of the REST answer, which on spot does not name its symbol. Field names are
those of Binance's documentation ("WebSocket Streams"; for futures "Websocket Market Streams").

Where a capture has several streams of one kind for a symbol, the best is read and the others are passed over: ``trade``
before ``aggTrade`` before ``kline``, and ``depth`` before ``depth20`` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

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
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, fault, open_binary, peek_lines
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["CaptureSurvey", "read_binance_raw", "survey_capture"]

SPOT, USD_M = "binance", "binance-usdm"

_WRAPPED = b'{"stream":"'
_BOM = b"\xef\xbb\xbf"
_WANTED = "a line is a receive time in ns, a space, and one message of the venue as JSON"
_STAMP = re.compile(r"[0-9][0-9.eE+]*")
_MS = 1_000_000  # ns in a millisecond

T = TypeVar("T")
Build: TypeAlias = Callable[[Any, str, int], MarketEvent | None]
"""(decoded data, symbol, receive time in ns) -> its event, ``None`` where it has none."""

Decode: TypeAlias = Callable[[bytes], Any]
Stream: TypeAlias = tuple[Decode, Decode, Build, str]
"""How a stream is read: strictly; leniently, where numbers are written in another way; what it becomes; its symbol."""


# -- what messages look like -----------------------------------------------------------------------------------------

Levels: TypeAlias = tuple[Level, ...]


class _Trade(msgspec.Struct, gc=False):
    trade_id: int = msgspec.field(name="t")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    trade_time: int = msgspec.field(name="T")
    kind: str = msgspec.field(name="X", default="MARKET")


class _AggTrade(msgspec.Struct, gc=False):
    trade_id: int = msgspec.field(name="a")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    trade_time: int = msgspec.field(name="T")
    kind: str = "MARKET"


class _Ticker(msgspec.Struct, gc=False):
    update_id: int = msgspec.field(name="u")
    bid_price: Decimal = msgspec.field(name="b")
    bid_quantity: Decimal = msgspec.field(name="B")
    ask_price: Decimal = msgspec.field(name="a")
    ask_quantity: Decimal = msgspec.field(name="A")
    transaction_time: int = msgspec.field(name="T", default=0)


class _Depth(msgspec.Struct, gc=False):
    event_time: int = msgspec.field(name="E")
    first_update_id: int = msgspec.field(name="U")
    final_update_id: int = msgspec.field(name="u")
    bids: Levels = msgspec.field(name="b")
    asks: Levels = msgspec.field(name="a")
    previous_update_id: int = msgspec.field(name="pu", default=0)
    transaction_time: int = msgspec.field(name="T", default=0)


class _Snapshot(msgspec.Struct, gc=False):
    """The body of the REST answer."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    transaction_time: int = msgspec.field(name="T", default=0)


class _Partial(msgspec.Struct, gc=False):
    """The best levels (``depth20``): on spot with the names of a snapshot, on futures with those of a delta."""

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


class _Candle(msgspec.Struct, gc=False):
    open_time: int = msgspec.field(name="t")
    close_time: int = msgspec.field(name="T")
    open: Decimal = msgspec.field(name="o")
    high: Decimal = msgspec.field(name="h")
    low: Decimal = msgspec.field(name="l")
    close: Decimal = msgspec.field(name="c")
    volume: Decimal = msgspec.field(name="v")
    is_closed: bool = msgspec.field(name="x")
    trades: int = msgspec.field(name="n", default=0)


class _Kline(msgspec.Struct, gc=False):
    candle: _Candle = msgspec.field(name="k")


class _Wrapped(msgspec.Struct, Generic[T], gc=False):
    data: T


class _Nothing(msgspec.Struct):
    """A message that is not read."""

    data: None = None


_ABSENT = msgspec.Raw()


class _Head(msgspec.Struct, gc=False):
    """What tells a message's kind and symbol, wherever it stands."""

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


_decode_head = msgspec.json.Decoder(_Head).decode


_MESSAGES: dict[str, type[Any]] = {
    "trade": _Trade,
    "aggTrade": _AggTrade,
    "bookTicker": _Ticker,
    "depth": _Depth,
    "partial": _Partial,
    "snapshot": _Snapshot,
    "kline": _Kline,
}
"""What the data of a message looks like, by its kind."""

_TRADES = ("trade", "aggTrade", "kline")
_BOOKS = ("depth", "partial")
_EVENTS = {"trade": "trade", "aggTrade": "aggTrade", "bookTicker": "bookTicker", "depthUpdate": "depth"}


def _kind_of_stream(stream: str) -> tuple[str, str, str]:
    """(kind, symbol, what to call it where it is passed over) of ``btcusdt@depth@100ms``; the kind is empty where there
    is nothing to read."""
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


def _kind_of_bare(head: _Head) -> tuple[str, str, str]:
    """The same of a message that came without its stream."""
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


# -- looking before reading --------------------------------------------------------------------------------------------


class CaptureSurvey(NamedTuple):
    """What the first ``PEEK_LINES`` lines hold: ``symbols`` in order of appearance, the ``venue``, and by symbol the
    names of its streams by kind, the best ones alone."""

    symbols: list[str]
    venue: str
    streams: dict[str, dict[str, str]]


def survey_capture(path: Path) -> CaptureSurvey:
    """Look into a capture. The venue is ``binance-usdm`` where a message has a field that futures alone have: the
    predecessor of a depth diff, the kind of a trade, the time of best prices or of a snapshot.

    Raises ``InputError`` where not a line can be read; a line that is none is left for the reader.
    """
    streams: dict[str, dict[str, str]] = {}
    futures = False
    for line in peek_lines(path, PEEK_LINES):
        try:
            head = _decode_head(line.partition(" ")[2])
            stream = head.stream
            if stream is not None:
                kind, symbol, label = _kind_of_stream(stream)
                head = _decode_head(head.data) if head.data else head
            else:
                kind, symbol, label = _kind_of_bare(head)
        except (msgspec.MsgspecError, AttributeError):
            continue
        timed = head.event_time and (head.last_update_id or head.event == "bookTicker")
        kind_of_trade = head.event == "trade" and head.trade_kind
        futures = futures or bool(head.previous or timed or kind_of_trade)
        if symbol:
            streams.setdefault(symbol, {}).setdefault(kind, label)
    for kinds in streams.values():
        for group in (_TRADES, _BOOKS):
            best = next((kind for kind in group if kind in kinds), None)
            for kind in group:
                if kind != best:
                    kinds.pop(kind, None)
    return CaptureSurvey(list(streams), USD_M if futures else SPOT, streams)


# -- reading -----------------------------------------------------------------------------------------------------------


def read_binance_raw(path: Path, *, symbol: str | None, times: Times, notes: ReadNotes) -> Iterator[MarketEvent]:
    """The capture's events in the order of its lines.

    ``ts_ingress`` is the line's receive time. ``ts`` is the venue's: of a trade its trade time, of a candle its end, of
    the rest the transaction time or else the event time; the receive time where the venue tells none (best prices and
    snapshots on spot). Venue clocks may be ahead of ours. ``source`` is ``binance`` or, of USD-M futures,
    ``binance-usdm``.

    With ``symbol`` only that symbol's events. A snapshot that names no symbol is of ``symbol``, or of the one symbol
    that the streams name. Messages without an event here (other streams, answers to subscriptions, candles that are
    not closed, best prices that are crossed) are counted in ``notes`` by their kind.

    Raises ``InputError`` at the first line that is not as described or was received long before the one above it, and
    at the end where there was no event at all.
    """
    capture = _Capture(path, symbol, times, notes)
    earliest, last_time = times.earliest, times.latest
    number, events, latest, line, factor = 0, 0, 0, b"", 1
    streams = capture.streams
    with open_binary(path) as lines:
        try:
            for line in lines:
                number += 1
                stamp, _, message = line.partition(b" ")
                try:
                    received = int(stamp) * factor
                except ValueError:
                    if not line.strip():
                        continue
                    received = 0
                if not earliest <= received <= last_time:
                    received = _received(stamp, number, times)
                    factor = times.factor_of(stamp.removeprefix(_BOM).decode(), received) or 1
                if received >= latest:
                    latest = received
                else:
                    check_step_back(path, number, received, latest)
                if message.startswith(_WRAPPED):
                    stream = message[11 : message.index(b'"', 11)]
                    known = streams.get(stream)
                    if known is None:
                        known = capture.add(stream)
                    decode, lax, build, of = known
                    try:
                        data = decode(message).data
                    except msgspec.ValidationError:
                        data = lax(message).data
                    event = build(data, of, received)
                else:
                    event = capture.other(message, received, number)
                if event is not None:
                    events += 1
                    yield event
        except FAULTS as error:
            if events and not line.endswith(b"\n") and isinstance(error, (msgspec.MsgspecError, ValueError)):
                notes.warn("its last line is cut off, as where a recorder was killed; it is not read")
                return
            if type(error) is ValueError and not str(error).startswith("the "):  # int's own words help nobody
                error = ValueError(f"it reads {line[:40].decode(errors='replace')!r}")
            raise fault(path, number, error, _WANTED) from None
    if not events:
        which = f" of {symbol}" if symbol else ""
        found = ", ".join(capture.survey.symbols) or "none"
        passed = ", ".join(f"{n:,} x {kind}" for kind, n in notes.skipped.items())
        passed = f"; passed over: {passed}" if passed else ""
        raise InputError(f"{path}: contains no market data{which}; symbols that its streams name: {found}{passed}")


def _received(stamp: bytes, number: int, times: Times) -> int:
    """A receive time that is not in the unit of the line above. Raises ``ValueError``."""
    if number == 1:
        stamp = stamp.removeprefix(_BOM)
    text = stamp.decode(errors="replace")
    if not _STAMP.fullmatch(text):
        raise ValueError(text)  # the caller shows the line
    return times.from_text(text, "the receive time")


class _Capture:
    """One capture while it is read: which of its streams are read, and how."""

    def __init__(self, path: Path, symbol: str | None, times: Times, notes: ReadNotes) -> None:
        self.survey = survey_capture(path)
        self.streams: dict[bytes, Stream] = {}
        self._path, self._wanted, self._notes = path, symbol, notes
        symbols = self.survey.symbols
        self._snapshot_symbol = symbol or (symbols[0] if len(symbols) == 1 else None)
        self._builders = _builders(self.survey.venue, times, notes)
        self._bare: dict[tuple[str, str, str], Stream] = {}

    def add(self, stream: bytes) -> Stream:
        """How messages are read that name ``stream``, as JSON writes it."""
        name = msgspec.json.decode(b'"' + stream + b'"', type=str) if b"\\" in stream else stream.decode()
        self.streams[stream] = known = self._stream(*_kind_of_stream(name), wrapped=True)
        return known

    def other(self, message: bytes, received: int, number: int) -> MarketEvent | None:
        """The event of a message that is formatted in another way than the exchange does, or came without a stream."""
        start = message.lstrip()[:1]
        if start == b"[":
            self._notes.skip("list of messages")
            return None
        if start != b"{":
            msgspec.json.decode(message)
            self._notes.skip("message that is no object")
            return None
        head = _decode_head(message)
        if head.stream is not None:
            stream = head.stream.encode()
            decode, lax, build, symbol = self.streams.get(stream) or self.add(stream)
            return build(_read(message, decode, lax).data, symbol, received)
        kind, symbol, label = key = _kind_of_bare(head)
        if kind == "snapshot" and not symbol:
            if self._snapshot_symbol is None:
                raise InputError(
                    f"{self._path}, line {number}: a snapshot does not say its symbol, and the streams name none or"
                    " several; give the symbol"
                )
            key = kind, self._snapshot_symbol, label
        known = self._bare.get(key)
        if known is None:
            known = self._bare[key] = self._stream(*key, wrapped=False)
        decode, lax, build, symbol = known
        return build(_read(message, decode, lax), symbol, received)

    def _stream(self, kind: str, symbol: str, label: str, *, wrapped: bool) -> Stream:
        if self._wanted is not None and symbol and symbol != self._wanted:
            return _pass_over, _pass_over, lambda data, symbol, received: None, symbol
        if not kind or not self._is_best(kind, symbol, label):
            skip = self._notes.skip
            return _pass_over, _pass_over, lambda data, symbol, received: skip(label), symbol
        shape: Any = _MESSAGES[kind]
        shape = _Wrapped[shape] if wrapped else shape
        strict, lax = msgspec.json.Decoder(shape).decode, msgspec.json.Decoder(shape, strict=False).decode
        return strict, lax, self._builders[kind], symbol

    def _is_best(self, kind: str, symbol: str, label: str) -> bool:
        """Whether a symbol's stream is read, of several of one kind the best: one that appears late changes nothing."""
        chosen = self.survey.streams.setdefault(symbol, {})
        for group in (_TRADES, _BOOKS):
            if kind in group:
                best = next((kind for kind in group if kind in chosen), None)
                if best not in (None, kind):
                    return False
                # A bare message does not say its stream: it may be of any of its kind.
                known = chosen.setdefault(kind, label)
                return known == label or known.startswith("message ") or label.startswith("message ")
        return True


def _read(message: bytes, decode: Decode, lax: Decode) -> Any:
    try:
        return decode(message)
    except msgspec.ValidationError:
        return lax(message)


def _pass_over(message: bytes) -> _Nothing:
    return _NOTHING


_NOTHING = _Nothing()
_BUY, _SELL = Side.BUY, Side.SELL  # looking a member up costs more than the rest of the line


def _builders(venue: str, times: Times, notes: ReadNotes) -> dict[str, Build]:
    """What makes events of decoded messages, by kind."""
    first_ms, last_ms, to_ns = times.first_ms, times.last_ms, times.from_int

    def trade(data: _Trade | _AggTrade, symbol: str, received: int) -> TradeEvent | None:
        if data.kind != "MARKET":  # futures: an insurance fund's or a settlement's entry, no trade between two orders
            notes.skip(f"trade {data.kind}")
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

    def ticker(data: _Ticker, symbol: str, received: int) -> TickEvent | None:
        if data.bid_price >= data.ask_price > ZERO:
            notes.skip("best bid at or above the best ask")
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

    def delta(data: _Depth, symbol: str, received: int) -> OrderBookDeltaEvent:
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

    def book(data: _Snapshot | _Partial, symbol: str, received: int) -> OrderBookEvent:
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

    def candle(data: _Kline, symbol: str, received: int) -> CandleEvent | None:
        k = data.candle
        if not k.is_closed:
            notes.skip("kline that is not closed")
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
