"""An exchange that answers what a test says, and the run's venue on it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import virtual_time
from virtual_time import VirtualWall

from tickdeck.application.ports import (
    Balance,
    ExchangeCapabilities,
    InstrumentStatus,
    ListedInstrument,
    OrderFill,
    OrderRequest,
    OrderResult,
)
from tickdeck.domain.events import DomainEvent, FeedConnected, OrderSubmittedEvent, VenueOrderReported
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue

START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
ACCEPTED, FILLED, REJECTED, UNKNOWN = (
    OrderStatus.ACCEPTED,
    OrderStatus.FILLED,
    OrderStatus.REJECTED,
    OrderStatus.UNKNOWN,
)

CONNECTED = FeedConnected(feed="binance-private")
BTCUSDT = Instrument(symbol="BTCUSDT", base="BTC", quote="USDT", tick_size=Decimal("0.01"), lot_size=Decimal("0.001"))


def submitted(**changes: Any) -> OrderSubmittedEvent:
    fields = {
        "order_id": "t1", "symbol": "BTCUSDT", "account_id": "main", "side": Side.BUY, "quantity": Decimal("0.5"),
        "limit": Decimal(60_000), "strategy_id": "s", "event_id": "7-1", "correlation_id": "7", "ts_ingress": START,
    }  # fmt: skip
    return OrderSubmittedEvent(**(fields | changes))


def result(status: OrderStatus | None = ACCEPTED, **changes: Any) -> OrderResult:
    fields = {
        "client_order_id": "t1", "symbol": "BTCUSDT", "venue_order_id": "99", "status": status, "raw_status": "NEW",
        "side": Side.BUY, "quantity": Decimal("0.5"), "ts": START,
    }  # fmt: skip
    return OrderResult(**(fields | changes))


def fill(number: str = "1", quantity: str = "0.5", order: str = "99") -> OrderFill:
    return OrderFill(
        symbol="BTCUSDT", venue_order_id=order, venue_trade_id=number, side=Side.BUY, price=Decimal(60_000),
        quantity=Decimal(quantity), fee=Decimal("0.0005"), fee_currency="BTC", ts=START,
    )  # fmt: skip


def order(order_id: str = "t1", **changes: Any) -> Any:
    """An order as the core keeps it, as far as the venue looks at it."""
    state = {
        "status": ACCEPTED,
        "filled": Decimal(0),
        "missing": Decimal(0),
        "venue_order_id": "",
        "is_open": True,
        "is_taken_for_dead": False,
        "unanswered_amends": {},
    }
    return SimpleNamespace(order_id=order_id, symbol="BTCUSDT", **(state | changes))


class Scripted:
    """An exchange that answers what a test says: a value is returned, an error raised. The last answer of a call is
    given again and again."""

    name = "binance"
    capabilities = ExchangeCapabilities(in_flight=15 * SECOND, query_lag=60 * SECOND)

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = {"open_orders": [()], "fills": [()], "fills_of": [()], "balances": [()]} | answers
        self.clock = VirtualWall(START)
        self.ahead = 0  # by how much the exchange's clock is ahead (ns)
        self.asked: list[str] = []
        self.listed: tuple[ListedInstrument, ...] = ()
        self.placed: list[OrderRequest] = []
        self.stream: asyncio.Queue[DomainEvent] = asyncio.Queue()

    def _answer(self, call: str) -> Any:
        self.asked.append(call)
        answers = self.answers[call]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def place(self, order: OrderRequest) -> OrderResult:
        self.placed.append(order)
        answer: OrderResult = self._answer("place")
        return answer

    async def cancel(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> Any:
        return self._answer("cancel")

    async def amend(self, symbol: str, **_: Any) -> Any:
        return self._answer("amend")

    async def order(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> Any:
        return self._answer("order_by_number" if venue_order_id else "order")

    async def open_orders(self, symbol: str | None = None) -> Any:
        return self._answer("open_orders")

    async def fills(self, symbol: str, *, since: int = 0, after: str = "", venue_order_id: str = "") -> Any:
        return self._answer("fills_of" if venue_order_id else "fills")

    async def server_time(self) -> int:
        if "server_time" in self.answers:
            self._answer("server_time")
        return self.clock.time_ns() + self.ahead

    async def instruments(self) -> Any:
        self.asked.append("instruments")
        return self.listed

    async def price(self, symbol: str) -> Any:
        return self._answer("price")

    async def balances(self) -> Any:
        return self._answer("balances")

    async def liquidations(self, symbol: str, since: int) -> Any:
        return self._answer("liquidations")

    async def transfers(self, since: int) -> Any:
        return self._answer("transfers")

    async def conversions(self, since: int) -> Any:
        return self._answer("conversions")

    async def private_events(self) -> AsyncIterator[DomainEvent]:
        while True:
            yield await self.stream.get()

    async def close(self) -> None:
        self.asked.append("close")


def play(
    exchange: Scripted, work: Callable[[ExchangeVenue], Awaitable[object]], *, seconds: float = 0, **options: Any
) -> list[DomainEvent]:
    """What the venue published while ``work`` ran and for ``seconds`` after it, on virtual time."""
    published: list[DomainEvent] = []

    async def both() -> None:
        venue = ExchangeVenue(
            exchange,  # type: ignore[arg-type]
            account_id="main",
            user_id="ops",
            clock=VirtualWall(START),
            **({"orders": {}, "publish": published.append} | options),
        )
        running = asyncio.ensure_future(venue.run())
        await work(venue)
        await asyncio.sleep(seconds)
        running.cancel()
        await venue.close()

    virtual_time.run(both())
    return published


def statuses(events: list[DomainEvent]) -> list[OrderStatus]:
    return [event.status for event in events if isinstance(event, VenueOrderReported)]


def usdt(total: int) -> tuple[Balance, ...]:
    return (Balance(currency="USDT", free=Decimal(total)),)


def reconciled(exchange: Scripted, *later: tuple[float, Any], seconds: float = 1, **options: Any) -> list[DomainEvent]:
    """What is published when the private stream connects. ``later``: after so many seconds, an event of the stream or a
    call."""
    exchange.listed = (ListedInstrument(instrument=BTCUSDT, status=InstrumentStatus.TRADING),)
    exchange.capabilities = ExchangeCapabilities(
        in_flight=0,
        query_lag=60 * SECOND,
        transfer_history="transfers" in exchange.answers,
        conversion_history="conversions" in exchange.answers,
    )

    async def work(venue: ExchangeVenue) -> None:
        await venue.connect(resumed=True)
        exchange.stream.put_nowait(CONNECTED)
        for after, what in later:
            await asyncio.sleep(after)
            what() if callable(what) else exchange.stream.put_nowait(what)

    given = {"symbols": ("BTCUSDT",), "books": {"USDT": Decimal(100)}} | options
    return play(exchange, work, seconds=seconds, **given)


def of(events: list[DomainEvent], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]
