"""The acceptance cards on connections, snapshots and times: a sound client passes them, and the faults they are about
fail them. Those that only a socket can show are played on one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from card_client import NOW, Client

from tickdeck.infrastructure.venue import DEFAULT_ACCOUNT, RunningVenue, running_venue
from tickdeck.infrastructure.venue.dialects.binance import Connection, StreamSession, WsApiSession
from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

ALL = load_scenarios(CARDS)
MINUTE_NS = 60_000_000_000
Socket = aiohttp.ClientWebSocketResponse
Body = Callable[[RunningVenue, aiohttp.ClientSession], Awaitable[None]]


def failed(venue: RunningVenue) -> list[str]:
    assert venue.player is not None
    assert venue.player.problems == []
    return [result.check.figure for result in venue.player.results() if not result.holds]


def play(name: str, body: Body) -> None:
    async def run() -> None:
        async with running_venue(scenario=ALL[name]) as venue, aiohttp.ClientSession() as http, asyncio.timeout(120):
            await body(venue, http)

    asyncio.run(run())


async def until_failed(venue: RunningVenue, http: aiohttp.ClientSession, figure: str) -> None:
    while figure not in failed(venue):
        async with http.get(f"{venue.url}/admin/faults") as answer:  # lets the venue work
            await answer.read()


async def act(venue: RunningVenue, http: aiohttp.ClientSession, action: str, **values: Any) -> None:
    async with http.post(f"{venue.url}/admin/{action}", json=values) as answer:
        assert answer.status == 200, await answer.text()


# -- without a socket -------------------------------------------------------------------------------------------------


def books(client: Client, wait: bool) -> None:
    for symbol in client.exchange.engine.markets:
        response, _ = client.send("GET", "depth", symbol=symbol, limit=5000)
        if wait and int(response.headers["x-mbx-used-weight-1m"]) > 5_750:
            client.wait(60)


def c37(client: Client) -> None:
    books(client, wait=True)
    client.wait(320)


def c37_all_at_once(client: Client) -> None:
    books(client, wait=False)


def c12b(client: Client) -> None:
    placed = client.order("BUY", "0.55", "40000")[1]
    which = {"symbol": client.symbol, "orderId": placed["orderId"]}
    assert client.send("PUT", "order/amend/keepPriority", newQty="0.5", **which)[1]["code"] == -2038


def c16b(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    assert [client.query("a")["status"] for _ in range(2)] == ["FROZEN", "FILLED"]


def c16b_again(client: Client) -> None:
    c16b(client)
    client.order("BUY", "0.1", "40000", newClientOrderId="b")


def c17(client: Client) -> list[Any]:
    desk, connection = client.server, Connection(client.time)
    session = WsApiSession(desk.venue, desk.users, connection)
    params: dict[str, Any] = {"apiKey": DEFAULT_ACCOUNT.key, "timestamp": client.time // 1_000_000}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = hmac.new(DEFAULT_ACCOUNT.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    subscribe = {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
    session.on_text(json.dumps(subscribe), client.time)
    client.wait(6)
    return [json.loads(message).get("event") for message in connection.take(client.time)]


def c17_messages(client: Client) -> None:
    events = [event for event in c17(client)[1:] if event["e"] != "outboundAccountPosition"]
    kinds = [(event["e"], event.get("x", event.get("l"))) for event in events]
    assert kinds == [
        *[("executionReport", "NEW")] * 2,
        ("listStatus", "EXEC_STARTED"),
        ("executionReport", "NEW"),
        ("listStatus", "ALL_DONE"),
        ("executionReport", "EXPIRED"),
        ("executionReport", "TRADE"),
    ]
    assert {event["g"] for event in events} == {1}
    assert events[5]["eR"] == "OCO_TRIGGER"


def c17_sells(client: Client) -> None:
    c17(client)
    client.order("SELL", "0.5")


def c30b(client: Client) -> None:
    response, _ = client.send("GET", "exchangeInfo")
    assert (response.status, response.content_type) == (403, "text/html")
    client.wait(61)
    assert client.send("GET", "exchangeInfo")[0].status == 200


def c30b_goes_on(client: Client) -> None:
    client.send("GET", "exchangeInfo")
    client.wait(1)
    assert client.send("GET", "exchangeInfo")[0].status == 418


def c44(client: Client, units: tuple[int, ...] = (1_000_000, 1_000)) -> None:
    connection = Connection(client.server.now())
    StreamSession(client.server.streams, connection, combined=False).subscribe("btcusdt@trade")
    client.player.on_request("connect")
    for _ in range(12):
        client.wait(1)
        for trade in map(json.loads, connection.take(client.server.now())):
            ages = (client.server.now() - trade["T"] * unit for unit in units)
            if trade["q"] == "0.02000000" and any(0 <= age < MINUTE_NS for age in ages):
                client.order("BUY", "0.01")


def c44_milliseconds(client: Client) -> None:
    c44(client, (1_000_000,))


def c49(client: Client) -> None:
    client.order("BUY", "0.1", "40000", newClientOrderId="a")
    client.wait(1)
    assert client.query("a")["status"] == "FILLED"


def c49_again(client: Client) -> None:
    c49(client)
    client.order("BUY", "0.1", "40000", newClientOrderId="b")


@pytest.mark.parametrize(
    ("name", "conduct"),
    [("C12b", c12b), ("C16b", c16b), ("C17", c17_messages), ("C30b", c30b), ("C37", c37), ("C44", c44), ("C49", c49)],
)
def test_a_sound_client_passes_the_card(name: str, conduct: Callable[[Client], None]) -> None:
    client = Client(ALL[name])

    conduct(client)

    assert client.player.problems == []
    assert client.player.finished
    assert client.failed() == []


@pytest.mark.parametrize(
    ("name", "conduct", "figure"),
    [
        ("C16b", c16b_again, "requests.place"),
        ("C17", c17_sells, "errors.-2010"),
        ("C30b", c30b_goes_on, "requests.limited"),
        ("C37", c37_all_at_once, "requests.limited"),
        ("C44", c44_milliseconds, "bought"),
        ("C49", c49_again, "requests.place"),
    ],
)
def test_a_faulty_client_fails_the_card(name: str, conduct: Callable[[Client], None], figure: str) -> None:
    client = Client(ALL[name])
    conduct(client)
    assert figure in client.failed()


def test_every_card_of_the_list_is_a_scenario() -> None:
    orders = (1, 2, 3, 6, 7, 8, 9, 12, 13, 16, 17, 18, 20, 21, 23, 24, 25)
    rest = (26, 28, 29, 30, 31, 32, 34, 35, 37, 38, 40, 41, 42, 43, 44, 45, 47, 49, 51, 52)
    wanted = {f"C{number:02d}" for number in (*orders, *rest)}
    assert wanted - {name[:3] for name in ALL} == set()


# -- on a socket ------------------------------------------------------------------------------------------------------


async def private_stream(venue: RunningVenue, http: aiohttp.ClientSession, **options: Any) -> Socket:
    api = await http.ws_connect(f"{venue.ws_url}/ws-api/v3", **options)
    await ask(venue, api, "userDataStream.subscribe.signature")
    return api


async def ask(venue: RunningVenue, api: Socket, method: str, **params: Any) -> None:
    params |= {"apiKey": venue.key, "timestamp": venue.venue.now() // 1_000_000}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    await api.send_json({"id": method, "method": method, "params": params})


async def buy(venue: RunningVenue, api: Socket) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    await ask(venue, api, "order.place", **order, price="40000", quantity="0.1")


async def reported(api: Socket, kind: str) -> None:
    """Read until a report of the kind arrives."""
    async for message in api:
        if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data).get("event", {}).get("x") == kind:
            return
    raise AssertionError(f"closed with {api.close_code} before {kind}")


@pytest.mark.parametrize("name", ["C43a", "C43b", "C43c"])
def test_a_client_that_answers_pings_as_they_are_passes_the_card(name: str) -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        if name != "C43b":
            await act(venue, http, "connections", ping_every="50ms")
        api = await private_stream(venue, http)
        await buy(venue, api)
        await reported(api, "NEW")
        await act(venue, http, "advance", by="5s")
        await reported(api, "TRADE")
        assert failed(venue) == []

    play(name, body)


@pytest.mark.parametrize("name", ["C43a", "C43c"])
def test_a_client_that_answers_pings_with_other_bytes_fails_the_card(name: str) -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        await act(venue, http, "connections", ping_every="50ms")
        api = await private_stream(venue, http, autoping=False)
        while (await api.receive()).type is not aiohttp.WSMsgType.PING:
            pass
        await api.pong(b"late")
        while (await api.receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
        assert "closed.1008" in failed(venue)

    play(name, body)


KINDS = ("trade", "aggTrade", "bookTicker", "depth", "depth5", "ticker", "kline_1m", "kline_5m", "kline_1h")


async def answer(connection: aiohttp.ClientWebSocketResponse) -> Any:
    """The next message that answers a request; market data may come before it."""
    while "id" not in (message := await connection.receive_json()):
        pass
    return message


def test_a_client_that_subscribes_in_parts_and_reads_back_passes_the_card() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        names = [f"{symbol.lower()}@{kind}" for symbol in venue.exchange.engine.markets for kind in KINDS]
        for most in (names[:1_000], names[1_000:]):
            connection = await http.ws_connect(f"{venue.ws_url}/stream")
            for begin in range(0, len(most), 200):
                await act(venue, http, "advance", by="1s")
                params = most[begin : begin + 200]
                await connection.send_json({"method": "SUBSCRIBE", "params": params, "id": begin})
                assert await answer(connection) == {"result": None, "id": begin}
            await connection.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 9})
            assert (await answer(connection))["result"] == most
        assert failed(venue) == []

    play("C41", body)


@pytest.mark.parametrize(
    ("messages", "figure"),
    [
        ([["nosuchusdt@trade"]], "streams.silent"),
        ([["btcusdt@nonsense"]], "errors.2"),
        ([[f"c{n:03d}usdt@{kind}" for n in range(1, 126) for kind in KINDS[:4]]], "requests.ignored"),
        ([[f"c{n:03d}usdt@trade"] for n in range(1, 8)], "closed.1008"),
    ],
)
def test_a_client_that_subscribes_without_care_fails_the_card(messages: list[list[str]], figure: str) -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        connection = await http.ws_connect(f"{venue.ws_url}/stream")
        for params in messages:
            await connection.send_json({"method": "SUBSCRIBE", "params": params, "id": 1})
        await until_failed(venue, http, figure)

    play("C41", body)


@pytest.mark.long
def test_a_fill_arrives_among_thousands_of_trades() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        market = await http.ws_connect(f"{venue.ws_url}/stream?streams=btcusdt@trade/btcusdt@bookTicker")
        reading = asyncio.ensure_future(_count(market))
        api = await private_stream(venue, http)
        await buy(venue, api)
        for _ in range(3):
            await act(venue, http, "advance", by="1s")
        await reported(api, "TRADE")
        await ask(venue, api, "order.place", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.1")
        await reported(api, "TRADE")
        await act(venue, http, "disconnect", path="/stream")
        assert await reading > 15_000
        assert failed(venue) == []

    play("C42", body)


async def _count(market: Socket) -> int:
    count = 0
    async for _ in market:
        count += 1
    return count


@pytest.mark.long
def test_a_client_that_does_not_read_is_disconnected_and_fails_the_card() -> None:
    def small(address: Any) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        return made

    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        await act(venue, http, "connections", slow_client="100ms")
        connector = aiohttp.TCPConnector(socket_factory=small)
        async with aiohttp.ClientSession(connector=connector) as slow:
            market = await slow.ws_connect(f"{venue.ws_url}/stream?streams=btcusdt@trade/btcusdt@bookTicker")
            for _ in range(8):
                trades = {"symbol": "BTCUSDT", "side": "BUY", "price": "50000", "quantity": "0.001", "count": 2_000}
                await act(venue, http, "trades", **trades)
                await asyncio.sleep(0.02)
            await until_failed(venue, http, "closed.slow")
            await market.close()

    play("C42", body)


def test_connections_end_at_the_age_that_is_set() -> None:
    async def body(venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        connection = await http.ws_connect(f"{venue.ws_url}/stream?streams=c001usdt@depth")
        await act(venue, http, "advance", by="10m")
        while (message := await connection.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert venue.venue.asked["closed.1001"] == 1

    play("C37", body)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ping_every": "0s"}, "ping_every must be above 0"),
        ({"ping_every": "soon"}, "'soon' is not a duration"),
        ({"largest_message": -1}, "largest_message is -1"),
        ({"fragmented": "yes"}, "give true or false"),
        ({"colour": 1}, "'colour' is missing or not known"),
    ],
)
def test_a_wrong_setting_of_connections_is_named(values: dict[str, object], message: str) -> None:
    status, answer = Client(ALL["C43a"]).server.admin.handle("POST", "connections", values)
    assert status == 400
    assert message in answer["error"]


def test_times_and_messages_of_market_streams_can_be_set() -> None:
    client = Client(ALL["C44"])
    connection = Connection(NOW)
    StreamSession(client.server.streams, connection, combined=False).subscribe("btcusdt@trade")
    assert client.server.admin.handle("POST", "time_unit", {"unit": "MICROSECOND"})[0] == 200
    trade = {"symbol": "BTCUSDT", "side": "BUY", "price": "50000", "quantity": "1"}
    client.server.admin.handle("POST", "trade", trade)
    client.server.admin.handle("POST", "stream", {"stream": "btcusdt@trade", "event": {"e": "new"}})
    real, made = map(json.loads, connection.take(client.time))
    assert (real["T"], Decimal(real["q"])) == (client.time // 1_000, 1)
    assert made == {"e": "new"}
