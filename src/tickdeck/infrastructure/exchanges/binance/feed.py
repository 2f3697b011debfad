"""The rules of Binance's market data streams, without I/O: what arrives and the clock go in, frames and things to do
come out.

Give every happening to the matching method, then take ``frames()`` and ``actions()``. Nothing here waits or reads a
clock; ``next_due`` says when ``tick`` has something to do.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.binance.decoder import UNREADABLE, connection_frame
from tickdeck.infrastructure.exchanges.binance.mappers.market import Wrapped, kind_of_stream
from tickdeck.infrastructure.exchanges.binance.profile import BINANCE_SPOT, Profile

__all__ = [
    "DEFAULT_CHANNELS",
    "Action",
    "CloseConnection",
    "FeedStatistics",
    "Fetch",
    "MarketDataProtocol",
    "OpenConnection",
    "SendText",
]

DEFAULT_CHANNELS = ("trade", "bookTicker", "depth@100ms")

NEVER = 1 << 62
_S = 1_000_000_000  # ns in a second
_EARLY = 30 * 60 * _S  # before the venue ends a connection, the next one is made
_OVERLAP = 10 * _S  # both connections are read for so long
_SEND_EVERY = _S // 4  # below the venue's five messages a second, with room for pongs
_STREAMS_A_MESSAGE = 100  # very long messages fail silently
_FETCH_TIMEOUT = 10 * _S
_LONGEST_GAP = 5_000  # trades; what is longer is told and not fetched
_MAX_HELD = 20_000  # messages of trades that wait for a fetch
_WRAPPED = b'{"stream":"'


class OpenConnection(NamedTuple):
    """Open a WebSocket connection and call ``opened`` or ``closed``."""

    connection: int


class CloseConnection(NamedTuple):
    """Close a connection, then call ``closed``."""

    connection: int
    reason: str


class SendText(NamedTuple):
    """Send a text message."""

    connection: int
    text: bytes


class Fetch(NamedTuple):
    """Ask over REST, then call ``fetched`` or ``fetch_failed``. ``what``: ``depth``, ``trade`` or ``aggTrade``; of
    trades those with the ids ``first`` to ``last``, as many as one answer holds."""

    number: int
    what: str
    symbol: str
    first: int = 0
    last: int = 0


Action: TypeAlias = OpenConnection | CloseConnection | SendText | Fetch


class FeedStatistics(msgspec.Struct, kw_only=True):
    """Counts since the start. ``repeated``: messages that came on two connections. ``gaps``: holes in trades or books
    that were seen; ``trades_fetched``: trades that closed holes; ``snapshots``: books that were passed on;
    ``unreadable``: messages that were passed on as they are, because nobody can tell what they are."""

    received: int = 0
    repeated: int = 0
    gaps: int = 0
    trades_fetched: int = 0
    snapshots: int = 0
    connections: int = 0
    unreadable: int = 0


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
    """A message that is no market data: an answer, or news of the server."""

    event: str = msgspec.field(name="e", default="")
    error: Any = None
    id: Any = None


class _SnapshotId(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")


class _RestTrade(msgspec.Struct):
    id: int
    price: str
    quantity: str = msgspec.field(name="qty")
    time: int
    buyer_is_maker: bool = msgspec.field(name="isBuyerMaker")


class _RestAggTrade(msgspec.Struct):
    id: int = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class _Connection:
    """``state``: ``opening``, ``open`` or ``closing``. ``replaces``: the connection that it is to take over from; until
    it does, ``ahead`` keeps what it brings. ``renew_due``: when the next connection is opened, to take over from it."""

    __slots__ = ("ahead", "heard", "opened", "renew_due", "replaces", "send_due", "state", "to_send")

    def __init__(self, now: int, replaces: int = 0) -> None:
        self.state = "opening"
        self.opened = self.heard = self.send_due = now
        self.renew_due = NEVER
        self.replaces = replaces
        self.ahead: list[bytes] = []
        self.to_send: deque[bytes] = deque()


class _Book:
    """The chain of a symbol's updates. ``last``: of the last update passed on; ``waits_from``: the first id of the
    updates that wait for a snapshot, 0 where none do."""

    __slots__ = ("fetch", "last", "tries", "waits_from")

    def __init__(self) -> None:
        self.last = self.waits_from = self.fetch = self.tries = 0


class _Trades:
    """The chain of a stream's trades. While a hole is being fetched, ``held`` keeps what came after it."""

    __slots__ = ("fetch", "first", "held", "kind", "last", "last_missing", "symbol")

    def __init__(self, kind: str, symbol: str) -> None:
        self.kind, self.symbol = kind, symbol
        self.last = self.fetch = self.first = self.last_missing = 0
        self.held: deque[tuple[int, Frame]] = deque()


