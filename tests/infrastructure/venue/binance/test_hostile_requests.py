"""Requests that make no sense: each is answered with a documented code, and the venue goes on."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_socket_kit import MS, D, Desk

from tickdeck.infrastructure.venue import DEFAULT_ACCOUNT
from tickdeck.infrastructure.venue.admin import AdminApi
from tickdeck.infrastructure.venue.dialects.binance import Request, Response, RestApi
from tickdeck.infrastructure.venue.dialects.binance.rest import REQUESTS
from tickdeck.infrastructure.venue.dialects.binance.server import BinanceServer
from tickdeck.infrastructure.venue.dialects.binance.ws_api import METHODS

CODES = {
    *(-1000, -1013, -1015, -1021, -1022, -1100, -1101, -1102, -1105, -1106, -1108, -1111, -1115, -1116, -1117),
    *(-1120, -1121, -1128, -1130, -1131, -1135, -1145, -1151, -1158, -1165, -1166, -1168, -1194, -1196, -1197),
    *(-1198, -1199, -2010, -2011, -2013, -2014, -2015, -2021, -2022, -2035, -2036, -2038, -2039, -4056),
}
NAMES = (
    *("symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice", "newClientOrderId"),
    *("orderId", "origClientOrderId", "listClientOrderId", "orderListId", "limit", "fromId", "startTime", "endTime"),
    *("interval", "symbols", "recvWindow", "timestamp", "newQty", "cancelReplaceMode", "cancelOrderId", "aboveType"),
    *("abovePrice", "aboveStopPrice", "belowType", "belowPrice", "belowStopPrice", "selfTradePreventionMode"),
    *("newOrderRespType", "icebergQty", "cancelRestrictions", "subscriptionId", "omitZeroBalances", "signature"),
)
HOSTILE = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e5",
        "1E-5",
        "NaN",
        "Infinity",
        "-0",
        "+1",
        "1.",
        ".5",
        "1,5",
        "0x10",
        "null",
        "true",
        "[]",
    ),
    *(
        "9" * 20,
        "9" * 5_000,
        "0." + "1" * 20,
        "1" + "0" * 40,
        "币安",
        "\x00",
        "a b",
        "'; --",
        "<b>",
        "%",
        "%zz",
        "\udcff",
    ),
    *("BTCUSDT", "btcusdt", "NOSUCH", "BUY", "SELL", "LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "LIMIT_MAKER"),
    *("GTC", "IOC", "1", "0.01", "20000", "50000", "STOP_ON_FAILURE", "EXPIRE_MAKER", "FULL", "1m", "ONLY_NEW"),
    *('["BTCUSDT","BTCUSDT"]', '["BTCUSDT"', "1795210440000", "9223372036854775808", "18446744073709551616"),
)
GOOD = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "20000"}
values = st.sampled_from(HOSTILE) | st.text(max_size=8)
params = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), values, max_size=9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(HOSTILE[:30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def sign(text: str) -> str:
    return hmac.new(b"s", text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def encode(values: dict[str, str]) -> str:
    return "&".join(f"{quote(k, errors='replace')}={quote(v, errors='surrogateescape')}" for k, v in values.items())


def check(response: Response) -> None:
    assert response.status in (200, 400, 401, 404, 409, 410, 418, 429), response
    if response.status == 404:
        assert response.content_type == "text/html"
    elif response.status != 200:
        assert json.loads(response.body)["code"] in CODES, response.body


class Hostile:
    """A venue, and whether it is as it was."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.rest = RestApi(self.desk.venue)
        self.desk.quote("SELL", "1", "60000")
        self.totals = self.owned()

    def owned(self) -> list[Any]:
        return [self.desk.exchange.engine.balances.total(asset) for asset in ("BTC", "USDT")]

    def send(self, method: str, path: str, query: str, body: str, **headers: str) -> None:
        self.desk.venue.limits.clear()
        given = {"x-mbx-apikey": "k"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method=method, path=path, query=query, body=body, headers=given)
        check(self.rest.handle(request, self.desk.time))

    def goes_on(self) -> None:
        assert self.owned() == self.totals
        self.desk.venue.limits.clear()
        assert self.desk.place(self.desk.api())["status"] == 200


