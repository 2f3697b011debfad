"""Stamped events for the tests of tapes, and a linger that never ends."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, TradeEvent
from tickdeck.domain.values import Side

NEVER = 1e9
"""A linger in ms that outlasts every test: only a caller that waits causes a commit."""


def trade(seq: int, **fields: Any) -> DomainEvent:
    """A trade that is input number ``seq``."""
    fields = {"event_id": str(seq), "correlation_id": str(seq), "ts_ingress": seq, **fields}
    return TradeEvent(symbol="BTCUSDT", price=Decimal(1), quantity=Decimal(1), side=Side.BUY, seq=seq, **fields)


def order(seq: int, order_id: str = "a", **fields: Any) -> DomainEvent:
    """An event in the stream of an order, derived from input number ``seq``."""
    fields = {"event_id": f"{seq}-1", "correlation_id": str(seq), "ts_ingress": seq, **fields}
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT", seq=seq, **fields)
