"""The live market data of Binance: runs ``MarketDataProtocol`` over sockets and REST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import Frame
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError, RateLimited, VenueUnavailable
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder
from tickdeck.infrastructure.exchanges.binance.http import AiohttpClient, HttpClient
from tickdeck.infrastructure.exchanges.binance.mappers.errors import error_from
from tickdeck.infrastructure.exchanges.binance.market_data import (
    DEFAULT_CHANNELS,
    CloseConnection,
    Fetch,
    MarketDataProtocol,
    OpenConnection,
    SendText,
)
from tickdeck.infrastructure.exchanges.binance.sockets import Socket, open_socket
from tickdeck.infrastructure.exchanges.binance.wire import MAINNET, Endpoints, HttpRequest, public_request

__all__ = ["BinanceFeed"]

Put: TypeAlias = Callable[[Frame], Awaitable[object]]

_LONGEST_WAIT = 1.0  # seconds between two looks at the clock
_BACKLOG = 20_000  # frames that may wait before the sockets are paused
_PATHS = {"trade": "/api/v3/historicalTrades", "aggTrade": "/api/v3/aggTrades"}


class BinanceFeed:
    """The market data of ``symbols``, as a ``MarketDataFeed``. What holds for it is in ``MarketDataProtocol``.

    ``endpoints``: the venue's addresses. ``channels``: the streams of each symbol. ``http``: sends REST requests;
    aiohttp by default.
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
    ) -> None:
        self._clock = clock or SystemClock()
        self._endpoints = endpoints
        self._http = http
        self._decoder = FrameDecoder(self.name, symbols)
        self._sockets: dict[int, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._waiting = 0
        self.protocol = MarketDataProtocol(symbols, channels, seed=self._clock.time_ns())

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        return self._decoder.decode(frame)

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
        """Raise what ended a task for good, such as a missing package."""
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
            answer = await http.send(_request(fetch))
            if answer.status == 200:
                self.protocol.fetched(fetch.number, self._clock.time_ns(), _one_line(answer.body))
                return
            error = error_from(answer.status, answer.body, answer.headers, changes=False)
            wait = error.wait if isinstance(error, RateLimited) else 0.0
        except ConfigError:
            raise
        except (VenueUnavailable, TimeoutError, ConnectionError):
            wait = 0.0  # the protocol asks again, later each time
        self.protocol.fetch_failed(fetch.number, self._clock.time_ns(), round(wait * 1e9))


def _request(fetch: Fetch) -> HttpRequest:
    if fetch.what == "depth":
        return public_request("/api/v3/depth", {"symbol": fetch.symbol, "limit": 5000})
    count = min(1000, fetch.last - fetch.first + 1)
    return public_request(_PATHS[fetch.what], {"symbol": fetch.symbol, "fromId": fetch.first, "limit": count})


def _one_line(data: bytes) -> bytes:
    return data.replace(b"\r", b" ").replace(b"\n", b" ")
