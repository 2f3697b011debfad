"""Seeded market data for measurements: the same for Tickdeck, the ceilings and the peers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.events import TickEvent, TradeEvent
from tickdeck.domain.values import Side

__all__ = ["START_MS", "SYMBOL", "Print", "prints", "ticks", "trades", "write_trades_csv"]

SYMBOL = "BTCUSDT"
START_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z, in ms."""


class Print(NamedTuple):
    """A trade in integers: ``price`` in cents, ``quantity`` in units of 0.00001, ``time`` in ms UTC."""

    number: int
    price: int
    quantity: int
    time: int
    buyer_is_maker: bool


def prints(count: int, seed: int = 1) -> Iterator[Print]:
    """A random walk from 60,000, with about a hundred trades per second."""
    rng = random.Random(seed)
    price, time = 6_000_000, START_MS
    for number in range(1, count + 1):
        price = max(price + rng.choice((-200, -100, -10, 0, 0, 10, 100, 200)), 100)
        time += rng.randrange(21)
        yield Print(number, price, rng.randrange(100, 50_000), time, rng.random() < 0.5)


def trades(count: int, seed: int = 1) -> Iterator[TradeEvent]:
    """``prints`` as events."""
    for p in prints(count, seed):
        yield TradeEvent(
            symbol=SYMBOL,
            price=Decimal(p.price).scaleb(-2),
            quantity=Decimal(p.quantity).scaleb(-5),
            side=Side.SELL if p.buyer_is_maker else Side.BUY,
            trade_id=p.number,
            ts=p.time * 1_000_000,
            ts_ingress=p.time * 1_000_000,
            source="bench",
        )


def ticks(count: int, seed: int = 1) -> Iterator[TickEvent]:
    """Best bid and ask around the prices of ``prints``."""
    for p in prints(count, seed):
        bid = Decimal(p.price).scaleb(-2)
        quantity = Decimal(p.quantity).scaleb(-5)
        yield TickEvent(
            symbol=SYMBOL,
            bid_price=bid,
            bid_quantity=quantity,
            ask_price=bid + Decimal("0.01"),
            ask_quantity=quantity,
            update_id=p.number,
            ts=p.time * 1_000_000,
            ts_ingress=p.time * 1_000_000,
            source="bench",
        )


def write_trades_csv(path: Path, count: int, seed: int = 1) -> None:
    """``prints`` in the layout of Binance's public spot ``trades`` files."""
    with path.open("w", encoding="ascii") as file:
        for p in prints(count, seed):
            price, quantity = Decimal(p.price).scaleb(-2), Decimal(p.quantity).scaleb(-5)
            maker = "True" if p.buyer_is_maker else "False"
            file.write(f"{p.number},{price:.8f},{quantity:.8f},{price * quantity:.8f},{p.time},{maker},True\n")
