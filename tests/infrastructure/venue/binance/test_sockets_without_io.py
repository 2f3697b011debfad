"""Market streams, the WebSocket API and private streams, without a socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from venue_socket_kit import MS, NOW, TENTH, D, Desk

from tickdeck.infrastructure.exchanges.binance.wire import Ed25519Key, signed_request, ws_request
from tickdeck.infrastructure.venue import Account
from tickdeck.infrastructure.venue.dialects.binance.signing import is_signed, rest_payload, ws_payload
from tickdeck.infrastructure.venue.markets import market_of

# -- market streams ---------------------------------------------------------------------------------------------------


def test_trades_and_best_prices_are_sent_immediately_and_depth_every_100_ms() -> None:
    desk = Desk()
    desk.stream("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@depth@100ms")
    desk.quote("SELL", "1", "100")
    desk.quote("SELL", "1", "101")
    desk.traders.take("BTCUSDT", True, D("1.5"), D(101), NOW)

    at_once = desk.taken()
    desk.streams.tick(NOW + TENTH)
    (depth,) = desk.taken()

    assert [m.get("e", "bookTicker") for m in at_once] == [
        *("bookTicker", "trade", "aggTrade", "trade", "aggTrade", "bookTicker"),
    ]
    assert (depth["U"], depth["u"]) == (1, 4)
    assert depth["a"] == [["100.00000000", "0.00000000"], ["101.00000000", "0.50000000"]]


def test_depth_events_follow_one_another_and_join_a_snapshot() -> None:
    desk = Desk()
    desk.stream("btcusdt@depth@100ms")
    book: dict[str, str] = {}
    snapshot_id, last = 0, 0
    for step in range(50):
        desk.quote("BUY", str(1 + step % 3), str(100 - step % 7))
        desk.quote("SELL", str(1 + step % 2), str(101 + step % 5))
        if step == 20:
            bids, _ = desk.exchange.engine.depth("BTCUSDT", 5_000)
            book = {f"{price:.8f}": f"{quantity:.8f}" for price, quantity in bids}
            snapshot_id = desk.exchange.history["BTCUSDT"].update_id
        desk.streams.tick(NOW + step * TENTH)
        for event in desk.taken():
            assert last in (0, event["U"] - 1)
            last = event["u"]
            if snapshot_id and last > snapshot_id:
                for price, quantity in event["b"]:
                    book[price] = quantity
    bids, _ = desk.exchange.engine.depth("BTCUSDT", 5_000)
    assert {p: q for p, q in book.items() if D(q)} == {f"{price:.8f}": f"{quantity:.8f}" for price, quantity in bids}


def test_a_combined_stream_names_each_message() -> None:
    desk = Desk()
    desk.stream("btcusdt@bookTicker", combined=True)
    desk.quote("BUY", "1", "100")
    (message,) = desk.taken()
    assert (message["stream"], message["data"]["b"]) == ("btcusdt@bookTicker", "100.00000000")


def test_subscriptions_are_made_listed_and_ended() -> None:
    desk = Desk()
    session = desk.stream()
    for request in (
        {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "nosuch@trade"], "id": 1},
        {"method": "LIST_SUBSCRIPTIONS", "id": 2},
        {"method": "UNSUBSCRIBE", "params": ["nosuch@trade"], "id": "x"},
        {"method": "SUBSCRIBE", "params": ["btcusdt@nonsense"], "id": 4},
    ):
        session.on_text(json.dumps(request), NOW)

    assert desk.taken() == [
        {"result": None, "id": 1},
        {"result": ["btcusdt@trade", "nosuch@trade"], "id": 2},
        {"result": None, "id": "x"},
        {"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": 4},
    ]


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"method":5}', '{"method":"SUBSCRIBE","params":3,"id":1}'])
def test_an_invalid_message_is_answered_with_an_error(text: str) -> None:
    desk = Desk()
    desk.stream().on_text(text, NOW)
    assert "error" in desk.taken()[0]


def test_more_than_five_messages_a_second_close_the_connection() -> None:
    desk = Desk()
    session = desk.stream()
    for number in range(6):
        session.on_text(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}), NOW)
    assert desk.connection.close_code == 1008


def test_a_candle_is_published_every_two_seconds_and_once_more_when_it_closes() -> None:
    desk = Desk()
    desk.stream("btcusdt@kline_1m")
    desk.quote("SELL", "9", "100")
    desk.traders.take("BTCUSDT", True, D(1), D(100), NOW)
    for tenth in range(1, 601):
        desk.streams.tick(NOW + tenth * TENTH)
    candles = desk.taken()
    closed = [message["k"] for message in candles if message["k"]["x"]]
    assert len(candles) in (31, 32)
    assert [(k["t"], k["c"], k["v"]) for k in closed] == [(NOW // MS, "100.00000000", "1.00000000")]


def test_gaps_and_reordering_are_counted() -> None:
    desk = Desk("seed=3 gap=0.3 reorder=0.3")
    desk.stream("btcusdt@trade")
    desk.quote("SELL", "1000", "100")
    for _ in range(100):
        desk.traders.take("BTCUSDT", True, D("0.1"), D(100), NOW)
    numbers = [message["t"] for message in desk.taken()]

    assert numbers != sorted(numbers)
    assert 100 - len(numbers) in (desk.venue.faults.counts["gap"], desk.venue.faults.counts["gap"] + 1)


def test_a_stalled_connection_is_silent_for_its_duration() -> None:
    desk = Desk("stall=1:5s")
    desk.stream("btcusdt@bookTicker")
    desk.quote("BUY", "1", "100")
    desk.venue.faults.set("stall", "off")
    desk.quote("BUY", "1", "101")
    assert desk.taken() == []
    desk.time += 5_000 * MS
    desk.quote("BUY", "1", "102")
    assert len(desk.taken()) == 1


# -- the WebSocket API ------------------------------------------------------------------------------------------------


def test_an_order_is_placed_queried_and_cancelled_over_the_socket() -> None:
    desk = Desk()
    session = desk.api()
    placed = desk.place(session)
    number = placed["result"]["orderId"]

    assert (placed["id"], placed["status"], placed["result"]["status"]) == (7, 200, "NEW")
    assert [row["rateLimitType"] for row in placed["rateLimits"]] == ["REQUEST_WEIGHT", "ORDERS", "ORDERS"]
    assert desk.ask(session, "order.status", symbol="BTCUSDT", orderId=number)["result"]["orderId"] == number
    assert desk.ask(session, "order.cancel", symbol="BTCUSDT", orderId=number)["result"]["status"] == "CANCELED"


def test_the_socket_signs_raw_text_where_rest_signs_encoded_text() -> None:
    desk = Desk()
    desk.exchange.set_market(market_of("币安人生/USDT"), NOW)
    answer = desk.place(desk.api(), symbol="币安人生USDT", price="10", quantity="1")
    assert (answer["status"], answer["result"]["symbol"]) == (200, "币安人生USDT")


def test_errors_carry_code_and_status() -> None:
    desk = Desk()
    session = desk.api()
    assert desk.place(session, quantity="100")["error"]["code"] == -2010
    assert desk.say(session, "order.place", symbol="BTCUSDT")["status"] == 401
    assert desk.say(session, "no.such")["status"] == 400
    session.on_text("{", NOW)
    assert desk.taken()[0]["id"] is None


def test_reports_and_balances_follow_the_order_in_their_envelope(shared: Path) -> None:
    desk = Desk()
    session = desk.api()
    assert desk.ask(session, "userDataStream.subscribe.signature")["result"] == {"subscriptionId": 0}
    desk.quote("SELL", "0.004", "20000")
    session.on_text("", NOW)
    desk.taken()

    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    params |= {"price": "20000", "newClientOrderId": "mine", "apiKey": "k", "timestamp": NOW // MS}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = hmac.new(b"s", text.encode(), hashlib.sha256).hexdigest()
    session.on_text(json.dumps({"id": 1, "method": "order.place", "params": params}), NOW)
    events = [message["event"] for message in desk.taken() if "event" in message]

    assert [event["e"] for event in events] == ["executionReport", "executionReport", "outboundAccountPosition"]
    new, trade, position = events
    assert (new["x"], new["N"], new["t"]) == ("NEW", None, -1)
    assert (trade["X"], trade["l"], trade["z"], trade["N"]) == ("PARTIALLY_FILLED", "0.00400000", "0.00400000", "BTC")
    assert position["B"] == [
        {"a": "BTC", "f": "2.00399600", "l": "0.00000000"},
        {"a": "USDT", "f": "99800.00000000", "l": "120.00000000"},
    ]
    sample = json.loads((shared / "exchanges/binance/nt_execution_report_wrapped.json").read_text())
    assert new.keys() == sample["event"].keys()


def test_a_cancellation_has_an_id_of_its_own() -> None:
    desk = Desk()
    session = desk.api()
    desk.ask(session, "userDataStream.subscribe.signature")
    desk.place(session, newClientOrderId="mine")
    order = desk.exchange.engine.open_orders("ann")[0]
    desk.exchange.cancel(order, NOW, "the-cancel")
    (report,) = [m["event"] for m in desk.taken() if m["event"]["e"] == "executionReport"]
    assert (report["c"], report["C"], report["X"]) == ("the-cancel", "mine", "CANCELED")


def test_a_stop_order_is_reported_as_new_again_when_it_is_triggered() -> None:
    desk = Desk()
    session = desk.api()
    desk.ask(session, "userDataStream.subscribe.signature")
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    placed = desk.ask(session, "order.place", **order, price="19000", stopPrice="20000", newOrderRespType="RESULT")
    assert (placed["result"]["stopPrice"], placed["result"]["workingTime"]) == ("20000.00000000", -1)

    desk.traders.quote("BTCUSDT", True, D(18_000), D(1), NOW)
    desk.time += 1_000 * MS
    desk.traders.take("BTCUSDT", False, D("0.5"), D(18_000), desk.time)

    reports = [m["event"] for m in desk.taken() if m.get("event", {}).get("e") == "executionReport"]
    seen = [(r["x"], r["X"], r["w"], r.get("W"), r["P"], r["o"]) for r in reports]
    at, text = desk.time // MS, "20000.00000000"
    assert seen == [("NEW", "NEW", True, at, text, "STOP_LOSS_LIMIT")]


def test_a_deposit_is_a_balance_update() -> None:
    desk = Desk()
    desk.ask(desk.api(), "userDataStream.subscribe.signature")
    desk.exchange.move("ann", "BTC", D(1), NOW)
    events = [message["event"] for message in desk.taken()]
    assert [event["e"] for event in events] == ["outboundAccountPosition", "balanceUpdate"]
    assert events[1]["d"] == "1.00000000"


def test_a_second_subscription_is_refused_and_the_end_of_one_is_reported() -> None:
    desk = Desk()
    session = desk.api()
    desk.ask(session, "userDataStream.subscribe.signature")
    assert desk.ask(session, "userDataStream.subscribe.signature")["error"]["code"] == -2035
    session.on_text('{"id":1,"method":"userDataStream.unsubscribe","params":{"subscriptionId":0}}', NOW)
    ended, answer = desk.taken()
    assert (ended["event"]["e"], answer["status"]) == ("eventStreamTerminated", 200)
    assert desk.say(session, "userDataStream.unsubscribe", subscriptionId=0)["error"]["code"] == -2036


def test_an_ed25519_key_logs_a_session_on_and_an_hmac_key_does_not() -> None:
    desk = Desk()
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    desk.exchange.open_account(Account(name="bob", key="kb", public_key=pem), NOW, USDT=D(1_000))
    session = desk.api()
    params: dict[str, Any] = {"apiKey": "kb", "timestamp": NOW // MS}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = base64.b64encode(private.sign(text.encode())).decode()

    assert desk.ask(session, "session.logon")["error"]["code"] == -4056
    assert desk.say(session, "session.logon", **params)["result"]["apiKey"] == "kb"
    assert desk.say(session, "userDataStream.subscribe")["result"] == {"subscriptionId": 0}
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    placed = desk.say(session, "order.place", **order, price="20000", timestamp=NOW // MS)
    assert placed["result"]["status"] == "NEW"
    params["signature"] = base64.b64encode(private.sign(b"other")).decode()
    assert desk.say(session, "session.logon", **params)["error"]["code"] == -1022


@pytest.mark.parametrize("kind", ["RSA", "Ed25519"])
def test_the_published_payloads_signed_with_a_private_key_are_accepted_and_others_are_not(
    shared: Path, kind: str
) -> None:
    private: Any
    if kind == "RSA":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    account = Account(name="bob", key="kb", public_key=pem)

    def sign(payload: str) -> str:
        data = payload.encode()
        raw = private.sign(data, PKCS1v15(), SHA256()) if kind == "RSA" else private.sign(data)
        return base64.b64encode(raw).decode()

    published = json.loads((shared / "exchanges" / "binance" / "signing_vectors.json").read_text())["vectors"]
    for vector in published:
        payload, signature = vector["payload"], sign(vector["payload"])
        sent = rest_payload(payload + "&signature=" + quote(signature, safe=""), "")
        assert sent == (payload, signature)
        assert is_signed(account, payload, signature)
        assert not is_signed(account, payload + "&x=1", signature)
        assert not is_signed(account, payload, vector["signature"])  # the one of the secret
    params = {"symbol": "币安人生USDT", "apiKey": "kb", "timestamp": "1"}
    raw = "apiKey=kb&symbol=币安人生USDT&timestamp=1"
    assert ws_payload(params) == raw
    assert is_signed(account, raw, sign(raw))


def test_the_adapters_ed25519_key_signs_what_the_venue_accepts() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    account, key = Account(name="bob", key="kb", public_key=pem), Ed25519Key("kb", secret)

    request = signed_request(key, "GET", "/api/v3/order", {"symbol": "币安人生USDT"}, timestamp=1)
    query = request.target.partition("?")[2]
    assert is_signed(account, *rest_payload(query, ""))

    params = json.loads(ws_request(key, 1, "order.status", {"symbol": "币安人生USDT"}, timestamp=1))["params"]
    text = {name: str(value) for name, value in params.items()}
    assert is_signed(account, ws_payload(text), text["signature"])


def test_an_expired_session_ends_its_stream_and_its_logon() -> None:
    desk = Desk("expire_session=60s")
    session = desk.api()
    desk.ask(session, "userDataStream.subscribe.signature")
    session.tick(NOW + 61_000 * MS)
    assert [m["event"]["e"] for m in desk.taken()] == ["eventStreamTerminated"]
    assert desk.venue.faults.counts == {"expire_session": 1}


def test_fills_are_duplicated_delayed_and_lost_on_demand() -> None:
    for fault, at_once, later in (("duplicate_fill=1", 2, 0), ("late_fill=1:2s", 0, 1), ("lost_fill=1", 0, 0)):
        desk = Desk(fault)
        session = desk.api()
        desk.ask(session, "userDataStream.subscribe.signature")
        desk.place(session)
        desk.traders.take("BTCUSDT", False, D("0.01"), D(20_000), NOW)
        now = [m for m in desk.taken() if m["event"].get("x") == "TRADE"]
        desk.time += 2_000 * MS
        then = [m for m in desk.taken() if m["event"].get("x") == "TRADE"]
        assert (len(now), len(then)) == (at_once, later), fault


def test_a_silent_private_stream_sends_nothing_for_its_duration() -> None:
    desk = Desk("private_stream_silent=1:10s")
    session = desk.api()
    desk.ask(session, "userDataStream.subscribe.signature")
    desk.exchange.move("ann", "BTC", D(1), NOW)
    assert desk.taken() == []
