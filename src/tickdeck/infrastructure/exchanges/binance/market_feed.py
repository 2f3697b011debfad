"""The live market data of Binance: runs ``MarketDataProtocol`` over sockets and REST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import Frame
from tickdeck.domain.events import DomainEvent
from tickdeck.domain.market import Instrument
from tickdeck.errors import ExchangeError, InvalidSymbol, RateLimited, VenueUnavailable
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.exchanges.binance.decoder import (
    FrameDecoder,
    circuit_frame,
    overload_frame,
    overload_key,
)
from tickdeck.infrastructure.exchanges.binance.http import AiohttpClient, Answer, HttpClient
from tickdeck.infrastructure.exchanges.binance.limits import account_limits, connect_limits, observe
from tickdeck.infrastructure.exchanges.binance.mappers.errors import error_from
from tickdeck.infrastructure.exchanges.binance.market_data import (
    DEFAULT_CHANNELS,
    INSTRUMENTS_EVERY,
    STALE_AFTER,
    CloseConnection,
    Fetch,
    MarketDataProtocol,
    OpenConnection,
    SendText,
)
from tickdeck.infrastructure.exchanges.binance.sockets import Socket, open_socket
from tickdeck.infrastructure.exchanges.binance.wire import MAINNET, Endpoints, HttpRequest, public_request
from tickdeck.infrastructure.frames import one_line
from tickdeck.infrastructure.resilience import BreakerTransition, CircuitBreaker, RateLimiter

__all__ = ["BinanceFeed"]

Put: TypeAlias = Callable[[Frame], Awaitable[object]]

_LONGEST_WAIT = 1.0  # seconds between two readings of the clock
_BACKLOG = 20_000  # frames that may wait before the sockets are paused
_TRADES = {"trade": ("/api/v3/historicalTrades", 25), "aggTrade": ("/api/v3/aggTrades", 4)}
"""Paths and weights."""


class BinanceFeed:
    """The market data of ``symbols``, as a ``MarketDataFeed``. The rules are in ``MarketDataProtocol``.

    ``endpoints``: the venue's addresses. ``channels``: the streams of each symbol. ``http``: sends REST requests;
    aiohttp by default. ``limits``: the limits of our address; share them with the exchanges of the same process.
    ``instruments_every``: ns between two queries of the instruments. ``stale_after``: ns of silence after which the
    connection is made again.
    """

    name = "binance"

    def __init__(
        self,
        symbols: tuple[str, ...],
        endpoints: Endpoints = MAINNET,
        *,
        channels: tuple[str, ...] = DEFAULT_CHANNELS,
        clock: LiveClock | None = None,
        http: HttpClient | None = None,
        limits: RateLimiter | None = None,
        instruments_every: int = INSTRUMENTS_EVERY,
        stale_after: int = STALE_AFTER,
    ) -> None:
        self._clock = clock or SystemClock()
        self._endpoints = endpoints
        self._http = http
        self.limits = limits or account_limits(clock=self._clock)
        self.connects = connect_limits(clock=self._clock)
        self._breaker = CircuitBreaker(f"{self.name}/market-data", clock=self._clock, on_transition=self._on_transition)
        self._symbols = tuple(symbol.upper() for symbol in symbols)
        self._all_listed = False  # query all instruments, because one of ours is not listed
        self._decoder = FrameDecoder(self.name, symbols)
        self._sockets: dict[int, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._waiting = 0
        self.protocol = MarketDataProtocol(
            symbols,
            channels,
            instruments_every=instruments_every,
            stale_after=stale_after,
            seed=self._clock.time_ns(),
        )

    def resync(self, symbol: str) -> None:
        """Fetch a new snapshot of a book."""
        self.protocol.resync(symbol, self._clock.time_ns())
        self._wake.set()

    def ask_instruments(self) -> None:
        """Query the instruments soon."""
        self.protocol.ask_instruments(self._clock.time_ns())
        self._wake.set()

    def overload_key(self, frame: Frame) -> str | None:
        return overload_key(frame.data)

    def overload_frame(self, received: int, dropped: int, conflated: int) -> Frame:
        return overload_frame(received, dropped, conflated)

    def counts(self) -> Mapping[str, int]:
        return msgspec.structs.asdict(self.protocol.statistics)

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        return self._decoder.decode(frame)

    def remember(self, frame: Frame) -> None:
        self.protocol.remember(frame)

    def continue_after(self, trades: Mapping[str, int]) -> None:
        self.protocol.continue_after(trades)

    def recall_instruments(self, instruments: Iterable[Instrument]) -> None:
        self.protocol.recall_instruments(instruments)

    async def run(self, put: Put) -> None:
        protocol, clock = self.protocol, self._clock
        http = self._http or AiohttpClient(self._endpoints.rest)
        protocol.start(clock.time_ns())
        try:
            while True:
                for frame in protocol.frames():
                    await put(frame)
                self._resume()
                for action in protocol.actions():
                    self._do(action, http)
                wait = min((protocol.next_due - clock.time_ns()) / 1e9, _LONGEST_WAIT)
                if wait > 0:
                    try:
                        async with asyncio.timeout(wait):
                            await self._wake.wait()
                    except TimeoutError:
                        pass
                self._wake.clear()
                protocol.tick(clock.time_ns())
                self._raise_failure()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for socket in self._sockets.values():
                socket.close()
            await http.close()

    def _do(self, action: OpenConnection | CloseConnection | SendText | Fetch, http: HttpClient) -> None:
        match action:
            case OpenConnection(connection):
                self._start(self._connect(connection))
            case CloseConnection(connection, reason):
                socket = self._sockets.pop(connection, None)
                if socket is not None:
                    socket.close()
                self._lost(connection, reason)
            case SendText(connection, text):
                if connection in self._sockets:
                    self._sockets[connection].send(text)
            case Fetch():
                self._start(self._fetch(action, http))

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._wake.set())

    def _raise_failure(self) -> None:
        """Raise the error that ended a task for good, such as a missing package."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    async def _connect(self, connection: int) -> None:
        def on_text(data: bytes) -> None:
            self.protocol.received(connection, self._clock.time_ns(), data)
            self._waiting += 1
            if self._waiting == _BACKLOG:
                for socket in self._sockets.values():
                    socket.pause(True)
            self._wake.set()

        await self.connects.wait_for(connects=1)
        try:
            socket = await open_socket(self._endpoints.streams, on_text, lambda reason: self._lost(connection, reason))
        except VenueUnavailable as error:
            self._lost(connection, str(error))
            return
        self._sockets[connection] = socket
        self.protocol.opened(connection, self._clock.time_ns())
        self._wake.set()

    def _lost(self, connection: int, reason: str) -> None:
        self._sockets.pop(connection, None)
        self.protocol.closed(connection, self._clock.time_ns(), reason)
        self._wake.set()

    def _resume(self) -> None:
        if self._waiting >= _BACKLOG:
            for socket in self._sockets.values():
                socket.pause(False)
        self._waiting = 0

    async def _fetch(self, fetch: Fetch, http: HttpClient) -> None:
        wait = 0.0
        try:
            answer = await self._ask(*_request(fetch, () if self._all_listed else self._symbols), http)
        except RateLimited as error:
            wait = error.wait
        except InvalidSymbol:  # which one it is, the list of all tells
            if fetch.what == "instruments" and not self._all_listed:
                self._all_listed = True
                await self._fetch(fetch, http)
                return
        except ExchangeError:
            pass  # the protocol repeats the request, each time a little later
        else:
            self.protocol.fetched(fetch.number, self._clock.time_ns(), one_line(answer.body))
            return
        self.protocol.fetch_failed(fetch.number, self._clock.time_ns(), round(wait * 1e9))

    async def _ask(self, request: HttpRequest, weight: int, http: HttpClient) -> Answer:
        """Send a request within the limits."""
        self.limits.admit(weight=weight, requests=1)
        with self._breaker:
            try:
                answer = await http.send(request)
            except (TimeoutError, ConnectionError) as error:
                raise VenueUnavailable(str(error)) from None
            observe(self.limits, answer.headers)
            if answer.status != 200:
                now = self._clock.time_ns() // 1_000_000
                refusal = error_from(answer.status, answer.body, answer.headers, changes=False, now_ms=now)
                if isinstance(refusal, RateLimited):
                    self.limits.stop(refusal.wait)
                raise refusal
        return answer

    def _on_transition(self, change: BreakerTransition) -> None:
        now = self._clock.time_ns()
        self.protocol.add(circuit_frame(now, change.name, change.before.value, change.after.value, change.reason))


def _request(fetch: Fetch, symbols: tuple[str, ...]) -> tuple[HttpRequest, int]:
    """A request and its weight. ``symbols``: whose instruments to query; empty means all."""
    if fetch.what == "depth":
        return public_request("/api/v3/depth", {"symbol": fetch.symbol, "limit": 5000}), 250
    if fetch.what == "instruments":
        names = {"symbols": msgspec.json.encode(symbols).decode()} if symbols else None
        return public_request("/api/v3/exchangeInfo", names), 20
    path, weight = _TRADES[fetch.what]
    count = min(1000, fetch.last - fetch.first + 1)
    return public_request(path, {"symbol": fetch.symbol, "fromId": fetch.first, "limit": count}), weight
