"""Stamped events and cascades for the tests of stores."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    DomainEvent,
    OrderAcceptedEvent,
    PositionOpenedEvent,
    SignalSnapshotEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.values import Side

__all__ = ["CHILDREN", "ORDER", "OTHER", "ROOTS", "SYMBOLS", "make", "make_cascade", "orders", "trades"]

SECOND = 1_000_000_000
ORDER = "order/main/o-BTCUSDT"
OTHER = "order/main/o-ETHUSDT"


ROOTS = ("trade", "command", "timer")
CHILDREN = ("candle", "signal", "order", "position")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def make(kind: str, symbol: str, **envelope: Any) -> DomainEvent:
    if kind == "trade":
        return TradeEvent(symbol=symbol, price=Decimal("61.50"), quantity=Decimal("0.1"), side=Side.BUY, **envelope)
    if kind == "command":
        return CommandReceived(command="halt", **envelope)
    if kind == "timer":
        return TimerFired(timer_id=1, name="t", due=0, **envelope)
    if kind == "candle":
        one = Decimal(1)
        return CandleEvent(
            symbol=symbol,
            interval=1,
            open_ts=0,
            close_ts=1,
            open=one,
            high=one,
            low=one,
            close=one,
            volume=one,
            **envelope,
        )
    if kind == "signal":
        return SignalSnapshotEvent(symbol=symbol, values={"ema-12": 1.5}, **envelope)
    if kind == "order":
        return OrderAcceptedEvent(order_id=f"o-{symbol}", symbol=symbol, **envelope)
    assert kind == "position"
    return PositionOpenedEvent(
        symbol=symbol, quantity=Decimal(1), cost=Decimal(2), average_price=Decimal(2), **envelope
    )


def make_cascade(
    root: str, children: tuple[str, ...], symbol: str, *, number: int, seq: int, ts: int, correlation_id: str = ""
) -> list[DomainEvent]:
    """The stamped cascade of input ``number`` of a run. ``seq`` is that of the input."""
    story = correlation_id or str(number)
    events = [make(root, symbol, event_id=str(number), correlation_id=story, seq=seq, ts=ts, ts_ingress=ts)]
    for k, kind in enumerate(children, start=1):
        events.append(
            make(
                kind,
                symbol,
                event_id=f"{number}-{k}",
                correlation_id=story,
                causation_id=str(number),
                seq=seq + k,
                ts=ts,
                ts_ingress=ts,
            )
        )
    return events


def trades(count: int, first_seq: int = 1) -> list[list[DomainEvent]]:
    return [
        make_cascade("trade", (), "BTCUSDT", number=seq, seq=seq, ts=seq * SECOND)
        for seq in range(first_seq, first_seq + count)
    ]


def orders(*seqs: int) -> list[DomainEvent]:
    return [make("order", "BTCUSDT", seq=seq, event_id=str(seq)) for seq in seqs]
