"""Replay a run onto a bus of your own, twenty times as fast as it was, with every market price a percent higher.

    python examples/replay_to_bus.py [RUN_FOLDER]

Without a folder it records a short run first.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
from sample_run import record

from tickdeck import DomainEvent, InMemoryEventBus, Replayer, TradeEvent
from tickdeck.bootstrap import open_record
from tickdeck.infrastructure.clock import SystemClock


def shock(event: DomainEvent) -> DomainEvent | None:
    """Trades a percent higher; of all else only what is no tick."""
    if isinstance(event, TradeEvent):
        return msgspec.structs.replace(event, price=event.price * Decimal("1.01"))
    return None if event.event_type == "market.tick" else event


async def replay(folder: Path) -> None:
    bus = InMemoryEventBus()
    seen: Counter[str] = Counter()
    prices: list[Decimal] = []
    bus.subscribe("*", lambda event: seen.update([event.event_type]))
    bus.subscribe(TradeEvent, lambda trade: prices.append(trade.price))

    async def notify(event: DomainEvent) -> None:  # async handlers are waited for, so that nothing is lost
        await asyncio.sleep(0.001)

    bus.subscribe("order.filled", notify)

    replayer = Replayer(lambda: open_record(folder), SystemClock())
    statistics = await replayer.replay_onto(bus, speed=20, transform=shock)

    print(f"played {statistics.played} events and left {statistics.skipped} out")
    print(f"trades between {min(prices):.2f} and {max(prices):.2f}")
    for event_type, count in seen.most_common(3):
        print(f"{count:>7} {event_type}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else record(Path(scratch))
        asyncio.run(replay(folder))
