"""A venue with one account, and a client that signs as ccxt does."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tickdeck.infrastructure.venue import Account, Exchange, Faults
from tickdeck.infrastructure.venue.dialects.binance import BinanceVenue, Limits, RateLimits, Request, Response, RestApi
from tickdeck.infrastructure.venue.markets import market_of
from tickdeck.infrastructure.venue.traders import Traders

D = Decimal
NOW = 1_795_210_440_000_000_000
SECOND = 1_000_000_000


class Desk:
    """A venue with one account, and a client that signs as ccxt does."""

    def __init__(self, *symbols: str, faults: str = "", rates: RateLimits | None = None) -> None:
        self.time = NOW
        self.exchange = Exchange([market_of(symbol) for symbol in symbols or ("BTCUSDT",)])
        self.exchange.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100_000), BTC=D(2))
        self.traders = Traders(self.exchange, NOW)
        self.venue = BinanceVenue(self.exchange, lambda: self.time, limits=Limits(rates), faults=Faults.parse(faults))
        self.rest = RestApi(self.venue)

    def quote(self, side: str, quantity: str, price: str) -> None:
        self.traders.quote("BTCUSDT", side == "BUY", D(price), D(quantity), self.time)

    def send(self, method: str, path: str, query: str = "", body: str = "", key: str = "k") -> Response:
        path = path if path.startswith("/") else f"/api/v3/{path}"
        request = Request(method=method, path=path, query=query, body=body, headers={"x-mbx-apikey": key})
        return self.rest.handle(request, self.venue.now())

    def signed(self, method: str, path: str, **params: Any) -> Response:
        text = urlencode(params | {"timestamp": self.venue.now() // 1_000_000})
        text += "&signature=" + hmac.new(b"s", text.encode(), hashlib.sha256).hexdigest()
        return self.send(method, path, "", text) if method == "POST" else self.send(method, path, text)

    def order(self, **params: Any) -> Response:
        full = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        full |= {"price": "20000", "newClientOrderId": "cid-1"} | params
        return self.signed("POST", "order", **{name: value for name, value in full.items() if value is not None})


def body(response: Response) -> Any:
    assert response.status == 200, response.body
    return json.loads(response.body)


def error(response: Response) -> tuple[int, int, str]:
    told = json.loads(response.body)
    return response.status, told["code"], told["msg"]
