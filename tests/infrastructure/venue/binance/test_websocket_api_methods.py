"""Every method of the WebSocket API, with a signature and in a session that logged on."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from venue_socket_kit import MS, NOW, D, Desk

from tickdeck.infrastructure.venue import Account
from tickdeck.infrastructure.venue.dialects.binance.ws_api import METHODS


def test_rate_limits_are_listed_unless_the_request_says_otherwise() -> None:
    desk = Desk()
    session = desk.api()
    assert "rateLimits" in desk.say(session, "time")
    assert "rateLimits" not in desk.say(session, "time", returnRateLimits=False)
    session.shows_limits = False
    assert "rateLimits" not in desk.say(session, "time")
    assert "rateLimits" in desk.say(session, "time", returnRateLimits=True)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_is_answered_to_a_key_and_to_a_session(method: str) -> None:
    desk = Desk()
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    desk.exchange.open_account(Account(name="bob", key="kb", public_key=pem), NOW, USDT=D(10_000), BTC=D(2))
    desk.quote("SELL", "1", "60000")
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    order |= {"price": "20000"}
    needed: dict[str, Any] = {
        "order.place": order,
        "order.test": order,
        "order.cancelReplace": order | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "one"},
        "order.amend.keepPriority": {"origClientOrderId": "one", "newQty": "0.05"},
        "klines": {"interval": "1m"},
        "uiKlines": {"interval": "1m"},
        "orderList.status": {"origClientOrderId": "list"},
        "orderList.cancel": {"listClientOrderId": "list"},
        "orderList.place.oco": {
            "side": "SELL",
            "quantity": "1",
            "aboveType": "LIMIT_MAKER",
            "abovePrice": "70000",
            "belowType": "STOP_LOSS",
            "belowStopPrice": "50000",
        },
    }
    params = {"symbol": "BTCUSDT"} | needed.get(method, {"origClientOrderId": "one", "interval": "1m"})
    logged_on = desk.api()
    logon: dict[str, Any] = {"apiKey": "kb", "timestamp": NOW // MS}
    text = "&".join(f"{name}={logon[name]}" for name in sorted(logon))
    logon["signature"] = base64.b64encode(private.sign(text.encode())).decode()
    desk.say(logged_on, "session.logon", **logon)
    pair = needed["orderList.place.oco"] | {"symbol": "BTCUSDT", "listClientOrderId": "list"}

    desk.place(desk.api(), newClientOrderId="one", quantity="0.1")
    desk.ask(desk.api(), "orderList.place.oco", **pair)
    desk.say(logged_on, "order.place", **order, newClientOrderId="one", timestamp=NOW // MS)
    desk.say(logged_on, "orderList.place.oco", **pair, timestamp=NOW // MS)

    assert desk.ask(desk.api(), method, **params)["status"] == 200
    assert desk.say(logged_on, method, **params, timestamp=NOW // MS)["status"] == 200
