"""REST over real sockets: a request is sent once, whatever happens to its connection."""

from __future__ import annotations

import asyncio

import pytest

from tickdeck.infrastructure.exchanges.binance.http import AiohttpClient
from tickdeck.infrastructure.exchanges.binance.wire import HttpRequest


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_whose_kept_connection_breaks_is_not_sent_again(method: str) -> None:
    received: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the first request, and close the connection when the second has arrived."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            received.append(head.decode().split()[0])
            if len(received) > 1:
                writer.close()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = AiohttpClient(f"http://127.0.0.1:{port}")
            await client.send(HttpRequest("GET", "/api/v3/ping", {}))
            with pytest.raises(ConnectionError, match="the connection broke"):
                await client.send(HttpRequest(method, "/api/v3/order", {}))
            await client.close()

    asyncio.run(work())
    assert received == ["GET", method]