_Handler: TypeAlias = Callable[[Frame], bool]
"""Takes a message of a stream. Returns whether it is to be passed on now."""


class MarketDataProtocol:
    """The market data of ``symbols``, over one connection, and over two while one takes over from the other.

    ``channels``: those of the venue's streams that each symbol has, without the symbol: ``trade``, ``aggTrade``,
    ``bookTicker``, ``depth``, ``depth@100ms``, ``depth20@100ms``, ``kline_1m``. ``stale_after``: ns of silence after
    which a connection is made anew. ``seed``: of the random part of waits.

    What it holds to:
    - A message that came before, on the other connection, is dropped.
    - Updates of a book whose chain breaks are passed on, so that the book's owner sees the hole, and a snapshot is
      fetched. It is passed on when it joins the updates; one that is too old is fetched again.
    - Trades after a hole are held until the missing ones were fetched by id and passed on before them. Where that
      fails, or takes too long, or the hole is long, they are passed on as they are: the hole shows in the ids.
    - A lost connection is made again after a wait that doubles up to 30 s, with a random part. Before the venue ends a
      connection, another one is opened and takes over without a hole.
    - ``connection_frame`` tells when the last connection is lost and when there is one again.

    Raises ``ConfigError`` if there are more streams than a connection carries, or a channel that is not known.
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        channels: tuple[str, ...] = DEFAULT_CHANNELS,
        *,
        profile: Profile = BINANCE_SPOT,
        stale_after: int = 60 * _S,
        seed: int = 0,
    ) -> None:
        self._symbols = tuple(symbol.upper() for symbol in symbols)
        self._streams = [f"{symbol.lower()}@{channel}" for symbol in symbols for channel in channels]
        for channel in channels:
            if not kind_of_stream(f"x@{channel}")[0]:
                raise ConfigError(f"{profile.name}: there is no channel {channel!r}; give one such as 'depth@100ms'")
        if not self._streams or len(self._streams) > profile.streams:
            raise ConfigError(
                f"{profile.name}: {len(self._streams)} streams; give 1 to {profile.streams} symbols x channels"
            )
        self._profile, self._stale_after = profile, stale_after
        self._random = random.Random(seed)
        self._connections: dict[int, _Connection] = {}
        self._numbers = self._fetches = self._message_ids = self._failures = 0
        self._reopen_due = NEVER
        self._lost = False
        self._frames: list[Frame] = []
        self._actions: list[Action] = []
        self._books: dict[str, _Book] = {}
        self._trades: dict[bytes, _Trades] = {}
        self._ids: dict[bytes, int] = {}  # of streams whose messages replace each other
        self._handlers: dict[bytes, _Handler] = {}
        self._open_fetches: dict[int, tuple[Fetch, int]] = {}  # with its deadline
        self._later: list[tuple[int, Fetch]] = []  # to be asked again when it is due
        self.problems: list[str] = []
        """What the venue answered to subscriptions that it refused."""
        self.statistics = FeedStatistics()

    # -- what happens ---------------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Begin: open the first connection."""
        self._open(now)

    def opened(self, connection: int, now: int) -> None:
        """A connection is open: subscribe."""
        state = self._connections.get(connection)
        if state is None:
            self._actions.append(CloseConnection(connection, "not wanted any more"))
            return
        state.state = "open"
        state.opened = state.heard = state.send_due = now
        state.renew_due = now + self._profile.connection_life - _EARLY
        for begin in range(0, len(self._streams), _STREAMS_A_MESSAGE):
            self._message_ids += 1
            message = {
                "method": "SUBSCRIBE",
                "params": self._streams[begin : begin + _STREAMS_A_MESSAGE],
                "id": self._message_ids,
            }
            state.to_send.append(msgspec.json.encode(message))
        self.statistics.connections += 1
        if self._lost or self.statistics.connections == 1:
            self._frames.append(connection_frame(now, self._symbols))
            self._lost = False
        self._send(connection, state, now)

    def received(self, connection: int, now: int, data: bytes) -> None:
        """A text message arrived. Line breaks in it are spaces already."""
        state = self._connections.get(connection)
        if state is None:
            return  # of a connection that was given up
        state.heard = now
        self._failures = 0
        self.statistics.received += 1
        if state.replaces:
            state.ahead.append(data)  # the other connection brings it, too
            return
        self._take(connection, now, data)

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
            passed = True  # the decoder tells what is wrong with it
        if passed:
            self._frames.append(frame)

    def closed(self, connection: int, now: int, reason: str) -> None:
        """A connection is closed, or could not be opened."""
        state = self._connections.pop(connection, None)
        if state is None:
            return
        if not any(other.state == "open" for other in self._connections.values()):
            if not self._lost and self.statistics.connections:
                self._frames.append(connection_frame(now, self._symbols, reason))
                self._lost = True
            self._ids.clear()  # the venue may count anew
        for number, other in list(self._connections.items()):
            if other.replaces == connection:
                self._go_live(number, other, now)
        replaced = self._connections.get(state.replaces)
        if replaced is not None:
            replaced.renew_due = now + self._wait()
        if state.state != "closing" and not self._connections and self._reopen_due == NEVER:
            self._reopen_due = now + self._wait()
        elif not self._connections and self._reopen_due == NEVER:
            self._reopen_due = now

    def fetched(self, number: int, now: int, body: bytes) -> None:
        """The answer to a ``Fetch`` is here."""
        found = self._open_fetches.pop(number, None)
        if found is None:
            return  # it came too late
        fetch = found[0]
        try:
            if fetch.what == "depth":
                self._snapshot(fetch, now, body)
            else:
                self._missing_trades(fetch, now, body)
        except UNREADABLE:
            self._fetch_again(fetch, now)

    def fetch_failed(self, number: int, now: int, wait: int = 0) -> None:
        """A ``Fetch`` failed. ``wait``: ns that the venue wants to have peace."""
        found = self._open_fetches.pop(number, None)
        if found is not None:
            self._fetch_again(found[0], now, wait)

    def tick(self, now: int) -> None:
        """Do what is due: send what waited, ask again, give up what takes too long, make connections anew."""
        if now >= self._reopen_due:
            self._reopen_due = NEVER
            self._open(now)
        for number, state in list(self._connections.items()):
            if state.state == "open":
                self._send(number, state, now)
                self._watch(number, state, now)
        for number, (fetch, deadline) in list(self._open_fetches.items()):
            if now >= deadline:
                del self._open_fetches[number]
                self._fetch_again(fetch, now)
        due = [fetch for at, fetch in self._later if at <= now]
        self._later = [(at, fetch) for at, fetch in self._later if at > now]
        for fetch in due:
            self._ask(fetch, now)

    @property
    def next_due(self) -> int:
        """When ``tick`` has something to do, ns UTC."""
        due = [self._reopen_due, *(at for at, _ in self._later), *(at for _, at in self._open_fetches.values())]
        for state in self._connections.values():
            if state.state == "open":
                due.append(state.heard + self._stale_after)
                due.append(state.opened + _OVERLAP if state.replaces else state.renew_due)
                if state.to_send:
                    due.append(state.send_due)
        return min(due)

    def frames(self) -> list[Frame]:
        """What came since the last call, in order, for the record and the kernel."""
        taken, self._frames = self._frames, []
        return taken

    def actions(self) -> list[Action]:
        """What is to be done since the last call, in order."""
        taken, self._actions = self._actions, []
        return taken

    # -- connections ----------------------------------------------------------------------------------------------

    def _open(self, now: int, replaces: int = 0) -> None:
        self._numbers += 1
        self._connections[self._numbers] = _Connection(now, replaces)
        self._actions.append(OpenConnection(self._numbers))

    def _wait(self) -> int:
        """Before the next attempt: 1 s, 2 s, ... 30 s, half of it at random."""
        self._failures += 1
        longest = min(30 * _S, _S << min(self._failures - 1, 5))
        return longest // 2 + int(self._random.random() * longest / 2)

    def _send(self, number: int, state: _Connection, now: int) -> None:
        if state.to_send and now >= state.send_due:
            self._actions.append(SendText(number, state.to_send.popleft()))
            state.send_due = now + _SEND_EVERY

    def _watch(self, number: int, state: _Connection, now: int) -> None:
        if now >= state.heard + self._stale_after:
            self._close(number, state, f"nothing was heard for {self._stale_after / _S:g} s")
        elif state.replaces:
            if now >= state.opened + _OVERLAP:
                old = self._connections.get(state.replaces)
                if old is not None and old.state == "open":
                    self._close(state.replaces, old, "another connection took over")
                self._go_live(number, state, now)
        elif now >= state.renew_due:
            self._take_over(number, now)

    def _go_live(self, number: int, state: _Connection, now: int) -> None:
        """Take over from the connection before: what that one brought too is dropped by its ids."""
        state.replaces = 0
        ahead, state.ahead = state.ahead, []
        for data in ahead:
            self._take(number, now, data)

    def _close(self, number: int, state: _Connection, reason: str) -> None:
        state.state = "closing"
        self._actions.append(CloseConnection(number, reason))

    # -- messages -------------------------------------------------------------------------------------------------

    def _control(self, frame: Frame, connection: int, now: int) -> None:
        try:
            said = msgspec.json.decode(frame.data, type=_Control)
        except UNREADABLE:
            self.statistics.unreadable += 1
            self._frames.append(frame)
            return
        if said.event == "serverShutdown":
            self._take_over(connection, now)
        elif said.error is not None:
            self.problems.append(msgspec.json.encode(said.error).decode())
            self._frames.append(frame)
        elif said.event:
            self._frames.append(frame)

    def _take_over(self, connection: int, now: int) -> None:
        """Open another connection, which will take over from this one."""
        state = self._connections.get(connection)
        if state is not None and not any(other.replaces == connection for other in self._connections.values()):
            state.renew_due = NEVER
            self._open(now, replaces=connection)

    def _add(self, stream: bytes, connection: int, now: int) -> _Handler:
        """How messages of ``stream`` are taken."""
        name = stream.decode()
        if name == "!serverShutdown":
            self._take_over(connection, now)
            return _drop
        kind, symbol, _ = kind_of_stream(name)
        handler: _Handler
        if kind == "depth":
            book = self._books.setdefault(symbol, _Book())
            decode = msgspec.json.Decoder(Wrapped[_Updates]).decode
            handler = lambda frame: self._updates(symbol, book, decode(frame.data).data, frame)  # noqa: E731
        elif kind in ("trade", "aggTrade"):
            trades = self._trades.setdefault(stream, _Trades(kind, symbol))
            ids: Any = msgspec.json.Decoder(Wrapped[_TradeId] if kind == "trade" else Wrapped[_AggTradeId]).decode
            handler = lambda frame: self._trade(trades, ids(frame.data).data.id, frame)  # noqa: E731
        elif kind in ("bookTicker", "partial"):
            last: Any = msgspec.json.Decoder(Wrapped[_UpdateId] if kind == "bookTicker" else Wrapped[_PartialId]).decode
            handler = lambda frame: self._newer(stream, last(frame.data).data.id)  # noqa: E731
        elif kind == "kline":
            candle = msgspec.json.Decoder(Wrapped[_Kline]).decode
            handler = lambda frame: self._candle(stream, candle(frame.data).data.candle)  # noqa: E731
        else:
            return _pass_on
        if len(self._handlers) < 2 * self._profile.streams:  # a broken venue may send ever new names
            self._handlers[stream] = handler
        return handler

    def _newer(self, stream: bytes, number: int) -> bool:
        if number <= self._ids.get(stream, -1):
            self.statistics.repeated += 1
            return False
        self._ids[stream] = number
        return True

    def _candle(self, stream: bytes, candle: _KlineEnd) -> bool:
        return self._newer(stream, candle.open_time) if candle.is_closed else False

    # -- books ----------------------------------------------------------------------------------------------------

    def _updates(self, symbol: str, book: _Book, updates: _Updates, frame: Frame) -> bool:
        first, last = updates.first, updates.last
        if book.last and last <= book.last:
            self.statistics.repeated += 1
            return False
        if not book.last or first > book.last + 1:
            if book.last:
                self.statistics.gaps += 1
            book.waits_from = first
            if not book.fetch:
                book.tries = 0
                self._fetch_book(symbol, book, frame.received)
        book.last = last
        return True

    def _fetch_book(self, symbol: str, book: _Book, now: int) -> None:
        self._fetches += 1
        book.fetch = self._fetches
        self._ask(Fetch(book.fetch, "depth", symbol), now)

    def _snapshot(self, fetch: Fetch, now: int, body: bytes) -> None:
        book = self._books[fetch.symbol]
        last = msgspec.json.decode(body, type=_SnapshotId).last_update_id
        if last + 1 < book.waits_from:
            self._fetch_again(fetch, now)  # it is older than the updates that wait
            return
        book.fetch = book.waits_from = 0
        self.statistics.snapshots += 1
        body = body.strip()
        self._frames.append(Frame(now, b'{"symbol":"%b",%b' % (fetch.symbol.encode(), body[1:])))

    # -- trades ---------------------------------------------------------------------------------------------------

    def _trade(self, trades: _Trades, number: int, frame: Frame) -> bool:
        last = trades.last
        if trades.fetch:
            if len(trades.held) < _MAX_HELD:
                trades.held.append((number, frame))
                return False
            self._release(trades, frame.received)
            return self._trade(trades, number, frame)
        if last and number <= last:
            self.statistics.repeated += 1
            return False
        if last and number > last + 1:
            self.statistics.gaps += 1
            if number - last <= _LONGEST_GAP:
                trades.first, trades.last_missing = last + 1, number - 1
                trades.held.append((number, frame))
                self._fetch_trades(trades, frame.received)
                return False
        trades.last = number
        return True

    def _fetch_trades(self, trades: _Trades, now: int) -> None:
        self._fetches += 1
        trades.fetch = self._fetches
        self._ask(Fetch(trades.fetch, trades.kind, trades.symbol, trades.first, trades.last_missing), now)

    def _missing_trades(self, fetch: Fetch, now: int, body: bytes) -> None:
        trades = next(trades for trades in self._trades.values() if trades.fetch == fetch.number)
        shape: Any = list[_RestTrade] if trades.kind == "trade" else list[_RestAggTrade]
        wanted = trades.first
        for trade in msgspec.json.decode(body, type=shape):
            if wanted == trade.id <= trades.last_missing:
                self._frames.append(Frame(now, _as_message(trades, trade)))
                self.statistics.trades_fetched += 1
                wanted += 1
        progress, trades.first = wanted > trades.first, wanted
        trades.last = wanted - 1
        if progress and wanted <= trades.last_missing:
            self._fetch_trades(trades, now)
        else:
            self._release(trades, now)

    def _release(self, trades: _Trades, now: int) -> None:
        """Pass on what was held; another hole in it begins another fetch."""
        trades.fetch = 0
        held, trades.held = trades.held, deque()
        if held and held[0][0] > trades.last:
            trades.last = held[0][0] - 1  # what is missing yet is told by the ids
        for number, frame in held:
            moved = frame._replace(received=now)
            if self._trade(trades, number, moved):
                self._frames.append(moved)

    # -- REST -----------------------------------------------------------------------------------------------------

    def _ask(self, fetch: Fetch, now: int) -> None:
        self._open_fetches[fetch.number] = fetch, now + _FETCH_TIMEOUT
        self._actions.append(fetch)

    def _fetch_again(self, fetch: Fetch, now: int, wait: int = 0) -> None:
        """Ask for a book again, later each time. Trades are not waited for: what was held is passed on."""
        if fetch.what != "depth":
            for trades in self._trades.values():
                if trades.fetch == fetch.number:
                    self._release(trades, now)
            return
        book = self._books[fetch.symbol]
        book.tries += 1
        self._later.append((now + max(wait, min(30 * _S, (_S // 4) << min(book.tries, 7))), fetch))


def _as_message(trades: _Trades, trade: _RestTrade | _RestAggTrade) -> bytes:
    """A trade that was fetched, as its stream would have sent it; ``r`` tells where it comes from."""
    data = {
        "e": trades.kind,
        "s": trades.symbol,
        "t" if trades.kind == "trade" else "a": trade.id,
        "p": trade.price,
        "q": trade.quantity,
        "T": trade.time,
        "m": trade.buyer_is_maker,
        "r": "rest",
    }
    return b'{"stream":"%b@%b","data":%b}' % (
        trades.symbol.lower().encode(),
        trades.kind.encode(),
        msgspec.json.encode(data),
    )


def _drop(frame: Frame) -> bool:
    return False


def _pass_on(frame: Frame) -> bool:
    return True
