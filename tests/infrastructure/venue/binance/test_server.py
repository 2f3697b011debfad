"""The server on a real port: what only a socket can show."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tickdeck.errors import ConfigError, TickdeckError
from tickdeck.infrastructure.venue import RunningVenue, running_venue
from tickdeck.infrastructure.venue.dialects.binance.sockets import ServerSettings

D = Decimal
Body = Callable[[RunningVenue, aiohttp.ClientSession], Awaitable[Any]]


def in_venue(body: Body, **options: Any) -> Any:
    async def run() -> Any:
        async with running_venue(**options) as venue, aiohttp.ClientSession() as http, asyncio.timeout(120):
            return await body(venue, http)

    return asyncio.run(run())


def signed(venue: RunningVenue, **params: Any) -> str:
    text = urlencode(params | {"timestamp": venue.venue.now() // 1_000_000})
    return f"{text}&signature={hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


async def place(venue: RunningVenue, http: aiohttp.ClientSession, **params: Any) -> aiohttp.ClientResponse:
    full = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    data = signed(venue, **(full | {"price": "20000"} | params))
    headers = {"X-MBX-APIKEY": venue.key, "content-type": "application/x-www-form-urlencoded"}
    return await http.post(f"{venue.url}/api/v3/order", data=data, headers=headers)


def test_an_order_goes_from_a_client_to_the_truth_and_the_private_stream() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(f"{venue.ws_url}/ws-api/v3") as socket:
            params: dict[str, Any] = {"apiKey": venue.key, "timestamp": venue.venue.now() // 1_000_000}
            text = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
            await socket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})
            assert (await socket.receive_json())["result"] == {"subscriptionId": 0}
            answer = await place(venue, http, newClientOrderId="mine")
            assert (answer.status, answer.headers["X-MBX-ORDER-COUNT-10S"]) == (200, "1")
            report = (await socket.receive_json())["event"]
            assert (report["x"], report["c"]) == ("NEW", "mine")
        truth = await (await http.get(f"{venue.url}/admin/orders")).json()
        assert [order["client_id"] for order in truth] == ["mine"]
        deposit = {"account": "demo", "asset": "BTC", "amount": "1"}
        assert (await http.post(f"{venue.url}/admin/deposit", json=deposit)).status == 200
        assert (await http.post(f"{venue.url}/admin/deposit", data=b"[")).status == 400

    in_venue(body)


def test_streams_start_from_the_path_and_from_a_message() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        raw = await http.ws_connect(f"{venue.ws_url}/ws/btcusdt@bookTicker")
        combined = await http.ws_connect(f"{venue.ws_url}/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker")
        later = await http.ws_connect(f"{venue.ws_url}/ws/0")
        await later.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1})
        assert await later.receive_json() == {"result": None, "id": 1}
        venue.traders.quote("BTCUSDT", True, D(100), D(1), venue.venue.now())
        for socket in (raw, later):
            assert (await socket.receive_json())["b"] == "100.00000000"
        assert [(await combined.receive_json())["stream"] for _ in range(2)] == [
            "btcusdt@bookTicker",
            "btcusdt@depth@100ms",
        ]

    in_venue(body)


def test_a_dropped_ack_closes_the_connection_and_the_order_is_there() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ClientError):
            await place(venue, http)
        assert len(venue.exchange.engine.open_orders("demo")) == 1

    in_venue(body, faults="drop_ack=1")


def test_reports_come_before_a_late_ack() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        started = time.monotonic()
        assert (await place(venue, http)).status == 200
        assert time.monotonic() - started >= 0.1

    in_venue(body, faults="fill_before_ack=1:100ms")


def test_a_connection_is_cut_at_its_age() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        socket = await http.ws_connect(f"{venue.ws_url}/ws/btcusdt@trade")
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert venue.faults.counts == {"disconnect_every": 1}

    in_venue(body, faults="disconnect_every=200ms")


@pytest.mark.parametrize(("path", "closed"), [("/ws-api/v3", True), ("/ws/btcusdt@trade", False)])
def test_a_pong_with_another_payload_closes_the_strict_side_alone(path: str, closed: bool) -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        socket = await http.ws_connect(venue.ws_url + path, autoping=False)
        ping = await socket.receive()
        assert ping.type is aiohttp.WSMsgType.PING
        await socket.pong(b"not what was sent")
        following = await socket.receive()
        assert (following.type is aiohttp.WSMsgType.CLOSE) is closed

    in_venue(body, settings=ServerSettings(ping_every_s=0.1))


def test_a_client_that_answers_no_ping_is_closed() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        socket = await http.ws_connect(f"{venue.ws_url}/ws/btcusdt@trade", autoping=False)
        types = [(await socket.receive()).type for _ in range(8)]
        assert aiohttp.WSMsgType.CLOSE in types

    in_venue(body, settings=ServerSettings(ping_every_s=0.1, pong_within_s=0.3))


def test_snapshots_of_the_book_are_served_late_on_demand() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        async def depth() -> int:
            answer = await (await http.get(f"{venue.url}/api/v3/depth?symbol=BTCUSDT")).json()
            return int(answer["lastUpdateId"])

        await http.post(f"{venue.url}/admin/stale_depth", json={"age": "400ms", "renew": "100ms"})
        venue.traders.quote("BTCUSDT", True, D(100), D(1), venue.venue.now())
        assert await depth() == 0
        while await depth() == 0:
            await asyncio.sleep(0.01)  # each request costs weight
            assert venue.venue.limits.used("127.0.0.1", venue.venue.now()) < 6_000

    in_venue(body)


def test_a_cut_path_refuses_connections_and_a_shutdown_is_announced() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        socket = await http.ws_connect(f"{venue.ws_url}/stream")
        await http.post(f"{venue.url}/admin/shutdown")
        assert (await socket.receive_json())["stream"] == "!serverShutdown"
        await http.post(f"{venue.url}/admin/disconnect", json={"path": "/stream", "for": "60s"})
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{venue.ws_url}/stream")
        await http.ws_connect(f"{venue.ws_url}/ws/0")

    in_venue(body)


def test_a_journal_that_fails_ends_the_venue_without_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        def full(*_: object) -> None:
            raise TickdeckError("the disk is full")

        monkeypatch.setattr("tickdeck.infrastructure.venue.journal.Journal.append", full)
        with pytest.raises(aiohttp.ClientError):
            await place(venue, http)
        with pytest.raises(TickdeckError, match="the disk is full"):
            await venue.failed

    in_venue(body, journal=tmp_path / "venue.journal")


def test_a_port_in_use_is_named() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        with pytest.raises(ConfigError, match=f"port {venue.server.port} on 127.0.0.1 is in use"):
            async with running_venue(port=venue.server.port):
                pass

    in_venue(body)


def test_acknowledged_changes_survive_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "venue.journal"

    async def first(venue: RunningVenue, http: aiohttp.ClientSession) -> Any:
        return json.loads(await (await place(venue, http, newClientOrderId="mine")).read())

    async def again(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        query = signed(venue, symbol="BTCUSDT", origClientOrderId="mine")
        answer = await http.get(f"{venue.url}/api/v3/order?{query}", headers={"X-MBX-APIKEY": venue.key})
        assert (await answer.json())["orderId"] == placed["orderId"]

    placed = in_venue(first, journal=journal)
    in_venue(again, journal=journal)
