"""The REST API of the venue: signatures, orders, market data and the fields of answers."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from rest_desk import NOW, D, Desk, body, error

from tickdeck.infrastructure.venue import Account
from tickdeck.infrastructure.venue.commands import Convert
from tickdeck.infrastructure.venue.dialects.binance.signing import rest_payload, ws_payload
from tickdeck.infrastructure.venue.matching import MarketStatus


def test_the_published_vectors_have_their_signatures(shared: Path) -> None:
    vectors = json.loads((shared / "exchanges/binance/signing_vectors.json").read_text())
    for vector in vectors["vectors"]:
        expected = hmac.new(vectors["secretKey"].encode(), vector["payload"].encode(), hashlib.sha256).hexdigest()
        assert rest_payload("", f"{vector['payload']}&signature={expected}") == (vector["payload"], vector["signature"])


def test_every_request_that_clients_sent_is_split_into_what_was_signed_and_its_signature(shared: Path) -> None:
    lines = (shared / "exchanges/binance/client_requests.jsonl").read_text().splitlines()
    signed = [request for request in map(json.loads, lines) if request.get("signature_checked_here")]
    for request in signed:
        if "ws" in request:
            params = {name: str(value) for name, value in json.loads(request["text"])["params"].items()}
            assert "signature" not in ws_payload(params)
        else:
            payload, signature = rest_payload(request["query"], request["body"])
            assert len(signature) == 64
            assert "signature" not in payload
    assert len(signed) > 5


def test_query_and_body_are_signed_together_without_a_separator() -> None:
    assert rest_payload("a=1&b=2", "c=3&signature=ff") == ("a=1&b=2c=3", "ff")


def test_a_wrong_signature_a_missing_one_and_an_unknown_key_have_different_errors() -> None:
    desk = Desk()
    stamp = f"timestamp={NOW // 1_000_000}"

    assert error(desk.send("GET", "account", f"{stamp}&signature=00")) == (
        400,
        -1022,
        "Signature for this request is not valid.",
    )
    assert error(desk.send("GET", "account", stamp))[:2] == (400, -1102)
    assert error(desk.send("GET", "account", stamp, key="other"))[:2] == (401, -2015)
    assert error(desk.send("GET", "account", stamp, key=""))[:2] == (401, -2014)


def test_a_request_from_an_address_that_the_key_does_not_allow_is_refused() -> None:
    desk = Desk()
    desk.exchange.open_account(Account(name="ann", key="k", secret="s", addresses=("10.0.0.1",)), NOW)

    assert error(desk.signed("GET", "account"))[:2] == (401, -2015)


@pytest.mark.parametrize(
    ("offset_ms", "window", "code"),
    [(-5_000, None, 0), (-5_001, None, -1021), (999, None, 0), (1_000, None, -1021), (-9_000, 10_000, 0)],
)
def test_a_timestamp_is_accepted_within_the_receive_window_and_a_second_ahead(
    offset_ms: int, window: int | None, code: int
) -> None:
    desk = Desk()
    params = {"recvWindow": window} if window else {}
    text = urlencode(params | {"timestamp": NOW // 1_000_000 + offset_ms})
    text += "&signature=" + hmac.new(b"s", text.encode(), hashlib.sha256).hexdigest()

    response = desk.send("GET", "account", text)

    assert json.loads(response.body).get("code", 0) == code


# -- orders -----------------------------------------------------------------------------------------------------------


def test_a_resting_order_is_found_by_both_ids_and_cancelled() -> None:
    desk = Desk()

    placed = body(desk.order())
    by_number = body(desk.signed("GET", "order", symbol="BTCUSDT", orderId=placed["orderId"]))
    by_client = body(desk.signed("GET", "order", symbol="BTCUSDT", origClientOrderId="cid-1"))
    gone = body(desk.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="cid-1"))

    assert (placed["status"], placed["fills"], placed["cummulativeQuoteQty"]) == ("NEW", [], "0.00000000")
    assert by_number == by_client
    assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "cid-1")
    assert gone["clientOrderId"] != "cid-1"
    assert body(desk.signed("GET", "openOrders")) == []


def test_a_market_order_answers_with_its_fills() -> None:
    desk = Desk()
    desk.quote("SELL", "0.004", "60000")
    desk.quote("SELL", "1", "60010")

    placed = body(desk.order(type="MARKET", timeInForce=None, price=None))

    assert [(fill["price"], fill["qty"]) for fill in placed["fills"]] == [
        ("60000.00000000", "0.00400000"),
        ("60010.00000000", "0.00600000"),
    ]
    assert placed["fills"][0]["commission"] == "0.00000400"
    assert (placed["status"], placed["cummulativeQuoteQty"]) == ("FILLED", "600.06000000")
    trades = body(desk.signed("GET", "myTrades", symbol="BTCUSDT", fromId=2))
    assert [(trade["id"], trade["orderId"]) for trade in trades] == [(2, placed["orderId"])]


@pytest.mark.parametrize(("kind", "keys"), [("ACK", 5), ("RESULT", 16), ("FULL", 17)])
def test_the_answer_has_the_requested_amount_of_detail(kind: str, keys: int) -> None:
    answer = body(Desk().order(newOrderRespType=kind))
    assert len(answer) == keys


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"quantity": "5.01"}, -2010, "Account has insufficient balance for requested action."),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "20000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "0.0100000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"quantity": None}, -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
        ({"quantity": "1e-2"}, -1100, None),
        ({"newClientOrderId": "a b"}, -1100, None),
        ({"newClientOrderId": "x" * 37}, -1100, None),
        ({"side": "LONG"}, -1117, "Invalid side."),
        ({"type": "FOO"}, -1116, "Invalid orderType."),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"type": "LIMIT_MAKER"}, -1106, "Parameter 'timeInForce' sent when not required."),
    ],
)
def test_a_bad_order_gets_the_venues_code(change: dict[str, Any], code: int, text: str | None) -> None:
    status, got, told = error(Desk().order(**change))

    assert (status, got) == (400, code)
    assert text is None or told == text


def test_a_client_id_in_use_a_post_only_taker_and_unknown_orders_have_their_own_texts() -> None:
    desk = Desk()
    desk.quote("SELL", "1", "30000")
    desk.order()

    assert error(desk.order()) == (400, -2010, "Duplicate order sent.")
    maker = {"type": "LIMIT_MAKER", "timeInForce": None, "newClientOrderId": "m", "price": "30000"}
    assert error(desk.order(**maker)) == (400, -2010, "Order would immediately match and take.")
    unknown = {"symbol": "BTCUSDT", "origClientOrderId": "nobody"}
    assert error(desk.signed("DELETE", "order", **unknown)) == (400, -2011, "Unknown order sent.")
    assert error(desk.signed("GET", "order", **unknown)) == (400, -2013, "Order does not exist.")
    wrong = desk.signed("GET", "order", symbol="BTCUSDT", orderId=2, origClientOrderId="nobody")
    assert error(wrong)[1] == -2039


def test_a_halted_symbol_refuses_orders_and_says_so_in_exchange_info() -> None:
    desk = Desk()
    desk.exchange.set_status("BTCUSDT", MarketStatus.HALT, NOW)

    assert error(desk.order()) == (400, -1013, "Market is closed.")
    assert body(desk.send("GET", "exchangeInfo"))["symbols"][0]["status"] == "HALT"


def test_a_cancel_replace_says_which_half_was_done() -> None:
    desk = Desk()
    desk.quote("SELL", "1", "30000")
    desk.order()
    new = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": "30000"}
    replace = new | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "cid-1"}

    half = desk.signed("POST", "order/cancelReplace", **replace)
    none = desk.signed("POST", "order/cancelReplace", **replace)

    told = json.loads(half.body)
    assert (half.status, told["code"]) == (409, -2021)
    assert (told["data"]["cancelResult"], told["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert told["data"]["newOrderResponse"]["code"] == -2010
    told = json.loads(none.body)
    assert (none.status, told["code"], told["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")


def test_an_amend_keeps_the_order_and_gives_it_a_new_client_id() -> None:
    desk = Desk()
    placed = body(desk.order(quantity="0.02"))

    which = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    answer = body(desk.signed("PUT", "order/amend/keepPriority", **which, newQty="0.01"))

    amended = answer["amendedOrder"]
    assert (amended["orderId"], amended["qty"]) == (placed["orderId"], "0.01000000")
    assert amended["origClientOrderId"] == "cid-1" != amended["clientOrderId"]
    more = desk.signed("PUT", "order/amend/keepPriority", **which, newQty="0.02")
    assert error(more)[1] == -2038


def test_an_order_can_be_tested_against_the_filters_without_being_placed() -> None:
    desk = Desk()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000"}

    assert body(desk.signed("POST", "order/test", quantity="0.01", **order)) == {}
    assert error(desk.signed("POST", "order/test", quantity="0.00001", **order))[2] == "Filter failure: NOTIONAL"
    assert body(desk.signed("GET", "openOrders")) == []


# -- market data ------------------------------------------------------------------------------------------------------


def test_depth_trades_candles_and_tickers_agree() -> None:
    desk = Desk()
    desk.quote("BUY", "1", "100")
    desk.quote("SELL", "2", "101")
    desk.traders.take("BTCUSDT", True, D("0.5"), D("101"), NOW)

    depth = body(desk.send("GET", "depth", "symbol=BTCUSDT&limit=5"))
    trade = body(desk.send("GET", "trades", "symbol=BTCUSDT"))[0]
    candle = body(desk.send("GET", "klines", "symbol=BTCUSDT&interval=5m"))[0]

    assert depth["asks"] == [["101.00000000", "1.50000000"]]
    assert depth["lastUpdateId"] == 3
    assert (trade["price"], trade["isBuyerMaker"]) == ("101.00000000", False)
    assert (candle[4], candle[5], candle[8]) == ("101.00000000", "0.50000000", 1)
    assert body(desk.send("GET", "ticker/price", "symbol=BTCUSDT"))["price"] == "101.00000000"
    assert body(desk.send("GET", "ticker/bookTicker", "symbol=BTCUSDT"))["bidPrice"] == "100.00000000"
    assert body(desk.send("GET", "ticker/24hr", "symbol=BTCUSDT"))["count"] == 1


@pytest.mark.parametrize("path", ["depth", "trades", "klines", "ticker/price", "aggTrades"])
def test_an_unknown_symbol_is_1121_everywhere(path: str) -> None:
    assert error(Desk().send("GET", path, "symbol=NOPE&interval=1m"))[:2] == (400, -1121)


def test_an_unknown_path_is_a_page_of_html() -> None:
    response = Desk().send("GET", "nothing")
    assert (response.status, response.content_type) == (404, "text/html")


@pytest.mark.parametrize(
    ("sample", "request_of"),
    [
        ("nt_order_response.json", ("GET", "order")),
        ("nt_cancel_order_response.json", ("DELETE", "order")),
        ("nt_open_orders_response.json", ("GET", "openOrders")),
        ("nt_account_trades_response.json", ("GET", "myTrades")),
        ("nt_account_response.json", ("GET", "account")),
        ("nt_exchange_info_response.json", ("GET", "exchangeInfo")),
        ("nt_new_order_full_response.json", ("POST", "order")),
    ],
)
def test_an_answer_has_every_field_of_the_documented_sample(
    shared: Path, sample: str, request_of: tuple[str, str]
) -> None:
    desk = Desk()
    desk.quote("SELL", "1", "30000")
    desk.order(newClientOrderId="taker", price="30000")
    desk.order()
    method, path = request_of
    params = {"symbol": "BTCUSDT"} | ({"origClientOrderId": "cid-1"} if path == "order" else {})
    if method == "POST":
        answer = body(desk.order(newClientOrderId="second"))
    else:
        answer = body(desk.signed(method, path, **params))

    documented = json.loads((shared / "exchanges/binance" / sample).read_text())
    if isinstance(documented, list):
        documented, answer = documented[0], answer[0]
    assert documented.keys() - answer.keys() - {"sors"} == set()


def test_conversions_and_dust_are_listed_apart_newest_first() -> None:
    desk = Desk()
    now = NOW // 1_000_000
    times = {"startTime": now - 1_000, "endTime": now + 1_000}
    for number in range(3):
        desk.exchange.convert(Convert("ann", "USDT", D(600 + number), "BTC", D("0.01")), NOW + number * 1_000_000)
    desk.exchange.convert(Convert("ann", "USDT", D("0.3"), "BNB", D("0.0005"), dust=True), NOW)
    desk.exchange.convert(Convert("ann", "USDT", D(5), "BNB", D("0.01"), listed=False), NOW)

    flow = body(desk.signed("GET", "/sapi/v1/convert/tradeFlow", **times, limit=2))
    assert [(row["fromAmount"], row["createTime"]) for row in flow["list"]] == [
        ("602.00000000", now + 2),
        ("601.00000000", now + 1),
    ]
    assert flow["moreData"] is True
    assert body(desk.signed("GET", "/sapi/v1/convert/tradeFlow", **times))["moreData"] is False

    (row,) = body(desk.signed("GET", "/sapi/v1/asset/dribblet"))["userAssetDribblets"]
    (detail,) = row["userAssetDribbletDetails"]
    assert (detail["fromAsset"], detail["amount"], row["totalTransferedAmount"]) == ("USDT", "0.30000000", "0.00050000")

    assert error(desk.signed("GET", "/sapi/v1/convert/tradeFlow", startTime=now))[1] == -1102
    month = error(desk.signed("GET", "/sapi/v1/convert/tradeFlow", startTime=now - 31 * 86_400_000, endTime=now))
    assert month[1:] == (-1127, "Lookup interval is too big. More than 720 hours between startTime and endTime.")
