"""What happens when events arrive faster than a handler takes them: throttles, conflation, overflow policies."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from bus_kit import Note, tick, trade

from tickdeck import (
    Block,
    ConfigError,
    Conflate,
    DomainEvent,
    DropOldest,
    HandlerFailed,
    InMemoryEventBus,
    Kernel,
    OrderFilledEvent,
    Retry,
    Throttle,
    TickEvent,
    TradeEvent,
    TradingHalted,
)
from tickdeck.infrastructure.tape import NullTape


def test_a_throttled_handler_receives_one_event_per_key_and_interval_of_event_time() -> None:
    bus, heard = InMemoryEventBus(), list[tuple[str, int]]()
    bus.subscribe(TradeEvent, lambda e: heard.append((e.symbol, e.ts)), overflow=Throttle(100))

    for ts in (0, 50, 99, 100, 150, 260):
        bus.publish_all([trade(ts=ts + 1), trade("ETHUSDT", ts=ts + 1)])

    assert [ts for symbol, ts in heard if symbol == "BTCUSDT"] == [1, 101, 261]
    assert len(heard) == 6
    assert bus.statistics().dropped == {"market.trade": 6}


def test_conflation_keeps_the_newest_of_each_key_for_a_slow_edge() -> None:
    async def run() -> list[str]:
        bus, heard = InMemoryEventBus(), list[str]()

        async def slow(event: TickEvent) -> None:
            heard.append(f"{event.symbol} {event.bid_price}")
            await asyncio.sleep(0)

        bus.subscribe(TickEvent, slow, overflow=Conflate("symbol"))
        bus.publish_all([tick("1"), tick("2"), tick("5", "ETHUSDT"), tick("3")])
        await bus.drain()
        assert bus.statistics().dropped == {"market.tick": 2}
        return heard

    assert asyncio.run(run()) == ["BTCUSDT 3", "ETHUSDT 5"]


def test_drop_oldest_drops_the_oldest_event() -> None:
    async def run() -> list[Decimal]:
        bus, heard = InMemoryEventBus(), list[Decimal]()

        async def edge(event: TickEvent) -> None:
            heard.append(event.bid_price)

        bus.subscribe(TickEvent, edge, overflow=DropOldest(), mailbox=2)
        bus.publish_all([tick("1"), tick("2"), tick("3")])
        await bus.drain()
        return heard

    assert asyncio.run(run()) == [2, 3]


@pytest.mark.parametrize("topic", [OrderFilledEvent, "order.*", "*", "position.updated", "risk.*", "market.*"])
@pytest.mark.parametrize("policy", [DropOldest(), Conflate("symbol"), Throttle(5)])
def test_lossy_policies_are_refused_on_anything_but_market_data(topic: Any, policy: Any) -> None:
    async def edge(event: DomainEvent) -> None: ...

    with pytest.raises(ConfigError, match=r"lossy|lose"):
        InMemoryEventBus().subscribe(topic, edge, overflow=policy)


def test_options_that_do_not_fit_the_handler_are_refused() -> None:
    async def edge(event: DomainEvent) -> None: ...

    bus = InMemoryEventBus()
    with pytest.raises(ConfigError, match="sockets"):
        bus.subscribe(TickEvent, edge, overflow=Block())
    with pytest.raises(ConfigError, match="is a plain handler"):
        bus.subscribe(TickEvent, lambda e: None, overflow=DropOldest())
    with pytest.raises(ConfigError, match="is a plain handler"):
        bus.subscribe(TickEvent, lambda e: None, retry=Retry())
    with pytest.raises(ConfigError, match="attempts"):
        Retry(attempts=0)
    with pytest.raises(ConfigError, match="backoff"):
        Retry(backoff=-1.0)
    with pytest.raises(ConfigError, match="needs a clock"):
        InMemoryEventBus(measure=True)


def test_a_run_halts_when_an_edge_falls_behind_by_a_whole_mailbox() -> None:
    async def run() -> None:
        kernel, halts, left_out = Kernel(tape=NullTape()), list[DomainEvent](), list[int]()

        async def edge(event: Note) -> None: ...

        kernel.subscribe(Note, edge, mailbox=2, name="narrow", refused=lambda e: left_out.append(e.n))
        kernel.subscribe(TradingHalted, halts.append)
        for n in range(5):
            kernel.publish(Note(n=n))
        await kernel.drain()

        assert kernel.halted
        assert len(halts) == 1
        assert "narrow" in halts[0].payload["reason"]
        assert left_out == [2, 3, 4]

    asyncio.run(run())


def test_a_full_mailbox_accepts_events_again_and_reports_each_overflow() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Note) -> None:
            heard.append(event.n)

        bus.subscribe(Note, edge, mailbox=1)
        with bus.collect(HandlerFailed) as failures:
            for _ in range(2):
                bus.publish_all([Note(n=1), Note(n=2), Note(n=3)])
                await bus.drain()
        assert heard == [1, 1]
        assert len(failures) == 2
        assert bus.statistics().dropped == {"bustest.note": 4}

    asyncio.run(run())


def test_a_throttle_uses_the_clock_of_the_bus_for_events_without_a_time() -> None:
    class Clock:
        now = 1_000

        def monotonic_ns(self) -> int:
            return self.now

        async def sleep(self, seconds: float) -> None:
            raise NotImplementedError

    clock, heard = Clock(), list[DomainEvent]()
    bus, without = InMemoryEventBus(clock=clock, stamp=False), InMemoryEventBus(stamp=False)
    bus.subscribe(TradeEvent, heard.append, overflow=Throttle(100))
    without.subscribe(TradeEvent, heard.append, overflow=Throttle(100))

    for clock.now in (1_000, 1_050, 1_100):
        bus.publish(trade(ts=0))
    without.publish(trade(ts=0))

    assert len(heard) == 2
    assert without.statistics().failures == 1  # reported, not lost silently
