"""A client for the acceptance cards: speaks to a venue that plays one, without a socket and in virtual time."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tickdeck.infrastructure.venue import DEFAULT_ACCOUNT, Exchange, Faults
from tickdeck.infrastructure.venue.dialects.binance import BinanceVenue, Request, Response
from tickdeck.infrastructure.venue.dialects.binance.server import BinanceServer
from tickdeck.infrastructure.venue.markets import market_of
from tickdeck.infrastructure.venue.scenarios import Scenario
from tickdeck.infrastructure.venue.traders import Traders

__all__ = ["NOW", "Client"]

NOW = 1_795_210_440_000_000_000


class Client:
    """Speaks to a venue that plays a card, without a socket. ``wait`` lets its time pass."""

    def __init__(self, card: Scenario) -> None:
        self.time = NOW
        self.exchange = Exchange([market_of(symbol) for symbol in card.symbols])
        deposits = {asset: Decimal(amount) for asset, amount in card.deposits.items()}
        self.exchange.open_account(DEFAULT_ACCOUNT, NOW, **deposits)
        venue = BinanceVenue(self.exchange, lambda: self.time, faults=Faults.parse(card.faults))
        self.server = BinanceServer(venue, Traders(self.exchange, NOW))
        self.player = self.server.play(card)
        self.clock: Callable[[], int] = self.server.now
        """Where the times of signed requests come from, ns UTC."""
        self.symbol = self.exchange.market(next(iter(self.exchange.engine.markets))).symbol

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.time += 100_000_000
            self.server.tick(self.server.now())

    def send(self, method: str, path: str, **params: Any) -> tuple[Response, Any]:
        if path not in ("exchangeInfo", "time"):
            params["timestamp"] = self.clock() // 1_000_000
        query = urlencode(params)
        signature = hmac.new(DEFAULT_ACCOUNT.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = Request(
            method=method,
            path=f"/api/v3/{path}",
            query=f"{query}&signature={signature}",
            headers={"x-mbx-apikey": DEFAULT_ACCOUNT.key},
        )
        response = self.server.rest.handle(request, self.server.now())
        return response, json.loads(response.body) if response.body[:1] in (b"{", b"[") else None

    def order(self, side: str, quantity: str, price: str | None = None, **more: Any) -> tuple[Response, Any]:
        params = {"symbol": self.symbol, "side": side, "quantity": quantity} | more
        params.setdefault("type", "MARKET" if price is None else "LIMIT")
        if price is not None:
            params["price"] = price
        if params["type"] == "LIMIT":
            params["timeInForce"] = "GTC"
        return self.send("POST", "order", **params)

    def query(self, client_id: str) -> Any:
        return self.send("GET", "order", symbol=self.symbol, origClientOrderId=client_id)[1]

    def cancel(self, client_id: str) -> Any:
        return self.send("DELETE", "order", symbol=self.symbol, origClientOrderId=client_id)[1]

    def failed(self) -> list[str]:
        return [result.check.figure for result in self.player.results() if not result.holds]
