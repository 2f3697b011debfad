"""Market data as async iterators: several subscribers at once, slow ones, those who leave, feeds that fail."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, START, tick, trade
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.bus import (
    Block,
    BufferHalted,
    Conflate,
    DropOldest,
    Halt,
    InMemoryEventBus,
    OverflowPolicy,
    Throttle,
)
from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.errors import ConfigError, InputError
from tickdeck.infrastructure.exchanges.simulated.market_feed import MarketFeed, MarketStream
from tickdeck.infrastructure.readers import InputFile

ETH = "ETHUSDT"


class FakeClock:
    """A wall clock that moves by what is slept, as soon as all others had a turn."""

    def __init__(self) -> None:
        self.now = 1_000
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await turns(3 if seconds else 1)
        if seconds:
            self.slept.append(seconds)
            self.now += round(seconds * 1e9)


def trades(count: int, symbol: str = BTC, step: int = SECOND) -> list[TradeEvent]:
    return [trade(str(n + 1), ts=START + n * step, symbol=symbol, trade_id=n) for n in range(count)]


def feed_of(events: Iterable[MarketEvent], **arguments: Any) -> MarketFeed:
    return MarketFeed(iter(events), **{"wall": FakeClock(), **arguments})


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def numbers(stream: MarketStream[TradeEvent]) -> list[int | str]:
    return [event.trade_id async for event in stream]


async def collect(stream: MarketStream[Any], into: list[Any]) -> None:
    """What came before an error is in ``into`` too."""
    async for event in stream:
        into.append(event)  # noqa: PERF401


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(10):  # a test that would hang fails instead
            await main()
        await turns(3)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], "a task is left"

    asyncio.run(timed())


# -- what is heard ----------------------------------------------------------------------------------------------------


def test_each_subscriber_hears_what_it_asked_for_in_order_until_the_data_ends() -> None:
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
        assert [e async for e in feed.subscribe_trades(BTC)] == []  # the data is over

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


# -- when it is heard -------------------------------------------------------------------------------------------------


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


def test_a_feed_stands_still_while_nobody_listens_and_goes_on_where_it_stopped() -> None:
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


def test_who_subscribes_later_hears_what_comes_from_then_on() -> None:
    async def main() -> None:
        feed = feed_of(trades(5))
        with feed.subscribe_trades(BTC, capacity=1) as first:
            await anext(first)
            await turns()  # 1 waits, and the feed waits to send 2
            later = feed.subscribe_trades(BTC)

            heard = await asyncio.gather(numbers(first), numbers(later))

        assert heard == [[1, 2, 3, 4], [3, 4]]

    run(main)


# -- slow subscribers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "slows"),
    [(Block(), True), (DropOldest(), False), (Conflate(), False)],
    ids=["block", "drop", "conflate"],
)
def test_a_slow_subscriber_slows_the_feed_under_block_alone(policy: OverflowPolicy, slows: bool) -> None:
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
def test_a_feed_at_full_speed_gives_its_subscribers_a_turn_so_that_who_keeps_up_loses_nothing(
    policy: OverflowPolicy,
) -> None:
    async def main() -> None:
        stream = feed_of(trades(1_000)).subscribe_trades(BTC, capacity=100, overflow=policy)

        assert await numbers(stream) == list(range(1_000))

    run(main)


def test_a_subscriber_under_halt_that_is_slow_is_told_and_the_others_go_on() -> None:
    async def main() -> None:
        feed = feed_of(trades(10))
        halting = feed.subscribe_trades(BTC, capacity=2, overflow=Halt())

        others = await numbers(feed.subscribe_trades(BTC))

        assert others == list(range(10))
        assert [(await anext(halting)).trade_id for _ in range(2)] == [0, 1]
        with pytest.raises(BufferHalted):
            await anext(halting)

    run(main)


def test_a_key_function_that_raises_harms_its_own_subscriber_alone() -> None:
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


def test_a_feed_that_fails_tells_each_subscriber_after_what_came_before() -> None:
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


def test_a_recorded_line_that_is_wrong_reaches_the_subscriber_and_the_file_is_let_go(tmp_path: Path) -> None:
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


def test_a_file_that_is_absent_is_told_at_once(tmp_path: Path) -> None:
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
def test_who_leaves_however_holds_up_nobody(leave: Callable[[MarketStream[TradeEvent]], Awaitable[None]]) -> None:
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
def test_a_loop_that_is_broken_off_without_a_word_holds_up_nobody() -> None:
    async def main() -> None:
        feed = feed_of(trades(30))
        stayer = asyncio.create_task(numbers(feed.subscribe_trades(BTC, capacity=1)))

        async for _ in feed.subscribe_trades(BTC, capacity=1):
            break
        gc.collect()

        assert await stayer == list(range(30))
        assert feed._hearers == {}

    run(main)


def test_what_waited_when_the_subscriber_closed_can_still_be_taken() -> None:
    async def main() -> None:
        feed = feed_of(trades(5))
        stream = feed.subscribe_trades(BTC, capacity=2)
        await anext(stream)
        await turns()
        stream.close()

        assert await numbers(stream) == [1, 2]

    run(main)


def test_a_closed_feed_ends_every_stream_and_lets_go_of_its_source() -> None:
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
def test_a_feed_that_nobody_closed_ends_with_its_event_loop_in_silence() -> None:
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
def test_every_mix_of_subscribers_loses_only_what_it_chose_to_lose(
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
