"""A paper venue with its agenda, and the events to feed it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tickdeck.application.kernel import Agenda
from tickdeck.domain.events import (
    DomainEvent,
    MarketEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    TickEvent,
    TradeEvent,
    VenueFillReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import Side, TimeInForce
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.paper.venue import PaperConfig

D = Decimal


BUY, SELL = Side.BUY, Side.SELL


BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=D("0.01"),
    lot_size=D("0.001"),
    min_quantity=D("0.001"),
    min_notional=D(5),
)


ETH = Instrument(symbol="ETHUSDT", base="ETH", quote="USDT", tick_size=D("0.01"), lot_size=D("0.001"))


FEED, SEND, ACK = 10, 20, 30


T0 = 1_000_000


RICH = {"USDT": D(100_000), "BTC": D(10)}


class Desk:
    """A paper venue, its agenda, and its reports."""

    def __init__(self, seed: int = 1, instruments: Sequence[Instrument] = (BTC, ETH), **config: Any) -> None:
        settings = {
            "feed_latency_ns": FEED,
            "order_latency_ns": SEND,
            "ack_latency_ns": ACK,
            "jitter_ns": 0,
            "balances": RICH,
        }
        self.agenda = Agenda()
        self.now = T0
        self.reports: list[Any] = []
        self.venue = PaperVenue(
            config=PaperConfig(**(settings | config)),
            instruments={i.symbol: i for i in instruments},
            seed=seed,
            schedule=self.agenda.at,
            report=self._reported,
        )

    def _reported(self, event: DomainEvent) -> None:
        assert event.ts_ingress == self.now, "a report comes when it is due"
        self.reports.append(event)

    def run_to(self, now: int) -> None:
        while (entry := self.agenda.pop(now)) is not None:
            self.now = entry[0]
            entry[1]()
        self.now = now

    def market(self, event: MarketEvent) -> None:
        self.run_to(event.ts_ingress)
        self.venue.on_market(event)

    def settle(self) -> list[Any]:
        self.run_to(self.now + 10**9)
        return self.reports

    def briefs(self) -> list[tuple[str, ...]]:
        return [brief(r) for r in self.settle()]


def brief(report: Any) -> tuple[str, ...]:
    """A fill as (order, "fill", price, quantity), a report as (order, status, filled)."""
    if isinstance(report, VenueFillReported):
        return (report.order_id, "fill", str(report.price), str(report.quantity))
    return (report.order_id, report.status.value, str(report.filled))


def tick(ts: int, bid: str = "99", ask: str = "101", quantity: str = "5", symbol: str = "BTCUSDT") -> TickEvent:
    return TickEvent(
        symbol=symbol,
        bid_price=D(bid),
        bid_quantity=D(quantity),
        ask_price=D(ask),
        ask_quantity=D(quantity),
        ts=ts - FEED,
        ts_ingress=ts,
    )


def trade(ts: int, price: str, quantity: str, side: Side) -> TradeEvent:
    return TradeEvent(symbol="BTCUSDT", price=D(price), quantity=D(quantity), side=side, ts=ts - FEED, ts_ingress=ts)


def order(
    name: str = "a",
    side: Side = BUY,
    quantity: str = "1",
    limit: str | None = None,
    ts: int = T0,
    tif: TimeInForce = TimeInForce.GTC,
    symbol: str = "BTCUSDT",
    account_id: str = "main",
) -> OrderSubmittedEvent:
    return OrderSubmittedEvent(
        order_id=name,
        symbol=symbol,
        side=side,
        quantity=D(quantity),
        limit=None if limit is None else D(limit),
        time_in_force=tif,
        account_id=account_id,
        event_id=f"7-{name}",
        correlation_id="7",
        ts_ingress=ts,
    )


def cancel(name: str = "a", ts: int = T0, symbol: str = "BTCUSDT") -> OrderCancelRequestedEvent:
    return OrderCancelRequestedEvent(
        order_id=name, symbol=symbol, event_id=f"9-{name}", correlation_id="9", ts_ingress=ts
    )
