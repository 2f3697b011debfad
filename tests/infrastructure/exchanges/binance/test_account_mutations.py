"""Mutated answers and private messages of Binance give typed errors and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from many_examples import MANY
from mutating import mutated
from virtual_time import VirtualWall, run

from tickdeck.application.ports import Balance, OrderFill, OrderRequest, OrderResult
from tickdeck.domain.events import DomainEvent, VenueBalanceReported
from tickdeck.domain.values import Side
from tickdeck.errors import ExchangeError, ProtocolError
from tickdeck.infrastructure.exchanges.binance.documents import decode_document
from tickdeck.infrastructure.exchanges.binance.http import Answer
from tickdeck.infrastructure.exchanges.binance.mappers.user_stream import user_message
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, HttpRequest
from tickdeck.infrastructure.exchanges.venue_reports import VenueReports

LONGEST = 20_000  # bytes of a payload; a list of all instruments would take all the time


def payloads(shared: Path, pattern: str) -> list[bytes]:
    """The recorded messages and bodies of the files that match, without what the recorders added."""
    found: list[bytes] = []
    for path in sorted((shared / "exchanges" / "binance").glob(pattern)):
        text = path.read_text()
        for document in text.splitlines()[:20] if path.suffix == ".jsonl" else [text]:
            body = json.loads(document)
            for wrapper in ("msg", "response", "body"):
                if isinstance(body, dict) and isinstance(body.get(wrapper), dict | list):
                    body = body[wrapper]
            found.append(json.dumps(body, separators=(",", ":")).encode())
    return [body for body in found if len(body) < LONGEST]


def fuzz_documents(shared: Path, count: int) -> None:
    rng, bodies = random.Random(1), payloads(shared, "*_*")
    refused = 0
    for _ in range(count):
        try:
            assert decode_document(mutated(rng.choice(bodies), rng), symbol="BNBBTC")
        except ProtocolError:
            refused += 1
    assert 0 < refused < count


def fuzz_private_messages(shared: Path, count: int) -> None:
    rng = random.Random(2)
    bodies = [body for body in payloads(shared, "*_*") if b"executionReport" in body or b"outboundAccount" in body]
    refused = 0
    for _ in range(count):
        try:
            message = user_message(mutated(rng.choice(bodies), rng), 1)
        except ProtocolError:
            refused += 1
        else:
            assert all(isinstance(event, DomainEvent) for event in message.events)
    assert 0 < refused < count


class _Damaged:
    """A client whose answers are damaged: mostly the bodies of such a request, some with an HTTP status of their own.
    ``bodies`` by a part of their path; "" are those of any request."""

    def __init__(self, bodies: dict[str, list[bytes]], rng: random.Random) -> None:
        self._bodies, self._rng = bodies, rng

    async def send(self, request: HttpRequest) -> Answer:
        rng = self._rng
        if request.target == "/api/v3/time" and rng.random() < 0.9:
            return Answer(200, {}, b'{"serverTime":1}')
        headers = {"retry-after": rng.choice(["1", "x", ""]), "x-mbx-used-weight-1m": rng.choice(["5", "-1", "x"])}
        status = rng.choice((200, 200, 200, 400, 418, 429, 500, 503))
        kind = next(kind for kind in self._bodies if kind in request.target)
        body = rng.choice(self._bodies[kind if rng.random() < 0.7 else ""])
        return Answer(status, headers, mutated(body, rng) if rng.random() < 0.9 else body)

    async def close(self) -> None:
        pass


def reported(answer: Any) -> None:
    """What can be read can be reported to the core."""
    reports = VenueReports("binance", account_id="a", user_id="", clock=VirtualWall(1), publish=lambda _: None)
    for found in answer if isinstance(answer, tuple) else (answer,):
        match found:
            case OrderResult():
                reports.result(found, "a")
            case OrderFill():
                reports.fill(found, "a")
            case Balance():
                reports.make(VenueBalanceReported, currency=found.currency, total=found.total, locked=found.locked)


def fuzz_answers(shared: Path, count: int) -> None:
    rng = random.Random(3)
    any_body = [*payloads(shared, "*_rest_*"), *payloads(shared, "nt_*_response.json"), b'{"code":-2013,"msg":"none"}']
    bodies = {
        "openOrders": payloads(shared, "*open*orders*.json"),
        "myTrades": payloads(shared, "*trades*.json"),
        "account": payloads(shared, "*account_response.json"),
        "exchangeInfo": payloads(shared, "*exchange*info*.json"),
        "time": payloads(shared, "*time_response.json"),
        "order": payloads(shared, "*order*.json"),
        "": any_body,
    }
    assert all(bodies.values())
    order = OrderRequest(client_order_id="a", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1), limit=Decimal(10))
    calls: list[Callable[[BinanceExchange], Awaitable[Any]]] = [
        lambda exchange: exchange.place(order),
        lambda exchange: exchange.cancel("BTCUSDT", client_order_id="a"),
        lambda exchange: exchange.amend("BTCUSDT", quantity=Decimal(1), limit=Decimal(10), client_order_id="a"),
        lambda exchange: exchange.order("BTCUSDT", client_order_id="a"),
        lambda exchange: exchange.open_orders("BTCUSDT"),
        lambda exchange: exchange.fills("BTCUSDT"),
        lambda exchange: exchange.balances(),
        lambda exchange: exchange.instruments(),
        lambda exchange: exchange.server_time(),
    ]
    refused = 0

    async def work() -> None:
        nonlocal refused
        for n in range(count):
            if n % 20 == 0:  # before its breaker and its limits refuse everything
                clock = VirtualWall(1_790_000_000_000_000_000)
                exchange = BinanceExchange(HmacKey("key", "secret"), clock=clock, http=_Damaged(bodies, rng))
            try:
                reported(await rng.choice(calls)(exchange))
            except ExchangeError:
                refused += 1

    run(work())
    assert 0 < refused <= count


FUZZ = pytest.mark.parametrize("fuzz", [fuzz_documents, fuzz_private_messages, fuzz_answers])


@FUZZ
def test_damaged_answers_give_typed_errors_only(shared: Path, fuzz: Callable[[Path, int], None]) -> None:
    fuzz(shared, 2_000)


@pytest.mark.slow
@FUZZ
def test_very_many_damaged_answers_give_typed_errors_only(shared: Path, fuzz: Callable[[Path, int], None]) -> None:
    fuzz(shared, MANY // 10 if fuzz is fuzz_answers else MANY)
