"""The WebSockets of the venue: moves messages between sockets and sessions, pings, and closes. Needs aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from tickdeck.infrastructure.venue.dialects.binance.connection import Connection
from tickdeck.infrastructure.venue.dialects.binance.streams import MarketStreams, StreamSession
from tickdeck.infrastructure.venue.dialects.binance.user_stream import Subscription, UserStreams
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, BinanceVenue
from tickdeck.infrastructure.venue.dialects.binance.ws_api import WsApiSession
from tickdeck.infrastructure.venue.faults import parse_duration

try:
    from aiohttp import WSMsgType, web
except ImportError:  # pragma: no cover
    from tickdeck.errors import ConfigError

    raise ConfigError("the venue's server needs the package aiohttp: pip install 'tickdeck[venue]'") from None

__all__ = ["ServerSettings", "Sockets"]

_SECOND = 1_000_000_000
_LARGEST_PING = 125


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the real server, which tests and scenarios may change.

    A connection is closed at ``lifetime_s``. A client that reads nothing for ``slow_client_s`` is disconnected. Control
    messages of market streams that are longer than ``largest_message`` bytes are ignored; 0 is no limit. With
    ``fragmented``, each message leaves in two fragments with the longest possible ping between them.
    """

    ping_every_s: float = 20.0
    pong_within_s: float = 60.0
    lifetime_s: float = 86_400.0
    slow_client_s: float = 10.0
    largest_message: int = 0
    fragmented: bool = False

    def changed(self, values: dict[str, Any]) -> ServerSettings:
        """These settings with ``values`` in place of some: durations such as 30s by the names without ``_s``. Raises
        ``ValueError`` or ``KeyError``."""
        new: dict[str, Any] = {}
        for name, value in values.items():
            if f"{name}_s" in self.__struct_fields__:
                new[f"{name}_s"] = parse_duration(str(value)) / _SECOND
                if new[f"{name}_s"] <= 0:
                    raise ValueError(f"{name} must be above 0")
            elif name == "largest_message":
                if not isinstance(value, int) or value < 0:
                    raise ValueError(f"largest_message is {value!r}; give a number of bytes")
                new[name] = value
            elif name == "fragmented":
                if not isinstance(value, bool):
                    raise ValueError(f"fragmented is {value!r}; give true or false")
                new[name] = value
            else:
                raise KeyError(name)
        return msgspec.structs.replace(self, **new)


class _Client:
    """An open WebSocket with what handles its messages."""

    def __init__(self, connection: Connection, session: StreamSession | WsApiSession, path: str) -> None:
        self.connection = connection
        self.session = session
        self.path = path
        self._pings: dict[bytes, float] = {}
        self._count = 0

    def ping(self, at: int, time: float, size: int = 0) -> bytes:
        """The bytes of a new ping, at least ``size``, different from all that wait for their pong."""
        self._count += 1
        payload = f"{at // MS}.{self._count}".encode().ljust(size, b".")
        self._pings[payload] = time
        return payload

    def pong(self, payload: bytes) -> bool:
        """Whether a pong belongs to a ping. It answers the pings before that one too."""
        if payload not in self._pings:
            return False
        while next(iter(self._pings)) != payload:
            del self._pings[next(iter(self._pings))]
        del self._pings[payload]
        return True

    @property
    def unanswered_since(self) -> float | None:
        """When the oldest ping was sent that has no pong."""
        return next(iter(self._pings.values()), None)


