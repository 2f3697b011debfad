"""The venue's matching engine by itself: two orders placed per cancel."""

from __future__ import annotations

import random
from decimal import Decimal

from tickdeck.infrastructure.venue.matching import Market, MatchingEngine, NewOrder
from tickdeck.interfaces.bench.session import Figures, Session, timed

__all__ = ["matching"]

_STEP = Decimal("0.00001")
_TICK = Decimal("0.01")


def matching(*, count: int) -> Session:
    """Place ``count`` orders, and cancel half as many."""
    rng = random.Random("matching")
    requests = []
    for number in range(count):
        is_buy = rng.random() < 0.5
        ticks = rng.randint(-300, 10) if is_buy else rng.randint(-10, 300)
        requests.append(
            NewOrder(
                account=rng.choice("ab"),
                symbol="BTCUSDT",
                is_buy=is_buy,
                quantity=rng.randint(100, 10_000) * _STEP,
                price=60_000 + ticks * _TICK,
                client_id=f"c{number}",
            )
        )

    def run() -> Figures:
        engine = MatchingEngine([Market(symbol="BTCUSDT", base="BTC", quote="USDT", max_orders=10**9)])
        for account in "ab":
            engine.deposit(account, "USDT", Decimal(10) ** 12)
            engine.deposit(account, "BTC", Decimal(10) ** 9)
        operations = trades = 0
        earlier = None
        with timed() as seconds:
            for number, request in enumerate(requests):
                order = engine.place(request, number)
                operations += 1
                if number & 1:
                    chosen = order if order.working else earlier
                    if chosen is not None and chosen.working:
                        engine.cancel(chosen.account, "BTCUSDT", number, number=chosen.number)
                        operations += 1
                earlier = order
                if number % 64 == 0:
                    trades += len(engine.drain())
                    engine.take_changed_levels("BTCUSDT")
        return {"value": operations / seconds(), "executions": trades}

    return run
