"""Events, and JSON Lines tapes made of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import (
    DomainEvent,
    OrderAcceptedEvent,
    TradeEvent,
)
from tickdeck.domain.values import Side
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader

NEVER = 1e9
"""A linger in ms that no test lives to see: only those who wait commit."""


def trade(seq: int, **fields: Any) -> DomainEvent:
    fields = {"event_id": str(seq), "correlation_id": str(seq), "ts_ingress": seq, **fields}
    return TradeEvent(symbol="BTCUSDT", price=Decimal(1), quantity=Decimal(1), side=Side.BUY, seq=seq, **fields)


def order(seq: int, order_id: str = "a", **fields: Any) -> DomainEvent:
    fields = {"event_id": str(seq), "correlation_id": str(seq), "ts_ingress": seq, **fields}
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT", seq=seq, **fields)


def write(path: Path, count: int, make: Callable[[int], DomainEvent] = trade, **options: Any) -> None:
    """Append ``count`` events, each in a group of its own."""
    with JsonlTape(path, linger_ms=NEVER, **options) as tape:
        for seq in range(tape.last_seq + 1, tape.last_seq + count + 1):
            tape.append([make(seq)])
            tape.wait_durable(seq)


def seqs(path: Path, **wanted: Any) -> list[int]:
    with JsonlTapeReader(path) as opened:
        return [event.seq for event in opened.read(TapeQuery(**wanted))]


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.iterdir())
