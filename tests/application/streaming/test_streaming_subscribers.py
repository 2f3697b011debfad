"""Market data as async iterators: slow subscribers, those that leave, feeds that fail."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from application_kit import BTC, MS, START, tick, trade
from hypothesis import given
from hypothesis import strategies as st
from market_feed_kit import ETH, collect, feed_of, numbers, run, trades, turns

from tickdeck.application.bus import (
    Block,
    BufferHalted,
    Conflate,
    DropOldest,
    Halt,
    OverflowPolicy,
)
from tickdeck.domain.events import MarketEvent, TickEvent, TradeEvent
from tickdeck.errors import InputError
from tickdeck.infrastructure.exchanges.simulated.market_feed import MarketFeed, MarketStream
from tickdeck.infrastructure.readers import InputFile


@pytest.mark.parametrize(
    ("policy", "slows"),
    [(Block(), True), (DropOldest(), False), (Conflate(), False)],
    ids=["block", "drop", "conflate"],
)
def test_a_slow_subscriber_slows_the_feed_only_under_block(policy: OverflowPolicy, slows: bool) -> None:
    async def main() -> None:
        feed = feed_of(trades(300))
        slow = feed.subscribe_trades(BTC, capacity=3, overflow=policy)
        quick: list[int | str] = []

        async def hear() -> None:
            quick.extend(await numbers(feed.subscribe_trades(BTC)))

        hearer = asyncio.create_task(hear())
        await turns(400)  # slow takes nothing in this time

        assert hearer.done() is not slows
        statistics = slow.statistics()
        if slows:
            assert (statistics.put, statistics.waiting, statistics.putters) == (3, 3, 1)
        heard = await numbers(slow)
        await hearer
        assert quick == list(range(300))
        if slows:
            assert heard == list(range(300))
            assert slow.statistics().lost == 0
        else:
            assert heard == list(range(300))[-len(heard) :]
            assert slow.statistics().lost == 300 - len(heard) > 290

    run(main)


@pytest.mark.parametrize("policy", [DropOldest(), Halt()], ids=lambda policy: policy.name)
def test_a_feed_at_full_speed_lets_fast_subscribers_keep_up(
    policy: OverflowPolicy,
) -> None:
    async def main() -> None:
        stream = feed_of(trades(1_000)).subscribe_trades(BTC, capacity=100, overflow=policy)

        assert await numbers(stream) == list(range(1_000))

    run(main)


def test_a_slow_subscriber_under_halt_gets_an_error_and_the_others_continue() -> None:
    async def main() -> None:
        feed = feed_of(trades(10))
        halting = feed.subscribe_trades(BTC, capacity=2, overflow=Halt())

        others = await numbers(feed.subscribe_trades(BTC))

        assert others == list(range(10))
        assert [(await anext(halting)).trade_id for _ in range(2)] == [0, 1]
        with pytest.raises(BufferHalted):
            await anext(halting)

    run(main)


def test_an_error_in_a_key_function_affects_only_its_subscriber() -> None:
    def broken(event: TradeEvent) -> str:
        raise LookupError("no such key")

    async def main() -> None:
        feed = feed_of(trades(3))
        stream = feed.subscribe_trades(BTC, overflow=Conflate(key=broken))

        assert await numbers(feed.subscribe_trades(BTC)) == [0, 1, 2]
        with pytest.raises(LookupError, match="no such key"):
            await anext(stream)

    run(main)


# -- leaving, failing, ending -----------------------------------------------------------------------------------------


def failing(events: Iterable[MarketEvent], error: Exception) -> Iterator[MarketEvent]:
    yield from events
    raise error


def test_a_feed_error_reaches_each_subscriber_after_the_earlier_events() -> None:
    async def main() -> None:
        feed = feed_of(failing([*trades(2), tick("1", "2")], InputError("tape.csv:3: no price")))
        streams: list[MarketStream[Any]] = [feed.subscribe_trades(BTC), feed.subscribe_ticks(BTC)]
        heard: list[MarketEvent] = []

        ends = await asyncio.gather(*(collect(stream, heard) for stream in streams), return_exceptions=True)

        assert [str(end) for end in ends] == ["tape.csv:3: no price"] * 2

        assert len(heard) == 3
        with pytest.raises(InputError, match=r"tape\.csv:3"):
            await anext(feed.subscribe_trades(BTC))

    run(main)


def test_an_error_in_a_file_reaches_the_subscriber_and_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades.csv"
    row = f"{{}},{{}},1,10,{START // MS},True,True"
    path.write_text("\n".join([row.format(1, "10.0"), row.format(2, "10.0"), row.format(3, "x")]))

    async def main() -> None:
        heard: list[TradeEvent] = []
        feed = MarketFeed.recorded([InputFile(path)])
        with pytest.raises(InputError, match=r"BTCUSDT-trades\.csv"):
            await collect(feed.subscribe_trades(BTC), heard)
        assert [event.trade_id for event in heard] == [1, 2]

    run(main)


def test_a_missing_file_is_refused_immediately(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        MarketFeed.recorded([InputFile(tmp_path / "absent.csv")])


async def _cancelled(stream: MarketStream[TradeEvent]) -> None:
    async def hear() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(hear())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    stream.close()


async def _raising(stream: MarketStream[TradeEvent]) -> None:
    async def hear() -> None:
        with stream:
            async for event in stream:
                raise ValueError(f"enough of {event.symbol}")

    with pytest.raises(ValueError, match="enough"):
        await hear()


async def _closing(stream: MarketStream[TradeEvent]) -> None:
    await anext(stream)
    stream.close()
    stream.close()


async def _never_listening(stream: MarketStream[TradeEvent]) -> None:
    stream.close()


@pytest.mark.parametrize("leave", [_cancelled, _raising, _closing, _never_listening])
def test_a_subscriber_that_leaves_never_blocks_the_others(
    leave: Callable[[MarketStream[TradeEvent]], Awaitable[None]],
) -> None:
    async def main() -> None:
        feed = feed_of(trades(30))
        stayer = asyncio.create_task(numbers(feed.subscribe_trades(BTC, capacity=1)))
        leaver = feed.subscribe_trades(BTC, capacity=1)

        await turns()  # the feed waits for the one that will leave
        assert not stayer.done()
        await leave(leaver)

        assert await stayer == list(range(30))

    run(main)


@pytest.mark.long
def test_a_loop_that_ends_by_break_never_blocks_the_others() -> None:
    async def main() -> None:
        feed = feed_of(trades(30))
        stayer = asyncio.create_task(numbers(feed.subscribe_trades(BTC, capacity=1)))

        async for _ in feed.subscribe_trades(BTC, capacity=1):
            break
        gc.collect()

        assert await stayer == list(range(30))
        assert feed._hearers == {}

    run(main)


def test_waiting_events_can_still_be_taken_after_closing() -> None:
    async def main() -> None:
        feed = feed_of(trades(5))
        stream = feed.subscribe_trades(BTC, capacity=2)
        await anext(stream)
        await turns()
        stream.close()

        assert await numbers(stream) == [1, 2]

    run(main)


def test_a_closed_feed_ends_every_stream_and_closes_its_source() -> None:
    closed: list[str] = []

    def source() -> Iterator[MarketEvent]:
        try:
            yield from trades(100)
        finally:
            closed.append("source")

    async def main() -> None:
        feed = feed_of(source())
        async with feed:
            stream = feed.subscribe_trades(BTC, capacity=2)
            assert (await anext(stream)).trade_id == 0
        await feed.aclose()

        assert await numbers(stream) == [1]
        assert await numbers(feed.subscribe_trades(BTC)) == []
        assert closed == ["source"]

    run(main)


@pytest.mark.long
def test_an_unclosed_feed_ends_silently_with_its_event_loop() -> None:
    async def main() -> MarketStream[TradeEvent]:
        stream = feed_of(trades(100)).subscribe_trades(BTC, capacity=2)
        await anext(stream)
        return stream

    stream = asyncio.run(main())

    del stream
    gc.collect()


# -- any mix of subscribers -------------------------------------------------------------------------------------------


@pytest.mark.long
@given(
    events=st.lists(st.tuples(st.sampled_from([BTC, ETH]), st.sampled_from([trade, tick])), max_size=40),
    subscribers=st.lists(
        st.tuples(
            st.sampled_from([BTC, ETH]),
            st.booleans(),
            st.integers(1, 4),
            st.sampled_from([Block(), DropOldest(), Conflate()]),
            st.lists(st.integers(0, 5), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_mix_of_subscribers_loses_only_what_its_policies_allow(
    events: list[tuple[str, Callable[..., MarketEvent]]],
    subscribers: list[tuple[str, bool, int, OverflowPolicy, list[int]]],
) -> None:
    played = [make("1", "2", symbol=symbol, ts=START + n) for n, (symbol, make) in enumerate(events)]

    async def hear(stream: MarketStream[Any], pauses: list[int]) -> list[MarketEvent]:
        heard: list[MarketEvent] = []
        async for event in stream:
            heard.append(event)
            await turns(pauses[len(heard) % len(pauses)])
        return heard

    async def main() -> None:
        feed = feed_of(played)
        streams: list[MarketStream[Any]] = [
            (feed.subscribe_trades if of_trades else feed.subscribe_ticks)(symbol, capacity=capacity, overflow=policy)
            for symbol, of_trades, capacity, policy, _ in subscribers
        ]

        everything = await asyncio.gather(*map(hear, streams, [pauses for *_, pauses in subscribers]))

        for (symbol, of_trades, _, policy, _), stream, heard in zip(subscribers, streams, everything, strict=True):
            kind = TradeEvent if of_trades else TickEvent
            wanted = [event for event in played if event.symbol == symbol and type(event) is kind]
            statistics = stream.statistics()
            assert statistics.put == len(wanted)
            assert statistics.lost == len(wanted) - len(heard)
            assert heard == [event for event in wanted if event in heard]
            assert heard[-1:] == wanted[-1:]
            if not policy.lossy:
                assert heard == wanted

    run(main)
