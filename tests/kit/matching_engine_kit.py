"""Shared by the tests of the venue's matching engine: a market, funded accounts, and orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tickdeck.infrastructure.venue.matching import (
    Market,
    MatchingEngine,
    NewOrder,
    Order,
    OrderRefused,
    Refusal,
    Type,
)

D = Decimal
BTC = Market(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=D(1),
    step_size=D("0.1"),
    min_quantity=D("0.1"),
    min_notional=D(1),
)
ids = iter(range(1_000_000))


def engine(**market: Any) -> MatchingEngine:
    venue = MatchingEngine([msgspec.structs.replace(BTC, **market)])
    for account in ("ann", "bob", "cyd"):
        venue.deposit(account, "USDT", D(10_000))
        venue.deposit(account, "BTC", D(100))
    return venue


def place(
    venue: MatchingEngine, account: str, side: str, quantity: str, price: str | None = None, **more: Any
) -> Order:
    more.setdefault("type", Type.LIMIT if price is not None else Type.MARKET)
    return venue.place(
        NewOrder(
            account=account,
            symbol="BTCUSDT",
            is_buy=side == "buy",
            quantity=D(quantity),
            price=D(price) if price is not None else None,
            client_id=more.pop("client_id", f"c{next(ids)}"),
            **more,
        ),
        1,
    )


def refusal(call: Any, *args: Any, **kwargs: Any) -> Refusal:
    with pytest.raises(OrderRefused) as refused:
        call(*args, **kwargs)
    return refused.value.reason
