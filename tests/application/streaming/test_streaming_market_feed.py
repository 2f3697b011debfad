"""Market data as async iterators: subscribers, arguments, pace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, START, tick, trade
from market_feed_kit import ETH, FakeClock, collect, feed_of, numbers, run, trades, turns

from tickdeck.application.bus import (
    Conflate,
    InMemoryEventBus,
    Throttle,
)
from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TradeEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.simulated.market_feed import MarketFeed, MarketStream
from tickdeck.infrastructure.readers import InputFile


def test_each_subscriber_receives_its_events_in_order_until_the_data_ends() -> None:
    delta = OrderBookDeltaEvent(symbol=BTC, first_update_id=2, last_update_id=2)
    book = OrderBookEvent(symbol=BTC, last_update_id=1, bids=(), asks=())
    events = [book, trade("1"), tick("1", "2"), delta, trade("2", symbol=ETH), trade("3")]

    async def main() -> None:
        feed = feed_of(events)
        streams: list[MarketStream[Any]] = [
            feed.subscribe_trades(BTC),
            feed.subscribe_trades(BTC),
            feed.subscribe_trades(ETH),
            feed.subscribe_ticks(BTC),
            feed.subscribe_book(BTC),
        ]

        async def hear(stream: MarketStream[Any]) -> list[MarketEvent]:
            return [event async for event in stream]

        heard = await asyncio.gather(*map(hear, streams))

        assert heard == [[events[1], events[5]], [events[1], events[5]], [events[4]], [events[2]], [book, delta]]
        assert [e async for e in feed.subscribe_trades(BTC)] == []  # the data has ended

    run(main)


def test_the_loop_from_an_exchange_to_the_bus_is_three_lines() -> None:
    async def main() -> None:
        bus = InMemoryEventBus()
        heard: list[TradeEvent] = []
        bus.subscribe(TradeEvent, heard.append)
        exchange = MarketFeed.simulated([BTC, ETH], seed=1, start_ts=START, seconds=1)

        async for event in exchange.subscribe_trades(ETH):
            bus.publish(event)

        assert len(heard) > 5
        assert {event.symbol for event in heard} == {ETH}
        assert all(event.ts < START + SECOND for event in heard)

    run(main)


def test_recorded_files_are_merged_by_receive_time(tmp_path: Path) -> None:
    for symbol, first in ((BTC, 0), (ETH, 1)):
        rows = [f"{n},10.0,1,10,{START // MS + n},True,True" for n in range(first, 6, 2)]
        (tmp_path / f"{symbol}-trades.csv").write_text("\n".join(rows))

    files = [InputFile(path) for path in sorted(tmp_path.iterdir())]

    async def main() -> None:
        clock = FakeClock()
        heard: list[TradeEvent] = []
        async with MarketFeed.recorded(files, speed=1.0, wall=clock) as feed:
            await asyncio.gather(*(collect(feed.subscribe_trades(symbol), heard) for symbol in (BTC, ETH)))

        assert [event.trade_id for event in heard] == [0, 1, 2, 3, 4, 5]
        assert sum(clock.slept) == pytest.approx(0.005)

    run(main)


def test_a_symbol_that_the_exchange_does_not_have_is_refused() -> None:
    feed = MarketFeed.simulated([BTC], seed=1, start_ts=START)

    with pytest.raises(ConfigError, match="unknown symbol 'DOGEUSDT'; it has BTCUSDT"):
        feed.subscribe_ticks("DOGEUSDT")


@pytest.mark.parametrize("speed", [0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ConfigError, match="speed"):
        feed_of([], speed=speed)


@pytest.mark.parametrize("policy", [Throttle(1), Conflate(key="prise")])
def test_a_policy_that_does_not_fit_is_refused_at_subscription(policy: Any) -> None:
    with pytest.raises(ConfigError):
        feed_of(trades(1)).subscribe_trades(BTC, overflow=policy)


# -- pace -------------------------------------------------------------------------------------------------------------


def test_a_paced_feed_plays_events_at_their_own_time_times_the_speed() -> None:
    async def main() -> None:
        clock = FakeClock()
        feed = feed_of(trades(4, step=250 * MS), wall=clock, speed=2.0)
        began = clock.now

        times = [clock.now - began async for _ in feed.subscribe_trades(BTC)]

        assert times == [0, 125 * MS, 250 * MS, 375 * MS]

    run(main)


def test_a_feed_at_full_speed_never_sleeps() -> None:
    async def main() -> None:
        clock = FakeClock()
        feed = feed_of(trades(500), wall=clock)

        assert len(await numbers(feed.subscribe_trades(BTC))) == 500
        assert clock.slept == []

    run(main)


def test_a_feed_stops_while_nobody_listens_and_continues_where_it_stopped() -> None:
    async def main() -> None:
        clock = FakeClock()
        feed = feed_of(trades(6, step=10 * SECOND), wall=clock, speed=1.0)
        with feed.subscribe_trades(BTC) as first:
            heard = [(await anext(first)).trade_id for _ in range(2)]
        await turns()
        stood = clock.now
        await turns()
        assert clock.now == stood

        rest = await numbers(feed.subscribe_trades(BTC))

        assert heard + rest == [0, 1, 2, 3, 4, 5]

    run(main)


def test_a_late_subscriber_receives_only_later_events() -> None:
    async def main() -> None:
        feed = feed_of(trades(5))
        with feed.subscribe_trades(BTC, capacity=1) as first:
            await anext(first)
            await turns()  # 1 waits, and the feed waits to send 2
            later = feed.subscribe_trades(BTC)

            heard = await asyncio.gather(numbers(first), numbers(later))

        assert heard == [[1, 2, 3, 4], [3, 4]]

    run(main)