@given(
    st.sampled_from(sorted(REQUESTS)), params, st.booleans(), st.booleans(), st.sampled_from(["", "MICROSECOND", "x"])
)
def test_any_signed_request_is_answered_with_a_documented_code(
    name: str, sent: dict[str, str], whole: bool, in_body: bool, unit: str
) -> None:
    venue = Hostile()
    method, path = name.split(" ")
    given = (GOOD if whole else {}) | {"timestamp": str(venue.desk.time // MS)} | sent
    text = encode({name: value for name, value in given.items() if name != "signature"})
    text += f"&signature={sign(text)}"
    query, body = ("", text) if in_body else (text, "")
    venue.send(method, f"/api/v3/{path}", query, body, x_mbx_time_unit=unit)
    venue.goes_on()


@given(st.text(max_size=8), st.text(max_size=12), st.text(max_size=40), st.text(max_size=40), st.text(max_size=5))
def test_any_text_as_a_request_is_answered(method: str, path: str, query: str, body: str, key: str) -> None:
    venue = Hostile()
    for place in (path, "/api/v3/account", "/api/v3/order"):
        for verb in (method, "GET", "POST", "PATCH"):
            venue.send(verb, place, query, body, x_mbx_apikey=key)
            venue.send(verb, place, f"{query}&signature={body}", "", x_mbx_apikey="k")
    venue.goes_on()


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("timestamp=1&timestamp=2", 400, -1101),
        ("timestamp=-1", 400, -1100),
        ("timestamp=1e12", 400, -1100),
        ("timestamp=99999999999999999999", 400, -1108),
        ("timestamp=" + "9" * 5_000, 400, -1100),
        ("timestamp=1", 400, -1021),
        ("recvWindow=5000", 400, -1102),
        ("timestamp={now}&recvWindow=60001", 400, -1131),
        ("timestamp={now}&recvWindow=5000.1234", 400, -1111),
        ("timestamp={now}&recvWindow=-5", 400, -1100),
        ("timestamp={now}", 200, 0),
    ],
)
def test_times_of_a_signed_request_have_codes_of_their_own(query: str, status: int, code: int) -> None:
    desk = Desk()
    text = query.format(now=desk.time // MS)
    request = Request(
        method="GET",
        path="/api/v3/account",
        query=f"{text}&signature={sign(text)}",
        headers={"x-mbx-apikey": "k"},
    )
    response = RestApi(desk.venue).handle(request, desk.time)
    assert (response.status, json.loads(response.body).get("code", 0)) == (status, code)


def test_a_body_of_another_kind_is_a_request_without_parameters() -> None:
    desk = Desk()
    for body in (json.dumps(GOOD), "--boundary\r\nContent-Disposition: form-data", "\x00\x01"):
        request = Request(
            method="POST",
            path="/api/v3/order",
            body=body,
            headers={"x-mbx-apikey": "k", "content-type": "application/json"},
        )
        response = RestApi(desk.venue).handle(request, desk.time)
        assert (response.status, json.loads(response.body)["code"]) == (400, -1102)


@given(
    st.sampled_from(sorted(METHODS)) | st.text(max_size=8),
    st.dictionaries(st.sampled_from(NAMES), json_values),
    json_values,
)
def test_any_message_to_the_websocket_api_is_answered(method: str, sent: dict[str, Any], number: Any) -> None:
    venue = Hostile()
    session = venue.desk.api()
    for message in (
        {"id": number, "method": method, "params": sent},
        {"id": 1, "method": method, "params": sent | {"apiKey": "k", "timestamp": venue.desk.time // MS}},
        {"method": number, "params": number},
        number,
    ):
        session.on_text(json.dumps(message), venue.desk.time)
        for answer in venue.desk.taken():
            assert answer["status"] == 200 or answer["error"]["code"] in CODES
    assert venue.owned() == venue.totals


@given(st.sampled_from(sorted(METHODS)), params, st.booleans())
def test_any_signed_message_to_the_websocket_api_is_answered(method: str, sent: dict[str, str], whole: bool) -> None:
    venue = Hostile()
    given = {name: value for name, value in sent.items() if name not in ("signature", "key", "session", "method")}
    try:
        json.dumps(given).encode()
        "".join(given.values()).encode()
    except UnicodeEncodeError:
        return  # it cannot be sent
    answer = venue.desk.ask(venue.desk.api(), method, **((GOOD if whole else {}) | given))
    assert answer["status"] == 200 or answer["error"]["code"] in CODES
    venue.goes_on()


@given(json_values, json_values, st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE", "SET_PROPERTY", "GET_PROPERTY", "?"]))
def test_any_message_to_the_market_streams_is_answered(params: Any, number: Any, method: str) -> None:
    desk = Desk()
    session = desk.stream()
    for message in ({"method": method, "params": params, "id": number}, {"method": params}, number):
        desk.time += 1_000 * MS
        session.on_text(json.dumps(message), desk.time)
        (answer,) = desk.taken()
        assert "result" in answer or answer["error"]["code"] in (0, 1, 2, 3)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"params":' + "[" * 5_000 + "]" * 5_000 + "}", "\ufeff{}", "NaN"]
)
def test_both_sockets_answer_text_that_is_not_json(text: str) -> None:
    desk = Desk()
    desk.api().on_text(text, desk.time)
    (answer,) = desk.taken()
    assert (answer["status"], answer["error"]["code"] in (-1100, -1135)) == (400, True)
    desk.stream().on_text(text, desk.time)
    (answer,) = desk.taken()
    assert answer["error"]["code"] in (2, 3)


# -- the admin address ------------------------------------------------------------------------------------------------

ACTIONS = ("deposit", "market", "faults", "account", "trade", "quote", "quotes", "trades", "expire", "limits", "ban")
MORE = ("refuse", "event", "script", "reports", "hide", "stale_depth", "connections", "time_unit", "stream", "request")
FIELDS = (
    *("account", "asset", "amount", "symbol", "status", "side", "price", "quantity", "step", "levels", "count", "name"),
    *("key", "secret", "public_key", "deposits", "on", "hold", "delay", "code", "msg", "for", "by", "age", "renew"),
    *("tick_size", "step_size", "taker_fee", "max_quantity", "order", "event", "stream", "unit", "params", "request"),
    *("from", "spent", "to", "received", "dust", "listed"),
    *("weight", "drop_ack", "lifetime", "largest_message", "replace", "body", "path", "address"),
)
sensible = st.sampled_from(["demo", "BTC", "BTCUSDT", "BUY", "1", "2", "5s", "HALT", "place", "TRADE", "POST order"])


@given(
    st.sampled_from((*ACTIONS, *MORE, "convert", "no")),
    st.dictionaries(st.sampled_from(FIELDS), sensible | json_values),
)
def test_any_action_is_done_or_refused_and_orders_go_on_with_an_answer(action: str, sent: dict[str, Any]) -> None:
    desk = Desk()
    desk.exchange.open_account(DEFAULT_ACCOUNT, desk.time, USDT=D(100_000), BTC=D(2))
    server = BinanceServer(desk.venue, desk.traders)
    api: AdminApi = server.admin

    status, answer = api.handle("POST", action, dict(sent))

    assert status in (200, 400, 404, 409), answer
    assert status == 200 or answer["error"]
    json.dumps(api.handle("GET", "state", {}))
    now = server.now()
    text = urlencode(GOOD | {"timestamp": now // MS})
    query = f"{text}&signature={sign(text)}"
    request = Request(method="POST", path="/api/v3/order", query=query, headers={"x-mbx-apikey": "k"})
    assert server.rest.handle(request, now).status < 600
    desk.venue.tick(now)


@pytest.mark.parametrize(
    ("action", "values", "message"),
    [
        ("account", {"name": "x", "key": "k2", "public_key": "nonsense"}, "not PEM"),
        ("account", {"name": "#makers", "key": "k2"}, "does not begin with #"),
        ("account", {"name": "x", "key": "k2", "deposits": "all"}, "deposits"),
        ("deposit", {"account": "ann", "asset": "BTC", "amount": "1e999999"}, "give a decimal above 0"),
        ("deposit", {"account": "ann", "asset": "BTC", "amount": "NaN"}, "give a decimal above 0"),
        ("quote", {"symbol": "BTCUSDT", "side": "BUY", "price": "-1", "quantity": "1"}, "give a decimal above 0"),
        ("market", {"symbol": "BTCUSDT", "min_price": "NaN"}, "min_price is NaN"),
        ("market", {"symbol": "BTCUSDT", "tick_size": "1e-30"}, "tick_size is 1E-30"),
        ("market", {"symbol": "BTCUSDT", "taker_fee": "2"}, "taker_fee is 2"),
        ("script", {"on": "place", "delay": "soon"}, "'soon' is not a duration"),
        ("script", {"on": "placing"}, "on is 'placing'"),
        ("script", {"on": "place", "status": 9_999}, "status is 9999"),
        ("reports", {"on": "TRADES"}, "on is 'TRADES'"),
        ("advance", {"by": "9" * 400 + "s"}, "is not a duration"),
        ("request", {"account": "ann", "request": "POST nothing", "params": {}}, "POST orderList/oco"),
        ("request", {"account": "ann", "request": "POST order", "params": {}}, "Mandatory parameter"),
    ],
)
def test_a_bad_action_is_refused_with_what_is_wrong(action: str, values: dict[str, Any], message: str) -> None:
    desk = Desk()
    status, answer = BinanceServer(desk.venue, desk.traders).admin.handle("POST", action, values)
    assert status == 400
    assert message in answer["error"]
