"""Order lists (OCO) in the dialect: requests, errors, answers and events as the venue's documentation shows them."""

from __future__ import annotations

from typing import Any

import pytest
from venue_socket_kit import D, Desk

OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "60000",
    "belowType": "STOP_LOSS_LIMIT",
    "belowStopPrice": "50000",
    "belowPrice": "49900",
    "belowTimeInForce": "GTC",
}
ANSWER = {
    *("orderListId", "contingencyType", "listStatusType", "listOrderStatus", "listClientOrderId", "transactionTime"),
    *("symbol", "orders", "orderReports"),
}


def place(desk: Desk, **change: Any) -> Any:
    params = {name: value for name, value in (OCO | change).items() if value is not None}
    return desk.ask(desk.api(), "orderList.place.oco", **params)


def test_a_pair_is_placed_queried_and_cancelled() -> None:
    desk = Desk()
    session = desk.api()
    placed = place(desk, listClientOrderId="pair", aboveClientOrderId="up", belowClientOrderId="down")["result"]
    assert placed.keys() == ANSWER
    assert (placed["listStatusType"], placed["listOrderStatus"]) == ("EXEC_STARTED", "EXECUTING")
    assert [order["clientOrderId"] for order in placed["orders"]] == ["up", "down"]
    number = placed["orderListId"]
    state = {name: value for name, value in placed.items() if name != "orderReports"}

    assert desk.ask(session, "orderList.status", orderListId=number)["result"] == state
    assert desk.ask(session, "orderList.status", origClientOrderId="pair")["result"] == state
    assert desk.ask(session, "openOrderLists.status")["result"] == [state]
    order = desk.ask(session, "order.status", symbol="BTCUSDT", origClientOrderId="down")["result"]
    assert (order["orderListId"], order["stopPrice"], order["workingTime"]) == (number, "50000.00000000", -1)

    cancelled = desk.ask(session, "orderList.cancel", symbol="BTCUSDT", listClientOrderId="pair")["result"]
    assert cancelled.keys() == ANSWER
    assert cancelled["listStatusType"] == cancelled["listOrderStatus"] == "ALL_DONE"
    assert [report["status"] for report in cancelled["orderReports"]] == ["CANCELED"] * 2
    assert [report["origClientOrderId"] for report in cancelled["orderReports"]] == ["up", "down"]
    assert desk.ask(session, "openOrderLists.status")["result"] == []
    assert desk.ask(session, "allOrderLists")["result"][0]["listOrderStatus"] == "ALL_DONE"
    assert desk.ask(session, "orderList.cancel", symbol="BTCUSDT", orderListId=number)["error"]["code"] == -2011


def test_reports_name_the_list_and_its_status_follows_them() -> None:
    desk = Desk()
    desk.ask(desk.api(), "userDataStream.subscribe.signature")
    place(desk, selfTradePreventionMode="EXPIRE_MAKER", newOrderRespType="ACK")
    started = desk.heard
    assert [(e["e"], e.get("g")) for e in started] == [
        ("executionReport", 1),
        ("executionReport", 1),
        ("listStatus", 1),
        ("outboundAccountPosition", None),
    ]
    assert {k: started[2][k] for k in ("s", "c", "l", "L", "r")} == {
        "s": "BTCUSDT",
        "c": "OCO",
        "l": "EXEC_STARTED",
        "L": "EXECUTING",
        "r": "NONE",
    }
    assert [order["i"] for order in started[2]["O"]] == [report["i"] for report in started[:2]]

    desk.traders.take("BTCUSDT", True, D(1), D(60_000), desk.time)

    events = [message["event"] for message in desk.taken()]
    assert [(e["e"], e.get("x", e.get("l"))) for e in events[:3]] == [
        ("executionReport", "EXPIRED"),
        ("executionReport", "TRADE"),
        ("listStatus", "ALL_DONE"),
    ]
    assert events[0]["eR"] == "OCO_TRIGGER"


def test_cancelling_all_orders_answers_with_the_list() -> None:
    desk = Desk()
    place(desk)
    desk.place(desk.api(), newClientOrderId="alone")

    answers = desk.ask(desk.api(), "openOrders.cancelAll", symbol="BTCUSDT")["result"]

    assert [answer.get("contingencyType") for answer in answers] == ["OCO", None]
    assert desk.exchange.engine.open_orders("ann") == []


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"aboveType": "LIMIT"}, -1158, "Order type not supported in OCO."),
        ({"aboveType": None}, -1102, "'aboveType'"),
        ({"abovePrice": None}, -1102, "'abovePrice'"),
        ({"belowStopPrice": None}, -1102, "'belowStopPrice'"),
        ({"belowTimeInForce": None}, -1102, "'belowTimeInForce'"),
        ({"aboveTimeInForce": "GTC"}, -1106, "'aboveTimeInForce'"),
        ({"aboveStopPrice": "1"}, -1106, "'aboveStopPrice'"),
        ({"belowTrailingDelta": "1"}, -1106, "'belowTrailingDelta'"),
        ({"belowPrice": "1e3"}, -1100, "'belowPrice'"),
        ({"belowPrice": "1.123456789"}, -1111, "'belowPrice'"),
        ({"quantity": None}, -1102, "'quantity'"),
        ({"side": "BUY"}, -1165, "A limit order in a buy OCO must be below."),
        ({"abovePrice": "49000"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"quantity": "3"}, -2010, "Account has insufficient balance for requested action."),
        ({"aboveClientOrderId": "a b"}, -1100, "'aboveClientOrderId'"),
        ({"aboveClientOrderId": "same", "belowClientOrderId": "same"}, -2010, "Duplicate order sent."),
        ({"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
    ],
)
def test_a_bad_pair_gets_the_venues_code(change: dict[str, Any], code: int, text: str) -> None:
    error = place(Desk(), **change)["error"]
    assert error["code"] == code
    assert text in error["msg"]


@pytest.mark.parametrize(
    ("side", "above", "below", "code"),
    [
        ("SELL", "LIMIT_MAKER", "LIMIT_MAKER", -1168),
        ("SELL", "STOP_LOSS", "LIMIT_MAKER", -1166),
        ("SELL", "STOP_LOSS", "STOP_LOSS", -1197),
        ("SELL", "TAKE_PROFIT", "TAKE_PROFIT", -1199),
        ("BUY", "LIMIT_MAKER", "STOP_LOSS", -1165),
        ("BUY", "STOP_LOSS", "STOP_LOSS", -1196),
        ("BUY", "TAKE_PROFIT", "TAKE_PROFIT", -1198),
    ],
)
def test_orders_on_the_wrong_side_have_codes_of_their_own(side: str, above: str, below: str, code: int) -> None:
    prices = {"abovePrice": "60000"} if above == "LIMIT_MAKER" else {"aboveStopPrice": "60000", "abovePrice": None}
    prices |= {"belowPrice": "50000", "belowStopPrice": None} if below == "LIMIT_MAKER" else {"belowPrice": None}
    kinds = {"side": side, "aboveType": above, "belowType": below, "belowTimeInForce": None}
    assert place(Desk(), **kinds, **prices)["error"]["code"] == code


def test_a_list_counts_as_two_orders() -> None:
    desk = Desk()
    desk.venue.limits.rates.orders_10s = 3
    assert place(desk)["status"] == 200
    assert place(desk)["error"]["code"] == -1015
