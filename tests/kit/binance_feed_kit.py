"""Shared by the tests of Binance's feed: frames, answers, and a protocol with an open connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tickdeck.application.ports import Frame
from tickdeck.domain.events import (
    DomainEvent,
    TradeEvent,
)
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder
from tickdeck.infrastructure.exchanges.binance.market_data import (
    Fetch,
    MarketDataProtocol,
    OpenConnection,
)

T0 = 1_790_000_000_000_000_000
S = 1_000_000_000


def wrapped(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def trade(number: int) -> bytes:
    return wrapped(
        "btcusdt@trade", e="trade", E=T0 // 10**6, s="BTCUSDT", t=number, p="60000.10", q="0.5", T=T0 // 10**6, m=True
    )


def delta(first: int, last: int) -> bytes:
    return wrapped(
        "btcusdt@depth@100ms", e="depthUpdate", E=T0 // 10**6, s="BTCUSDT", U=first, u=last, b=[["1.0", "2"]], a=[]
    )


def snapshot(last: int) -> bytes:
    return json.dumps({"lastUpdateId": last, "bids": [["1.0", "1"]], "asks": [["2.0", "1"]]}).encode()


def exchange_info(status: str = "TRADING", tick: str = "0.01", symbol: str = "BTCUSDT") -> bytes:
    filters = [{"filterType": "PRICE_FILTER", "tickSize": tick}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}]
    listed = {"symbol": symbol, "baseAsset": "BTC", "quoteAsset": "USDT", "status": status, "filters": filters}
    return json.dumps({"symbols": [listed], "rateLimits": []}).encode()


def rest_trade(number: int) -> dict[str, Any]:
    return {"id": number, "price": "60000.10", "qty": "0.5", "time": T0 // 10**6, "isBuyerMaker": True}


class Venue:
    """A protocol with an open connection, the events of its frames, and its clock."""

    def __init__(
        self, *, after: Mapping[str, int] | None = None, remembered: tuple[bytes, ...] = (), **settings: Any
    ) -> None:
        self.now = T0
        self.protocol = MarketDataProtocol(("BTCUSDT",), **{"instruments_every": 1 << 61, **settings})
        self.decoder = FrameDecoder()
        self.frames: list[Frame] = []
        self.protocol.continue_after(after or {})
        for message in remembered:
            self.protocol.remember(Frame(self.now, message))
        self.protocol.start(self.now)
        opening, asking = self.protocol.actions()
        assert opening == OpenConnection(1)
        assert isinstance(asking, Fetch)
        self.protocol.fetched(asking.number, self.now, exchange_info())
        self.instruments = self.protocol.frames()
        self.protocol.opened(1, self.now)

    def actions(self) -> list[Any]:
        return [a for a in self.protocol.actions() if not (isinstance(a, Fetch) and a.what == "instruments")]

    def instrument_fetches(self) -> list[Fetch]:
        return [a for a in self.protocol.actions() if isinstance(a, Fetch) and a.what == "instruments"]

    def fetches(self) -> list[Fetch]:
        return [action for action in self.actions() if isinstance(action, Fetch)]

    def hear(self, *messages: bytes, connection: int = 1) -> None:
        for message in messages:
            self.now += 1_000
            self.protocol.received(connection, self.now, message)

    def pass_time(self, ns: int) -> None:
        end = self.now + ns
        while self.protocol.next_due <= end:
            self.now = max(self.now, self.protocol.next_due)
            self.protocol.tick(self.now)
        self.now = end

    def events(self) -> list[DomainEvent]:
        frames = self.protocol.frames()
        self.frames += frames
        return [event for frame in frames for event in self.decoder.decode(frame)]

    def trade_ids(self) -> list[int | str]:
        return [event.trade_id for event in self.events() if isinstance(event, TradeEvent)]
