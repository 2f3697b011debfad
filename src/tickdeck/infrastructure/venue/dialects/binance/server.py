"""The dialect on a port: moves bytes between sockets and the pure parts, and keeps the time. Needs aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from typing import Any

import msgspec

from tickdeck.errors import ConfigError, TickdeckError
from tickdeck.infrastructure.venue.admin import AdminApi
from tickdeck.infrastructure.venue.commands import Account
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.market_calls import renew_depth_cache
from tickdeck.infrastructure.venue.dialects.binance.rest import Request, RestApi
from tickdeck.infrastructure.venue.dialects.binance.signing import check_public_key
from tickdeck.infrastructure.venue.dialects.binance.sockets import ServerSettings, Sockets
from tickdeck.infrastructure.venue.dialects.binance.streams import MarketStreams
from tickdeck.infrastructure.venue.dialects.binance.user_stream import ReportRule, UserStreams
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, BinanceVenue, DepthCache, Script
from tickdeck.infrastructure.venue.exchange import Exchange
from tickdeck.infrastructure.venue.faults import Faults
from tickdeck.infrastructure.venue.scenarios import Scenario, ScenarioPlayer
from tickdeck.infrastructure.venue.traders import Traders

try:
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError
except ImportError:
    raise ConfigError("the venue's server needs the package aiohttp: pip install 'tickdeck[venue]'") from None

__all__ = ["BinanceServer", "ServerSettings"]

_SECOND = 1_000_000_000
_TICK_S = 0.1
_UNITS = {"SECOND": _SECOND, "MILLISECOND": MS, "MICROSECOND": 1_000, "NANOSECOND": 1}


class BinanceServer:
    """Serves one venue on ``host`` and ``port``; port 0 takes any free one."""

    def __init__(self, venue: BinanceVenue, traders: Traders, settings: ServerSettings | None = None) -> None:
        self.venue = venue
        self.rest = RestApi(venue)
        self.streams = MarketStreams(venue)
        self.users = UserStreams(venue)
        self.admin = AdminApi(self, traders)
        self.traders = traders
        self.host, self.port = "127.0.0.1", 0
        self.sockets = Sockets(venue, self.streams, self.users, self.now, settings or ServerSettings())
        self.failed: asyncio.Future[None] | None = None
        """Holds the error that ended the venue: its journal could not be written."""
        self._runner: web.AppRunner | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Raises ``ConfigError`` if the port is taken."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.2, logger=_http_log()
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"port {port} on {host} is in use; stop what uses it, or give another --port"
                ) from None
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigError(f"cannot listen on {host}:{port}: {reason}; give another --host or --port") from None
        self.host, self.port = host, self._runner.addresses[0][1]
        self.failed = asyncio.get_running_loop().create_future()
        self._ticking = asyncio.get_running_loop().create_task(self._tick_for_ever())

    async def stop(self) -> None:
        """Close all connections and stop listening."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        self.sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- what the admin address asks --------------------------------------------------------------------------------

    @property
    def exchange(self) -> Exchange:
        return self.venue.exchange

    @property
    def faults(self) -> Faults:
        return self.venue.faults

    @property
    def requests(self) -> int:
        return self.venue.requests

    @property
    def late_orders(self) -> int:
        return self.venue.late_orders

    def advance(self, by_ns: int) -> None:
        self.venue.offset_ns += by_ns

    def now(self) -> int:
        return self.venue.now()

    def set_limits(self, values: dict[str, Any]) -> dict[str, Any]:
        rates = self.venue.limits.rates
        for name in ("weight", "orders_10s", "orders_day"):
            if name in values:
                setattr(rates, name, int(values[name]))
        if values.get("clear"):
            self.venue.limits.clear()
        return {"weight": rates.weight, "orders_10s": rates.orders_10s, "orders_day": rates.orders_day}

    def ban(self, address: str, duration_ns: int) -> None:
        self.venue.limits.ban(address, duration_ns, self.now())

    def check_account(self, account: Account) -> None:
        check_public_key(account)

    def refuse(self, symbol: str, code: int | None, text: str) -> None:
        if code is None:
            self.venue.refusals.pop(symbol, None)
        else:
            self.venue.refusals[symbol] = ApiError(code, text)

    def send_private(self, account: str, event: dict[str, Any]) -> None:
        self.users.send(account, event, self.now())

    @property
    def asked(self) -> dict[str, int]:
        return self.venue.asked

    def play(self, scenario: Scenario) -> ScenarioPlayer:
        """Play a scenario from now on."""

        def act(do: str, values: dict[str, Any]) -> tuple[int, Any]:
            return self.admin.handle("POST", do, values)

        player = ScenarioPlayer(scenario, self.exchange, act, self.venue.asked, self.now())
        self.venue.watchers.append(player.on_request)
        self.venue.timers.append(player.tick)
        player.tick(self.now())
        return player

    def script(self, values: dict[str, Any]) -> None:
        self.venue.scripts.append(msgspec.convert(values, Script))

    def script_reports(self, values: dict[str, Any]) -> None:
        self.users.rules.append(msgspec.convert(values, ReportRule))

    def hide_orders(self, duration_ns: int) -> None:
        until = self.now() + duration_ns
        for account in self.exchange.accounts:
            for symbol in self.exchange.engine.markets:
                for order in self.exchange.engine.orders(account, symbol):
                    self.venue.hidden[order.number] = until

    def serve_depth_late(self, age_ns: int, renew_ns: int) -> None:
        self.venue.depth_cache = DepthCache(age_ns, renew_ns) if age_ns else None
        renew_depth_cache(self.venue, self.now())

    def announce_shutdown(self) -> int:
        return self.sockets.announce_shutdown()

    def disconnect(self, path: str, refuse_ns: int = 0) -> int:
        return self.sockets.disconnect(path, refuse_ns)

    def change_connections(self, values: dict[str, Any]) -> dict[str, Any]:
        return self.sockets.change(values)

    def change_time_unit(self, unit: str) -> None:
        self.streams.change_unit(_UNITS[unit.upper()])

    def act(self, account: str, request: str, params: dict[str, str]) -> object:
        return self.rest.act(request, params, self.exchange.accounts[account], self.now())

    def send_public(self, stream: str, event: object) -> int:
        return self.streams.send(stream, event, self.now())

    # -- requests -----------------------------------------------------------------------------------------------------

    def fail(self, error: TickdeckError) -> None:
        """Record an error after which the venue cannot go on: it acknowledges nothing from now on."""
        if self.failed is not None and not self.failed.done():
            self.failed.set_exception(error)
            self.failed.exception()  # marks the error as retrieved, even if the future is never awaited

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ConnectionError:
            return web.Response()  # the client has left: this goes nowhere
        except TickdeckError as error:
            self.fail(error)
            _cut(request)
            return web.Response(status=500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path.startswith("/admin"):
            return await self._handle_admin(request)
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self.sockets.handle(request)
        raw_path, _, query = request.raw_path.partition("?")
        del raw_path
        body = (await request.read()).decode("utf-8", "surrogateescape")
        answer = self.rest.handle(
            Request(
                method=request.method,
                path=path,
                query=query,
                body=body,
                headers={name.lower(): value for name, value in request.headers.items()},
                address=request.remote or "",
            ),
            self.now(),
        )
        if answer.delay_ns:
            await asyncio.sleep(answer.delay_ns / _SECOND)
        if answer.lost:
            _cut(request)
        headers = {**answer.headers, "content-type": answer.content_type}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _handle_admin(self, request: web.Request) -> web.Response:
        values: Any = dict(request.query)
        if request.method == "POST":
            try:
                values = msgspec.json.decode(await request.read() or b"{}")
            except (msgspec.MsgspecError, RecursionError) as error:
                values = error
            if not isinstance(values, dict):
                body = msgspec.json.encode({"error": "the body is not a JSON object"})
                return web.Response(status=400, body=body, content_type="application/json")
        status, result = self.admin.handle(request.method, request.path.removeprefix("/admin").strip("/"), values)
        return web.Response(status=status, body=msgspec.json.encode(result), content_type="application/json")

    async def _tick_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        next_tick = loop.time()
        while True:
            try:
                self.tick(self.now())
            except TickdeckError as error:
                self.fail(error)
            next_tick = max(next_tick + _TICK_S, loop.time())
            await asyncio.sleep(next_tick - loop.time())

    def tick(self, now: int) -> None:
        """Do everything that is due at a certain time."""
        self.venue.tick(now)
        renew_depth_cache(self.venue, now)
        self.streams.tick(now)
        self.sockets.tick(now)


def _http_log() -> logging.Logger:
    """The log of the HTTP server, without the traceback that it writes for bytes that are not HTTP: the client gets
    its answer, 400, and the venue is not at fault."""
    log = logging.getLogger("tickdeck.venue.http")
    log.filters = [lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))]
    return log


def _cut(request: web.Request) -> None:
    """Close the connection without an answer."""
    transport = request.transport
    if transport is not None:
        transport.abort()
