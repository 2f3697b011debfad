"""The rules of Binance's market data streams, without I/O: messages and times go in, frames and actions come out.

Call the matching method for each thing that happens, then take ``frames()`` and ``actions()``. Nothing here waits or
reads a clock. ``next_due`` says when to call ``tick``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.domain.market import Instrument
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.binance.decoder import UNREADABLE, missing_frame
from tickdeck.infrastructure.exchanges.binance.mappers.market import Wrapped, kind_of_stream
from tickdeck.infrastructure.exchanges.binance.market_data.books import BookChains
from tickdeck.infrastructure.exchanges.binance.market_data.connections import Connections
from tickdeck.infrastructure.exchanges.binance.market_data.fetches import Fetches
from tickdeck.infrastructure.exchanges.binance.market_data.instruments import InstrumentWatch
from tickdeck.infrastructure.exchanges.binance.market_data.output import Action, FeedStatistics, Fetch, Output
from tickdeck.infrastructure.exchanges.binance.market_data.trades import TradeChains
from tickdeck.infrastructure.exchanges.binance.profile import BINANCE_SPOT, Profile

__all__ = ["DEFAULT_CHANNELS", "INSTRUMENTS_EVERY", "STALE_AFTER", "MarketDataProtocol"]

DEFAULT_CHANNELS = ("trade", "bookTicker", "depth@100ms")

_S = 1_000_000_000  # ns in a second
INSTRUMENTS_EVERY = 60 * _S
"""How often to query the instruments. A response weighs 20 of the 6,000 a minute."""
STALE_AFTER = 60 * _S
"""How long a connection may be silent."""
_WRAPPED = b'{"stream":"'


class _TradeId(msgspec.Struct, gc=False):
    id: int = msgspec.field(name="t")


class _AggTradeId(msgspec.Struct, gc=False):
    id: int = msgspec.field(name="a")


class _UpdateId(msgspec.Struct, gc=False):
    id: int = msgspec.field(name="u")


class _Updates(msgspec.Struct, gc=False):
    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")


class _PartialId(msgspec.Struct, gc=False):
    id: int = msgspec.field(name="lastUpdateId")


class _KlineEnd(msgspec.Struct, gc=False):
    open_time: int = msgspec.field(name="t")
    is_closed: bool = msgspec.field(name="x")


class _Kline(msgspec.Struct, gc=False):
    candle: _KlineEnd = msgspec.field(name="k")


class _Control(msgspec.Struct):
    """A message that is not market data: a response, or a notice from the server."""

    event: str = msgspec.field(name="e", default="")
    error: Any = None
    id: Any = None
    result: Any = None


_Handler: TypeAlias = Callable[[Frame], bool]
"""Handles a message of a stream. Returns whether to pass it on now."""


class MarketDataProtocol:
    """The market data of ``symbols``, over one connection, and over two while one takes over from the other.

    ``channels``: the venue's streams of each symbol, without the symbol: ``trade``, ``aggTrade``, ``bookTicker``,
    ``depth``, ``depth@100ms``, ``depth20@100ms``, ``kline_1m``. ``stale_after``: ns of silence after which a connection
    is opened again. ``instruments_every``: ns between two queries of the instruments. ``seed``: for the random part of
    waits.

    - A message that already arrived on the other connection is dropped.
    - If the sequence of book updates breaks, they are passed on, so that the owner of the book sees the gap. A snapshot
      is fetched, and passed on when the updates continue it.
    - Trades after a gap are held until the missing ones are fetched and passed on. If that fails or takes too long, or
      if the gap is long, they are passed on unchanged, and the gap shows in the ids.
    - An instrument is passed on at the start and when it has changed.
    - Before the venue ends a connection, another one is opened and takes over without a gap.
    - ``connection_frame`` reports that the last connection was lost, and that there is a connection again.

    Raises ``ConfigError`` if there are more streams than a connection carries, or for an unknown channel.
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        channels: tuple[str, ...] = DEFAULT_CHANNELS,
        *,
        profile: Profile = BINANCE_SPOT,
        stale_after: int = STALE_AFTER,
        instruments_every: int = INSTRUMENTS_EVERY,
        seed: int = 0,
    ) -> None:
        streams = [f"{symbol.lower()}@{channel}" for symbol in symbols for channel in channels]
        for channel in channels:
            if not kind_of_stream(f"x@{channel}")[0]:
                raise ConfigError(f"{profile.name}: there is no channel {channel!r}; give one such as 'depth@100ms'")
        if not streams or len(streams) > profile.streams:
            raise ConfigError(f"{profile.name}: {len(streams)} streams; give 1 to {profile.streams} symbols x channels")
        self._most_handlers = 2 * profile.streams  # a broken venue may keep sending new names
        self._output = Output()
        self.statistics = FeedStatistics()
        self._fetches = Fetches(self._output)
        self._books = BookChains(self._output, self._fetches, self.statistics)
        self._trades = TradeChains(self._output, self._fetches, self.statistics)
        self._ids: dict[bytes, int] = {}  # the last ids of streams whose messages replace each other
        self._handlers: dict[bytes, _Handler] = {}
        self._remembered: dict[bytes, Frame] = {}  # the last trade of each stream
        self._last_trades: dict[bytes, int] = {}  # and its id, where only that is known
        self._streams = streams
        names = tuple(symbol.upper() for symbol in symbols)
        self._instruments = InstrumentWatch(self._output, self._fetches, names, instruments_every)
        self._connections = Connections(
            self._output,
            self.statistics,
            symbols=names,
            streams=streams,
            profile=profile,
            stale_after=stale_after,
            seed=seed,
            on_message=self._take,
            on_lost=self._ids.clear,  # the venue may start counting anew
        )
        self.problems: list[str] = []
        """The venue's responses to subscriptions that it refused."""

    # -- inputs ---------------------------------------------------------------------------------------------------

    def remember(self, frame: Frame) -> None:
        """Take a frame that an earlier process passed on, before ``start``. Trades that were missed since then are
        fetched when the next one arrives.
        """
        data = frame.data
        if data.startswith(_WRAPPED):
            stream = data[11 : data.index(b'"', 11)]
            if stream.endswith((b"@trade", b"@aggTrade")):
                self._remembered[stream] = frame

    def continue_after(self, trades: Mapping[str, int]) -> None:
        """The same for trades of which only the ids are known, by symbol."""
        for stream in self._streams:
            kind, symbol, _ = kind_of_stream(stream)
            if kind in ("trade", "aggTrade") and symbol in trades:
                self._last_trades[stream.encode()] = trades[symbol]

    def recall_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Take the instruments of a run that continues, before ``start``: one that is not listed is delisted."""
        self._instruments.recall(instruments)

    def start(self, now: int) -> None:
        """Begin: open the first connection, and ask for the instruments."""
        for stream, last in self._last_trades.items():
            if stream in self._remembered:
                continue  # it is newer
            kind, symbol, _ = kind_of_stream(stream.decode())
            self._trades.chain(stream, kind, symbol).last = last
        self._last_trades.clear()
        for stream, frame in self._remembered.items():
            with contextlib.suppress(*UNREADABLE):  # it was reported when it arrived
                self._add(stream, 0, now)(frame)
        self._remembered.clear()
        self._connections.open(now)
        self._instruments.ask(now)

    def opened(self, connection: int, now: int) -> None:
        """A connection is open: subscribe."""
        self._connections.opened(connection, now)

    def received(self, connection: int, now: int, data: bytes) -> None:
        """A text message arrived. It must not contain a line break."""
        self._connections.received(connection, now, data)

    def closed(self, connection: int, now: int, reason: str) -> None:
        """A connection is closed, or could not be opened."""
        self._connections.closed(connection, now, reason)

    def resync(self, symbol: str, now: int) -> None:
        """The owner of the book of ``symbol`` cannot use it, although its updates had no gap: fetch a snapshot."""
        self._books.resync(symbol, now)

    def ask_instruments(self, now: int) -> None:
        """The venue refused an order because of its symbol: query the instruments."""
        self._instruments.ask_again(now)

    def add(self, frame: Frame) -> None:
        """Pass on one of our own frames."""
        self._output.frames.append(frame)

    def fetched(self, number: int, now: int, body: bytes) -> None:
        """The response to a ``Fetch`` arrived. Raises ``InvalidSymbol`` if a symbol was never listed."""
        fetch = self._fetches.answered(number)
        if fetch is None:
            return  # too late
        try:
            if fetch.what == "depth":
                self._books.take_snapshot(fetch, now, body)
            elif fetch.what == "instruments":
                self._instruments.take(fetch, now, body)
            else:
                self._trades.take_missing(fetch, now, body)
        except UNREADABLE:
            self._failed(fetch, now)

    def fetch_failed(self, number: int, now: int, wait: int = 0) -> None:
        """A ``Fetch`` failed. ``wait``: how long (ns) the venue wants no request."""
        fetch = self._fetches.answered(number)
        if fetch is not None:
            self._failed(fetch, now, wait)

    def tick(self, now: int) -> None:
        """Do what is due: send waiting messages, repeat requests, abandon what takes too long, reconnect."""
        self._connections.tick(now)
        for fetch in self._fetches.expire(now):
            self._failed(fetch, now)
        self._fetches.send_due(now)

    @property
    def next_due(self) -> int:
        """When ``tick`` has something to do, ns UTC."""
        return min(self._connections.next_due, self._fetches.next_due)

    def frames(self) -> list[Frame]:
        """The frames since the last call, in order, for the record and the kernel."""
        return self._output.take_frames()

    def actions(self) -> list[Action]:
        """The actions since the last call, in order."""
        return self._output.take_actions()

    # -- messages -------------------------------------------------------------------------------------------------

    def _take(self, connection: int, now: int, data: bytes) -> None:
        frame = Frame(now, data)
        if not data.startswith(_WRAPPED):
            self._control(frame, connection, now)
            return
        try:
            stream = data[11 : data.index(b'"', 11)]
            handler = self._handlers.get(stream)
            if handler is None:
                handler = self._add(stream, connection, now)
            passed = handler(frame)
        except UNREADABLE:
            self.statistics.unreadable += 1
            passed = True  # the decoder reports the error
        if passed:
            self._output.frames.append(frame)

    def _control(self, frame: Frame, connection: int, now: int) -> None:
        try:
            message = msgspec.json.decode(frame.data, type=_Control)
        except UNREADABLE:
            self.statistics.unreadable += 1
            self._output.frames.append(frame)
            return
        if message.event == "serverShutdown":
            self._connections.replace(connection, now)
        elif message.error is not None:
            self.problems.append(msgspec.json.encode(message.error).decode())
            self._output.frames.append(frame)
        elif message.event:
            self._output.frames.append(frame)
        elif isinstance(message.result, list):
            missing, again = self._connections.listed(connection, message.id, message.result)
            if missing:
                self._output.frames.append(missing_frame(now, missing, again))

    def _add(self, stream: bytes, connection: int, now: int) -> _Handler:
        """The handler of a stream's messages, created with the first of them."""
        name = stream.decode()
        if name == "!serverShutdown":
            self._connections.replace(connection, now)
            return _drop
        kind, symbol, _ = kind_of_stream(name)
        handler: _Handler
        if kind == "depth":
            handler = self._on_updates(symbol)
        elif kind in ("trade", "aggTrade"):
            handler = self._on_trades(stream, kind, symbol)
        elif kind in ("bookTicker", "partial"):
            last: Any = msgspec.json.Decoder(Wrapped[_UpdateId] if kind == "bookTicker" else Wrapped[_PartialId]).decode
            handler = lambda frame: self._is_newer(stream, last(frame.data).data.id)  # noqa: E731
        elif kind == "kline":
            candle = msgspec.json.Decoder(Wrapped[_Kline]).decode
            handler = lambda frame: self._is_new_candle(stream, candle(frame.data).data.candle)  # noqa: E731
        else:
            return _pass_on
        if len(self._handlers) < self._most_handlers:
            self._handlers[stream] = handler
        return handler

    def _on_updates(self, symbol: str) -> _Handler:
        take, chain = self._books.take, self._books.chain(symbol)
        decode = msgspec.json.Decoder(Wrapped[_Updates]).decode

        def handle(frame: Frame) -> bool:
            updates = decode(frame.data).data
            return take(chain, updates.first, updates.last, frame.received)

        return handle

    def _on_trades(self, stream: bytes, kind: str, symbol: str) -> _Handler:
        take, chain = self._trades.take, self._trades.chain(stream, kind, symbol)
        decode: Any = msgspec.json.Decoder(Wrapped[_TradeId] if kind == "trade" else Wrapped[_AggTradeId]).decode
        return lambda frame: take(chain, decode(frame.data).data.id, frame)

    def _is_newer(self, stream: bytes, number: int) -> bool:
        if number <= self._ids.get(stream, -1):
            self.statistics.repeated += 1
            return False
        self._ids[stream] = number
        return True

    def _is_new_candle(self, stream: bytes, candle: _KlineEnd) -> bool:
        return self._is_newer(stream, candle.open_time) if candle.is_closed else False

    def _failed(self, fetch: Fetch, now: int, wait: int = 0) -> None:
        """Fetch a book or the instruments again. Missing trades are abandoned."""
        if fetch.what == "depth":
            self._books.fetch_again(fetch, now, wait)
        elif fetch.what == "instruments":
            self._instruments.failed(fetch, now, wait)
        else:
            self._trades.give_up(fetch, now)


def _drop(frame: Frame) -> bool:
    return False


def _pass_on(frame: Frame) -> bool:
    return True
