"""Bytes that are no HTTP and no WebSocket: the venue refuses them without an error in its log, and goes on."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tickdeck.infrastructure.venue import RunningVenue, running_venue

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)
MASK = b"\x00\x00\x00\x00"


@asynccontextmanager
async def open_venue(caplog: pytest.LogCaptureFixture) -> AsyncIterator[RunningVenue]:
    """A venue that still answers at the end, and whose log has no error."""
    caplog.set_level(logging.WARNING)
    async with running_venue() as venue, asyncio.timeout(120):
        yield venue
        async with aiohttp.ClientSession() as http, http.get(f"{venue.url}/api/v3/time") as answer:
            assert answer.status == 200
    assert [(record.name, record.getMessage()) for record in caplog.records] == []


async def send(venue: RunningVenue, *parts: bytes, whole: bool = False) -> bytes:
    """The first line of the answer, or all until the venue closes the connection."""
    reader, writer = await asyncio.open_connection(venue.server.host, venue.server.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await (reader.read(1 << 20) if whole else reader.readline())
    except ConnectionError:
        return b""  # the venue closed it while we wrote
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60 + b"\r\n\r\n", b" 400 "),
        (b"GET\r\n\r\n", b" 400 "),
        (b"GET /api/v3/time HTTP/9.9\r\n\r\n", b" 400 "),
        (b"G\x00T /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n", b" 400 "),
        (b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", b" 400 "),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b" 400 "),
        (b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b" 400 "),
        (b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b" 400 "),
        (b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 2_000_000, b" 413 "),
        (b"GET /api/v3/order?symbol=\xff\xfe&signature=\xff HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: \xff\r\n\r\n", b" 40"),
        (b"GET /api/v3/account?signature=%ff HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: demo-key\r\n\r\n", b" 400 "),
        (b"PATCH /api/v3/order HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
        (b"POST /api/v3/time HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b" 404 "),
        (b"GET /api/v3/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
        (b"POST /admin/quote HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000, b" 400 "),
        (b"POST /admin/quote HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", b" 400 "),
        (b"POST /admin/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", b" 404 "),
        (b"GET /ws/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b" 400 "),
        (b"GET /else HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b" 404 "),
    ],
)
def test_bytes_that_are_not_a_request_are_refused(caplog: pytest.LogCaptureFixture, sent: bytes, status: bytes) -> None:
    async def run() -> None:
        async with open_venue(caplog) as venue:
            assert status in await send(venue, sent)
            assert venue.server.streams.sessions == 0

    asyncio.run(run())


def frame(first: int, data: bytes = b"", *, masked: bool = True, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    mask = 0x80 if masked else 0
    head = bytes((first, mask | size)) if size < 126 else bytes((first, mask | 127)) + size.to_bytes(8, "big")
    return head + (MASK if masked else b"") + data


@pytest.mark.parametrize("path", [b"/ws/btcusdt@trade", b"/ws-api/v3"])
@pytest.mark.parametrize(
    "sent",
    [
        frame(0x81, b"{}", masked=False),
        frame(0x83, b"{}"),
        frame(0xF1, b"{}"),
        frame(0x81, b"\xff\xfe"),
        frame(0x09, b"ping in fragments"),
        frame(0x89, b"x" * 126),
        frame(0x82, b"\x00\x01"),
        frame(0x80, b"continues nothing"),
        frame(0x81, b"x" * 100, size=1 << 40),
        frame(0x88, b"\x00"),
        frame(0x88, b"\x03\xe8\xff\xff"),
        b"not a frame at all" * 20,
    ],
)
def test_invalid_frames_close_their_own_connection_only(
    caplog: pytest.LogCaptureFixture, path: bytes, sent: bytes
) -> None:
    async def run() -> None:
        async with open_venue(caplog) as venue:
            key = base64.b64encode(b"0123456789abcdef")
            answer = await send(venue, HANDSHAKE % (path, key), sent, frame(0x88), whole=True)
            assert b" 101 " in answer.partition(b"\r\n")[0]

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /api/v3/ti",
        b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort",
        HANDSHAKE % (b"/ws/btcusdt@trade", base64.b64encode(b"0123456789abcdef")),
        HANDSHAKE % (b"/ws-api/v3", base64.b64encode(b"0123456789abcdef")) + b"\x81",
    ],
)
def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async def run() -> None:
        async with open_venue(caplog) as venue:
            for aborts in (True, False):
                _, writer = await asyncio.open_connection(venue.server.host, venue.server.port)
                writer.write(sent)
                if aborts:
                    writer.transport.abort()
                else:
                    writer.write_eof()
                    writer.close()
                    await writer.wait_closed()
            async with aiohttp.ClientSession() as http:
                while venue.server.streams.sessions:
                    await (await http.get(f"{venue.url}/api/v3/ping")).read()

    asyncio.run(run())
