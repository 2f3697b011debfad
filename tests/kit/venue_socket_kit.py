"""A venue without a socket: what a client says to its streams and to its WebSocket API, and what comes back."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

from tickdeck.infrastructure.venue import Account, Exchange, Faults
from tickdeck.infrastructure.venue.dialects.binance import (
    BinanceVenue,
    Connection,
    MarketStreams,
    StreamSession,
    UserStreams,
    WsApiSession,
)
from tickdeck.infrastructure.venue.markets import market_of
from tickdeck.infrastructure.venue.traders import Traders

__all__ = ["MS", "NOW", "TENTH", "D", "Desk"]

D = Decimal
NOW = 1_795_210_440_000_000_000
MS = 1_000_000
TENTH = 100 * MS


class Desk:
    def __init__(self, faults: str = "") -> None:
        self.time = NOW
        self.exchange = Exchange([market_of("BTCUSDT")])
        self.exchange.open_account(Account(name="ann", key="k", secret="s"), NOW, USDT=D(100_000), BTC=D(2))
        self.traders = Traders(self.exchange, NOW)
        self.venue = BinanceVenue(self.exchange, lambda: self.time, faults=Faults.parse(faults))
        self.streams = MarketStreams(self.venue)
        self.users = UserStreams(self.venue)
        self.connection = Connection(NOW)
        self.heard: list[Any] = []
        """The private events that came with the last answer."""

    def stream(self, *names: str, combined: bool = False) -> StreamSession:
        session = StreamSession(self.streams, self.connection, combined=combined)
        for name in names:
            session.subscribe(name)
        return session

    def api(self) -> WsApiSession:
        return WsApiSession(self.venue, self.users, self.connection)

    def taken(self) -> list[Any]:
        return [json.loads(text) for text in self.connection.take(self.time)]

    def ask(self, session: WsApiSession, method: str, key: str = "k", **params: Any) -> Any:
        params |= {"apiKey": key, "timestamp": self.time // MS}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.new(b"s", text.encode(), hashlib.sha256).hexdigest()
        return self.say(session, method, **params)

    def say(self, session: WsApiSession, method: str, **params: Any) -> Any:
        session.on_text(json.dumps({"id": 7, "method": method, "params": params}), self.time)
        messages = self.taken()
        self.heard = [message["event"] for message in messages if "event" in message]
        (answer,) = [message for message in messages if "status" in message]
        return answer

    def quote(self, side: str, quantity: str, price: str) -> None:
        self.traders.quote("BTCUSDT", side == "BUY", D(price), D(quantity), self.time)

    def place(self, session: WsApiSession, **params: Any) -> Any:
        full = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        return self.ask(session, "order.place", **(full | {"price": "20000"} | params))