class Sockets:
    """All open WebSockets. ``settings`` may be replaced at any time; ``wake`` makes it effective at once."""

    def __init__(
        self,
        venue: BinanceVenue,
        streams: MarketStreams,
        users: UserStreams,
        now: Callable[[], int],
        settings: ServerSettings,
    ) -> None:
        self.venue = venue
        self.streams = streams
        self.users = users
        self.now = now
        self.settings = settings
        self._clients: dict[_Client, None] = {}
        self._refused: dict[str, int] = {}  # until when WebSockets of a path are not taken

    # -- all of them ----------------------------------------------------------------------------------------------

    def change(self, values: dict[str, Any]) -> dict[str, Any]:
        """Change settings for all connections, open ones too. Returns those in force."""
        self.settings = self.settings.changed(values)
        for client in self._clients:
            client.connection.wake()
        return msgspec.structs.asdict(self.settings)

    def tick(self, now: int) -> None:
        """End the connections that are too old."""
        cut = self.venue.faults.get("disconnect_every")
        for client in list(self._clients):
            age = now - client.connection.opened
            if isinstance(client.session, WsApiSession):
                client.session.tick(now)
            if cut is not None and age >= cut.duration_ns and client.connection.close_code is None:
                self.venue.faults.count("disconnect_every")
                client.connection.close(0)
            elif age >= self.settings.lifetime_s * _SECOND:
                client.connection.close(1001)

    def announce_shutdown(self) -> int:
        """Tell every client that the server is about to stop. Returns how many there are."""
        event = {"e": "serverShutdown", "E": self.now() // MS}
        for client in self._clients:
            combined = isinstance(client.session, StreamSession) and client.session.combined
            message = {"stream": "!serverShutdown", "data": event} if combined else event
            client.connection.send(msgspec.json.encode(message).decode())
        return len(self._clients)

    def disconnect(self, path: str, refuse_ns: int = 0) -> int:
        """Close every WebSocket whose path begins with ``path``, and refuse new ones for ``refuse_ns``. Returns how
        many were closed."""
        if refuse_ns:
            self._refused[path] = self.now() + refuse_ns
        chosen = [client for client in self._clients if client.path.startswith(path)]
        for client in chosen:
            client.connection.close(0)
        return len(chosen)

    def close(self) -> None:
        """Cut all connections."""
        for client in list(self._clients):
            client.connection.close(0)

    # -- one of them ----------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve a WebSocket until it is closed."""
        path = request.path
        if any(path.startswith(start) and self.now() < until for start, until in self._refused.items()):
            return web.Response(status=503)
        if path.rstrip("/") != "/ws-api/v3" and path.strip("/").split("/")[0] not in ("ws", "stream"):
            return web.Response(status=404)
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20)
        try:
            await socket.prepare(request)  # refuses a handshake that is not one, before anything is subscribed
        except ConnectionError:
            return web.Response()  # the client has left: this goes nowhere
        awake = asyncio.Event()
        connection = Connection(self.now(), request.remote or "", awake.set)
        session = self._session(request, connection)
        client = _Client(connection, session, path)
        self._clients[client] = None
        self.venue.happened("connect", f"connections.{'api' if isinstance(session, WsApiSession) else 'market'}")
        pump = asyncio.get_running_loop().create_task(self._pump(request, socket, client, awake))
        try:
            await self._read(socket, client)
        finally:
            del self._clients[client]
            session.close()
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
        return socket

    def _session(self, request: web.Request, connection: Connection) -> StreamSession | WsApiSession:
        path, streams = request.path, request.query.get("streams", "")
        unit = 1_000 if request.query.get("timeUnit", "").upper() == "MICROSECOND" else MS
        if path.rstrip("/") == "/ws-api/v3":
            shows_limits = request.query.get("returnRateLimits", "true") != "false"
            return WsApiSession(self.venue, self.users, connection, unit=unit, shows_limits=shows_limits)
        parts = path.strip("/").split("/")
        session = StreamSession(self.streams, connection, combined=parts[0] == "stream", unit=unit)
        for name in [*parts[1:], *filter(None, streams.split("/"))]:
            if name.startswith("listen-") and self.venue.legacy_listen_key:
                self.users.add(Subscription(name.removeprefix("listen-"), connection, None, self.now(), unit))
            else:
                session.subscribe(name)
        return session

    async def _read(self, socket: web.WebSocketResponse, client: _Client) -> None:
        connection, session = client.connection, client.session
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                most = self.settings.largest_message
                if isinstance(session, StreamSession) and most and len(message.data.encode()) > most:
                    self.venue.happened("control", "requests.ignored")
                    continue
                session.on_text(message.data, self.now())
            elif message.type is WSMsgType.PING:
                if isinstance(session, StreamSession):
                    session.count_message(self.now())
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                if client.pong(bytes(message.data)):
                    continue  # not counted: scenarios may ping more often than the real venue
                if isinstance(session, StreamSession):
                    session.count_message(self.now())
                elif message.data:
                    connection.close(1008)
            elif message.type is WSMsgType.BINARY:
                connection.close(1003)

    async def _pump(
        self, request: web.Request, socket: web.WebSocketResponse, client: _Client, awake: asyncio.Event
    ) -> None:
        """Send what is due, ping, and close."""
        connection = client.connection
        loop = asyncio.get_running_loop()
        last_ping = loop.time()
        try:
            while True:
                awake.clear()
                for text in connection.take(self.now()):
                    await self._send(request, socket, client, text)
                if connection.close_code is not None:
                    self.venue.count(f"closed.{connection.close_code or 'cut'}")
                    if connection.close_code:
                        await socket.close(code=connection.close_code)
                    _cut(request)
                    return
                time, settings = loop.time(), self.settings
                if time >= last_ping + settings.ping_every_s:
                    last_ping = time
                    await socket.ping(client.ping(self.now(), time))
                since = client.unanswered_since
                if since is not None and time - since > settings.pong_within_s:
                    connection.close(1008)
                    continue
                wait = max(0.0, last_ping + settings.ping_every_s - time)
                due = connection.next_due
                if due is not None:
                    wait = min(wait, max(0.0, (due - self.now()) / _SECOND))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await awake.wait()
        except TimeoutError:
            self.venue.count("closed.slow")
            _cut(request)
        except (ConnectionError, RuntimeError):
            _cut(request)  # the client left

    async def _send(self, request: web.Request, socket: web.WebSocketResponse, client: _Client, text: str) -> None:
        """Send a message. Raises ``TimeoutError`` if the client has read nothing for too long."""
        async with asyncio.timeout(self.settings.slow_client_s):
            transport = request.transport
            if not self.settings.fragmented or transport is None:
                await socket.send_str(text)
                return
            data, time = text.encode(), asyncio.get_running_loop().time()
            half, ping = len(data) // 2, client.ping(self.now(), time, _LARGEST_PING)
            first, rest = _frame(0x01, data[:half]), _frame(0x80, data[half:])
            transport.write(first + _frame(0x89, ping) + rest)


def _frame(head: int, data: bytes) -> bytes:
    """A frame as servers send it, without a mask. ``head`` is the first byte: the final bit, and the opcode."""
    size = len(data)
    if size < 126:
        return bytes((head, size)) + data
    if size < 1 << 16:
        return bytes((head, 126)) + size.to_bytes(2, "big") + data
    return bytes((head, 127)) + size.to_bytes(8, "big") + data


def _cut(request: web.Request) -> None:
    """Close the connection without an answer."""
    transport = request.transport
    if transport is not None:
        transport.abort()
