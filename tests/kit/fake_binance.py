"""A scripted server on localhost: it sends frames like Binance's streams, and answers REST requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiohttp import WSMsgType, web

Play: TypeAlias = Callable[[web.WebSocketResponse, int], Awaitable[None]]


class FakeBinance:
    """``play(connection, number)`` is awaited for each connection to ``/stream`` after its first message, numbered from
    1; when it returns, the connection is closed. ``answer(request)`` returns the body or the HTTP status of a REST
    request. ``asked``: the REST requests; ``heard``: the messages of the stream clients.
    """

    def __init__(self, play: Play, answer: Callable[[web.Request], bytes | int]) -> None:
        self._play, self._answer = play, answer
        self.asked: list[str] = []
        self.heard: list[str] = []
        self.connections = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/stream", self._stream)
        app.router.add_route("*", "/{path:.*}", self._rest)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        self.connections += 1
        number = self.connections
        message = await connection.receive()
        if message.type is WSMsgType.TEXT:
            self.heard.append(message.data)
            await connection.send_str('{"result":null,"id":1}')
            await self._play(connection, number)
        await connection.close()
        return connection

    async def _rest(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        answer = self._answer(request)
        return web.Response(status=answer) if isinstance(answer, int) else web.Response(body=answer)
