"""Converts sizes that count contracts to quantities of the base currency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TypeVar

from msgspec.structs import replace

from tickdeck.domain.events import (
    CandleEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import MarketRecord
from tickdeck.domain.values import Level

__all__ = ["in_base_currency"]


M = TypeVar("M", bound=MarketRecord)


def in_base_currency(events: Iterable[M], sizes: Mapping[str, Decimal]) -> Iterator[M]:
    """``events`` with the quantities of each symbol in ``sizes`` multiplied by the value of one contract (base)."""
    for event in events:
        size = sizes.get(event.symbol)
        yield event if size is None else _scaled(event, size)


def _scaled(event: M, size: Decimal) -> M:
    if isinstance(event, TradeEvent):
        return replace(event, quantity=event.quantity * size)
    if isinstance(event, TickEvent):
        return replace(event, bid_quantity=event.bid_quantity * size, ask_quantity=event.ask_quantity * size)
    if isinstance(event, CandleEvent):
        return replace(event, volume=event.volume * size)
    if isinstance(event, (OrderBookEvent, OrderBookDeltaEvent)):
        return replace(event, bids=_levels(event.bids, size), asks=_levels(event.asks, size))
    return event


def _levels(levels: tuple[Level, ...], size: Decimal) -> tuple[Level, ...]:
    return tuple((price, quantity * size) for price, quantity in levels)
