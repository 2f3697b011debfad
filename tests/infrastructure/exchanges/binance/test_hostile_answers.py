"""Answers that make no sense: about pairs of orders, in headers, and pages that never end."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from mutating import mutated
from virtual_time import VirtualWall, run

from tickdeck.application.ports import OrderPair
from tickdeck.domain.values import Side
from tickdeck.errors import ExchangeError, ProtocolError, RateLimited
from tickdeck.infrastructure.exchanges.binance.http import Answer
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, HttpRequest

D = Decimal
EPOCH = 1_790_000_000_000_000_000
PAIR = OrderPair(
    client_order_id="p",
    target_id="t",
    stop_id="s",
    symbol="BTCUSDT",
    side=Side.SELL,
    quantity=D(1),
    target=D(110),
    stop=D(90),
)
CALLS: tuple[Callable[[BinanceExchange], Awaitable[Any]], ...] = (
    lambda exchange: exchange.place_pair(PAIR),
    lambda exchange: exchange.cancel_pair("BTCUSDT", "p"),
    lambda exchange: exchange.pair("p"),
)
LIST = {
    "orderListId": 1,
    "listClientOrderId": "p",
    "listOrderStatus": "EXECUTING",
    "symbol": "BTCUSDT",
    "orders": [{"symbol": "BTCUSDT", "orderId": 1, "clientOrderId": "t"}],
    "transactionTime": 1,
}
HEADERS = ("x-mbx-used-weight-1m", "x-mbx-order-count-10s", "retry-after")
VALUES = ("1", "-1", "x", "", "²", "9" * 400, "1e9", "3.5")


class Venue:
    """Answers every request with what ``make`` returns, but the time with the time."""

    def __init__(self, make: Callable[[], Answer]) -> None:
        self.make = make
        self.clock = VirtualWall(EPOCH)
        self.sent: list[HttpRequest] = []
        self.exchange = BinanceExchange(HmacKey("k", "s"), clock=self.clock, http=self)

    async def send(self, request: HttpRequest) -> Answer:
        if request.target == "/api/v3/time":
            return Answer(200, {}, json.dumps({"serverTime": self.clock.time_ns() // 10**6}).encode())
        self.sent.append(request)
        return self.make()

    async def close(self) -> None:
        pass


def test_any_answer_about_a_pair_is_a_result_or_an_error_of_the_tree() -> None:
    rng = random.Random(11)

    def make() -> Answer:
        headers = {name: rng.choice(VALUES) for name in HEADERS if rng.random() < 0.3}
        body = mutated(json.dumps(LIST).encode(), rng)
        return Answer(rng.choice((200, 200, 200, 400, 418, 429, 500)), headers, body)

    for _ in range(600):
        venue, call = Venue(make), rng.choice(CALLS)

        async def attempt(venue: Venue = venue, call: Callable[[BinanceExchange], Awaitable[Any]] = call) -> None:
            with contextlib.suppress(ExchangeError):
                await call(venue.exchange)

        run(attempt())
        assert len([request for request in venue.sent if request.method != "GET"]) <= 1


def test_pages_of_fills_that_do_not_advance_are_a_protocol_error() -> None:
    row = {"symbol": "BTCUSDT", "id": 5, "orderId": 1, "price": "1", "qty": "1", "isBuyer": True, "isMaker": True}
    page = json.dumps([row | {"time": 1}] * 1_000).encode()
    venue = Venue(lambda: Answer(200, {}, page))
    with pytest.raises(ProtocolError, match="do not advance"):
        run(venue.exchange.fills("BTCUSDT"))
    assert len(venue.sent) <= 2


@pytest.mark.parametrize("wait", ["²", "x", "-5", "", "9" * 400])
def test_an_unreadable_wait_counts_as_a_minute(wait: str) -> None:
    venue = Venue(lambda: Answer(429, {"retry-after": wait}, b'{"code":-1003,"msg":"too many"}'))
    with pytest.raises(RateLimited) as caught:
        run(venue.exchange.place_pair(PAIR))
    assert caught.value.wait == 60
