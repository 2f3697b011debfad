"""The path of an order within the process: from the strategy's decision until its signed request is ready to leave."""

from __future__ import annotations

import asyncio
import statistics
import time
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from tickdeck.application.engines import VenueGateway
from tickdeck.application.kernel import Kernel
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.new_run import prepare
from tickdeck.domain.events import (
    DomainEvent,
    OrderSubmittedEvent,
    RunStarted,
    TickEvent,
    VenueBalanceReported,
    VenueInstrumentReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import TimeInForce
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.exchanges.binance.http import Answer
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, HttpRequest
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.resilience import RateLimiter, WeightLimit
from tickdeck.infrastructure.tape import InMemoryEventStore, SqliteTape
from tickdeck.interfaces.bench.samples import SYMBOL, ticks
from tickdeck.interfaces.bench.session import Figures, Session
from tickdeck.interfaces.bench.tape import Folders, bare_units

__all__ = ["EachTick", "order_path"]

_LEAD_IN = 50  # orders that do not count
_BARE = 400


class EachTick(Strategy):
    """Sells at the bid of each tick, immediately or not at all."""

    def on_start(self) -> None:
        self.decided = 0

    def on_tick(self, tick: TickEvent) -> None:
        self.decided = time.perf_counter_ns()
        self.sell(tick.symbol, Decimal("0.001"), limit=tick.bid_price, time_in_force=TimeInForce.IOC)


class _Wire:
    """Takes a signed request instead of a socket, notes when, and answers that the order has expired."""

    def __init__(self) -> None:
        self.ready = 0
        self.left = asyncio.Event()

    async def send(self, request: HttpRequest) -> Answer:
        now = time.perf_counter_ns()
        if request.method != "POST":
            return Answer(200, {}, b'{"serverTime":%d}' % (time.time_ns() // 1_000_000))
        self.ready = now
        self.left.set()
        text = request.body or request.target.partition("?")[2]
        order = {name: values[0] for name, values in parse_qs(text).items()}
        body = {
            "symbol": SYMBOL, "orderId": now, "orderListId": -1, "clientOrderId": order["newClientOrderId"],
            "transactTime": time.time_ns() // 1_000_000, "price": order["price"], "origQty": order["quantity"],
            "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "EXPIRED",
            "timeInForce": "IOC", "type": "LIMIT", "side": "SELL", "fills": [],
        }  # fmt: skip
        return Answer(200, {}, msgspec.json.encode(body))

    async def close(self) -> None:
        """There is no connection."""


def order_path(*, count: int, durable: bool, folder: str) -> Session:
    """The median time (us) of ``count`` orders, one after the other, with the tape in memory or on disk.

    The ceiling on disk: a bare commit of the rows that the tape stores before such an order leaves.
    """
    folders = Folders(folder)

    def session() -> Figures:
        place = folders.fresh()
        took, cascades = asyncio.run(_send(count, place / "tape.db" if durable else None))
        took.sort()
        figures = {"value": statistics.median(took), "p99": took[int(len(took) * 0.99)]}
        return figures | ({"ceiling": bare_units(place / "bare.db", cascades)} if durable else {})

    return session


def _no_limits(clock: SystemClock) -> RateLimiter:
    """The windows of the venue, which never fill up."""
    names = (("weight", 60), ("requests", 300), ("orders", 10), ("orders", 86_400))
    return RateLimiter("bench", [WeightLimit(name=n, limit=1 << 40, seconds=s) for n, s in names], clock=clock)


def _listed(instrument: Instrument) -> VenueInstrumentReported:
    """What a venue reports about an instrument when a run with real orders begins."""
    return VenueInstrumentReported(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        status="trading",
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        min_quantity=instrument.min_quantity,
        min_notional=instrument.min_notional,
        source="bench",
    )


async def _send(count: int, path: Path | None) -> tuple[list[float], list[list[DomainEvent]]]:
    """The times (us) of the orders, and the newest cascades that ended with an order."""
    wire, clock, big = _Wire(), SystemClock(), Decimal(10) ** 12
    limits = RiskLimits(max_order_notional=big, max_position_notional=big, max_daily_loss=big)
    spec = f"{__name__}:{EachTick.__name__}"
    config = RunConfig(strategies=(StrategyConfig(spec=spec),), symbols=(SYMBOL,), risk=limits, live=False)
    config, manifest, strategies = prepare(config)
    tape: Any = InMemoryEventStore() if path is None else SqliteTape(path)
    kernel = Kernel(tape=tape, wall_now=clock.time_ns, clock=clock)
    core = Core(config, manifest, strategies, kernel)
    exchange = BinanceExchange(HmacKey("key", "secret"), http=wire, clock=clock, limits=_no_limits(clock))
    await exchange.clock_offset()
    venue = ExchangeVenue(
        exchange, account_id="main", user_id="", clock=clock, publish=kernel.publish, orders=core.execution.orders
    )
    gateway = VenueGateway(core.accounts[0].bus, venue)
    strategy = strategies[0][1]
    assert isinstance(strategy, EachTick)
    kernel.feed(RunStarted(strategies=("EachTick",), symbols=(SYMBOL,), seed=1, ts=clock.time_ns()))
    kernel.feed(_listed(core.instruments.instrument(SYMBOL)))
    kernel.feed(VenueBalanceReported(currency="BTC", total=big, source="bench"))
    took: list[float] = []
    for tick in ticks(count + _LEAD_IN):
        wire.left.clear()
        now = clock.time_ns()
        kernel.feed(msgspec.structs.replace(tick, ts=now, ts_ingress=now), record=False)
        await wire.left.wait()
        took.append((wire.ready - strategy.decided) / 1e3)
        await gateway.idle()
    cascades = [list(cascade) for _, cascade in groupby(tape.read(), lambda event: event.event_id.partition("-")[0])]
    tape.close()
    return took[_LEAD_IN:], [one for one in cascades if isinstance(one[-1], OrderSubmittedEvent)][-_BARE:]
