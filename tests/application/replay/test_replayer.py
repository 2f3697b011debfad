"""Replay, with a clock that is perfect: every wait is to the ns, and nothing else takes time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from fractions import Fraction
from typing import Any

import pytest
from application_kit import MS, SECOND, START, MemoryTape, Ping, Pong, tick, trade
from hypothesis import assume, given
from hypothesis import strategies as st
from virtual_time import VirtualWall, run

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.application.replay import Replayer
from tickdeck.application.replay.replayer import ReplayStatistics
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, RawEvent
from tickdeck.errors import ConfigError

Control = tuple[float, Callable[[Replayer], object]]
"""Seconds after the beginning, and what is done to the replayer then."""


def pings(*seconds: float) -> list[Ping]:
    """One event for each, so many seconds after ``START``, numbered from 1."""
    return [Ping(n=i, seq=i, ts_ingress=at(second)) for i, second in enumerate(seconds, start=1)]


def at(second: float) -> int:
    return START + round(second * SECOND)


def player(events: Iterable[DomainEvent]) -> Replayer:
    events = list(events)
    return Replayer(lambda: events, VirtualWall())


def play(
    record: Replayer | Iterable[DomainEvent], *controls: Control, takes: float = 0, **choice: Any
) -> list[tuple[float, DomainEvent]]:
    """What was played and when (seconds after the beginning), by a consumer that takes so many seconds for each."""
    replayer = record if isinstance(record, Replayer) else player(record)
    return run(_play(replayer, controls, takes, choice))


async def _play(
    replayer: Replayer, controls: Iterable[Control], takes: float, choice: dict[str, Any]
) -> list[tuple[float, DomainEvent]]:
    wall = VirtualWall()

    async def operate() -> None:
        for second, control in controls:
            await wall.sleep(second - wall.monotonic_ns() / SECOND)
            control(replayer)

    operator = asyncio.create_task(operate())
    played = []
    async for event in replayer.replay(**choice):
        played.append((wall.monotonic_ns() / SECOND, event))
        if takes:
            await wall.sleep(takes)
    operator.cancel()
    await asyncio.wait((operator,))
    if not operator.cancelled():
        operator.result()
    return played


def seen(played: Iterable[tuple[float, DomainEvent]]) -> list[tuple[float, int]]:
    return [(second, event.seq) for second, event in played]


def numbers(played: Iterable[tuple[float, DomainEvent]]) -> list[int]:
    return [event.seq for _, event in played]


def pause(replayer: Replayer) -> None:
    replayer.pause()


def resume(replayer: Replayer) -> None:
    replayer.resume()


def seek(second: float) -> Callable[[Replayer], None]:
    return lambda replayer: replayer.seek(at(second))


def speed(times: Any) -> Callable[[Replayer], None]:
    return lambda replayer: replayer.set_speed(times)


# -- time -----------------------------------------------------------------------------------------------------------


def test_events_come_in_their_own_time() -> None:
    assert seen(play(pings(0, 1, 1, 4.5))) == [(0, 1), (1, 2), (1, 3), (4.5, 4)]


@pytest.mark.parametrize(("times", "expected"), [(2, [0, 0.5, 2]), (0.1, [0, 10, 40]), (100, [0, 0.01, 0.04])])
def test_a_speed_divides_the_gaps(times: float, expected: list[float]) -> None:
    assert [second for second, _ in play(pings(0, 1, 4), speed=times)] == expected


@pytest.mark.parametrize("times", ["max", 0, float("inf")])
def test_full_speed_waits_for_nothing(times: Any) -> None:
    assert seen(play(pings(0, 1, 4), speed=times)) == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize("times", [-1, float("nan"), "fast", None])
def test_what_is_no_speed_is_refused_at_the_call(times: Any) -> None:
    replayer = player(pings(0))

    with pytest.raises(ConfigError, match="is not a valid speed; give a multiple of real time"):
        replayer.replay(speed=times)
    with pytest.raises(ConfigError, match="is not a valid speed"):
        replayer.set_speed(times)


def test_errors_of_many_gaps_do_not_add_up() -> None:
    third = [START + i * SECOND // 3 for i in range(3_001)]
    record = [Ping(seq=i, ts_ingress=ts) for i, ts in enumerate(third, start=1)]

    assert play(record, speed=7)[-1][0] == pytest.approx(1_000 / 7, abs=2e-9)


def test_the_clock_begins_with_the_first_event_that_is_played() -> None:
    record = [*pings(0, 5), Pong(seq=3, ts_ingress=at(7)), Pong(seq=4, ts_ingress=at(8))]

    assert seen(play(record, types=["test.pong"])) == [(0, 3), (1, 4)]


def test_the_clock_begins_at_from_where_that_is_given() -> None:
    assert seen(play(pings(0, 5, 7), from_=at(4))) == [(1, 2), (3, 3)]


def test_both_ends_are_inclusive() -> None:
    assert numbers(play(pings(0, 1, 2, 3), from_=at(1), to=at(2))) == [2, 3]


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ConfigError, match="the end 4 is before the start 5"):
        player([]).replay(from_=5, to=4)


def test_an_empty_record_ends_at_once() -> None:
    replayer = player([])

    assert play(replayer) == []
    assert replayer.position is None
    assert replayer.statistics() == ReplayStatistics(played=0, skipped=0, seeks=0, lag_ns=0)


def test_a_record_with_nothing_from_the_beginning_on_ends_at_once() -> None:
    assert play(pings(0, 1), from_=at(2)) == []


# -- a consumer that is slow ----------------------------------------------------------------------------------------


def test_events_come_late_to_a_slow_consumer_and_none_is_left_out() -> None:
    replayer = player(pings(0, 1, 2, 3, 20))

    played = play(replayer, takes=2)

    assert seen(played) == [(0, 1), (2, 2), (4, 3), (6, 4), (20, 5)]  # it has caught up by then
    assert [lag / SECOND for lag in replayer.lags_ns] == [0, 1, 2, 3, 0]
    assert replayer.statistics().lag_ns == 0


def test_touching_a_control_forgives_the_delay() -> None:
    played = play(pings(0, 1, 2, 3, 4), (4.5, speed(1)), takes=2)

    assert seen(played) == [(0, 1), (2, 2), (4, 3), (6, 4), (8, 5)]
    replayer = player(pings(0, 1, 2, 3, 4))
    played = play(replayer, (4.5, speed(0.5)), takes=2)
    assert seen(played) == [(0, 1), (2, 2), (4, 3), (6.5, 4), (8.5, 5)]
    assert replayer.statistics().lag_ns == 0


def test_others_get_their_turn_at_full_speed() -> None:
    replayer = player(Ping(seq=i, ts_ingress=i) for i in range(1, 2_001))

    async def work() -> tuple[int, int]:
        count = 0

        async def look() -> int:
            await asyncio.sleep(0)
            return count

        looking = asyncio.create_task(look())
        async for _ in replayer.replay(speed="max"):
            count += 1
        return await looking, count

    early, count = run(work())

    assert 0 < early < 1_000
    assert count == 2_000


def test_others_get_their_turn_while_nothing_passes_the_filter() -> None:
    replayer = player(Ping(seq=i, ts_ingress=i) for i in range(1, 2_001))

    async def work() -> list[DomainEvent]:
        asyncio.get_running_loop().call_soon(replayer.pause)
        asyncio.get_running_loop().call_later(5, replayer.resume)
        return [event async for event in replayer.replay(types=["test.pong"])]

    assert run(work()) == []
    assert replayer.statistics().skipped == 2_000


# -- pause and resume -----------------------------------------------------------------------------------------------


def test_a_pause_lasts_until_resume_and_time_goes_on_where_it_stood() -> None:
    assert seen(play(pings(0, 10), (4, pause), (100, resume))) == [(0, 1), (106, 2)]


def test_a_pause_holds_the_end_back() -> None:
    replayer = player(pings(0, 1))

    async def work() -> float:
        asyncio.get_running_loop().call_later(50, replayer.resume)
        async for event in replayer.replay():
            if event.seq == 2:
                replayer.pause()
        return asyncio.get_running_loop().time()

    assert run(work()) == 50


def test_pausing_and_resuming_twice_is_harmless() -> None:
    controls = ((4, pause), (5, pause), (6, resume), (7, resume))

    assert seen(play(pings(0, 10), *controls)) == [(0, 1), (12, 2)]


def test_a_pause_at_full_speed_stops_after_the_event_in_hand() -> None:
    replayer = player(pings(0, 1, 2))

    async def work() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        played = []
        async for event in replayer.replay(speed=0):
            played.append((loop.time(), event.seq))
            if event.seq == 2:
                replayer.pause()
                loop.call_later(9, replayer.resume)
                assert replayer.paused
        return played

    assert run(work()) == [(0, 1), (0, 2), (9, 3)]


def test_a_replay_may_begin_paused() -> None:
    replayer = player(pings(0, 1))

    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        events = replayer.replay()
        replayer.pause()
        loop.call_later(3, replayer.resume)
        return [loop.time() async for _ in events]

    assert run(work()) == [3, 4]


# -- seek -----------------------------------------------------------------------------------------------------------


def test_a_seek_forwards_leaves_out_what_is_between() -> None:
    assert seen(play(pings(0, 10, 20, 30), (4, seek(19)))) == [(0, 1), (5, 3), (15, 4)]


def test_a_seek_backwards_plays_again() -> None:
    played = play(pings(0, 10, 20), (12, seek(9)))

    assert seen(played) == [(0, 1), (10, 2), (13, 2), (23, 3)]


def test_a_seek_to_the_time_of_an_event_plays_it() -> None:
    assert seen(play(pings(0, 10, 20), (5, seek(10)))) == [(0, 1), (5, 2), (15, 3)]
    assert seen(play(pings(0, 10, 10, 20), (12, seek(10)))) == [(0, 1), (10, 2), (10, 3), (12, 2), (12, 3), (22, 4)]


def test_a_seek_within_a_gap_moves_only_the_clock() -> None:
    passes = []
    record = pings(0, 100)
    replayer = Replayer(lambda: passes.append(1) or record, VirtualWall())  # type: ignore[func-returns-value]

    assert seen(play(replayer, (1, seek(90)), (2, seek(50)))) == [(0, 1), (52, 2)]
    assert len(passes) == 1


def test_a_seek_before_the_beginning_goes_to_the_beginning() -> None:
    assert seen(play(pings(0, 10), (5, seek(-1_000)))) == [(0, 1), (5, 1), (15, 2)]
    assert seen(play(pings(0, 10), (5, seek(-1_000)), from_=at(-2))) == [(2, 1), (7, 1), (17, 2)]
    assert seen(play(pings(0, 10, 20), (9, seek(-1_000)), from_=at(5))) == [(5, 2), (14, 2), (24, 3)]


def test_a_seek_beyond_the_end_ends_the_replay() -> None:
    assert seen(play(pings(0, 10), (5, seek(11)))) == [(0, 1)]
    assert seen(play(pings(0, 10, 20), (5, seek(11)), to=at(15))) == [(0, 1)]


def test_seeks_while_paused_move_the_position_and_nothing_else() -> None:
    replayer = player(pings(0, 10, 20, 30))
    positions: list[int | None] = []
    controls: list[Control] = [
        (5, pause),
        (6, seek(25)),
        (7, lambda r: positions.append(r.position)),
        (8, seek(19)),
        (9, lambda r: positions.append(r.position)),
        (50, resume),
    ]

    assert seen(play(replayer, *controls)) == [(0, 1), (51, 3), (61, 4)]
    assert positions == [at(25), at(19)]
    assert replayer.statistics().seeks == 2


def test_a_seek_before_the_first_event_was_read_is_carried_out_then() -> None:
    replayer = player(pings(0, 10, 20))

    async def work(target: float) -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        events = replayer.replay()
        replayer.seek(at(target))
        assert replayer.position is None
        return [(loop.time(), event.seq) async for event in events]

    assert run(work(15)) == [(5, 3)]
    assert run(work(-15)) == [(0, 1), (10, 2), (20, 3)]


def test_a_record_that_can_be_opened_at_a_time_is_opened_there() -> None:
    record = pings(0, 10, 20, 30, 40)
    opened: list[int | None] = []

    def whole() -> list[Ping]:
        opened.append(None)
        return record

    def part(ts: int) -> list[Ping]:
        opened.append(round((ts - START) / SECOND))
        return [event for event in record if event.ts_ingress >= ts - 5 * SECOND]  # more than asked for does no harm

    replayer = Replayer(whole, VirtualWall(), record_from=part)

    assert numbers(play(replayer, (5, seek(25)), (6, seek(12)), (7, seek(15)))) == [1, 3, 4, 5]
    assert opened == [None, 25, 12]
    assert numbers(play(replayer, from_=at(30))) == [4, 5]
    assert opened[3:] == [30]


# -- speed ----------------------------------------------------------------------------------------------------------


def test_a_change_of_speed_counts_from_now_on() -> None:
    assert seen(play(pings(0, 10, 20), (4, speed(2)))) == [(0, 1), (7, 2), (12, 3)]
    assert seen(play(pings(0, 10, 20), (4, speed(0.5)), (10, speed("max")))) == [(0, 1), (10, 2), (10, 3)]


def test_the_speed_changes_within_a_pause_too() -> None:
    replayer = player(pings(0, 10))

    assert seen(play(replayer, (4, pause), (5, speed(3)), (6, resume))) == [(0, 1), (8, 2)]
    assert replayer.speed == 3


def test_from_full_speed_time_goes_on_at_the_last_event() -> None:
    replayer = player(pings(0, 1, 2, 5))

    async def work() -> list[float]:
        times = []
        async for event in replayer.replay(speed=0):
            times.append(asyncio.get_running_loop().time())
            if event.seq == 3:
                assert replayer.speed == float("inf")
                replayer.set_speed(2)
        return times

    assert run(work()) == [0, 0, 0, 1.5]


def test_the_position_moves_with_the_clock_but_not_beyond_what_was_not_handed_out() -> None:
    replayer = player(pings(0, 10, 20))
    positions: list[int | None] = []
    look = lambda r: positions.append(r.position)  # noqa: E731

    play(replayer, (4, look), (12, look), (13, look), (19, look), takes=3)

    assert positions == [at(4), at(10), at(13), at(19)]
    assert replayer.position == at(20)


def test_the_position_of_a_late_replay_is_that_of_the_event_that_is_late() -> None:
    replayer = player(pings(0, 1, 2, 3))
    positions = []

    async def work() -> None:
        async for _ in replayer.replay():
            await asyncio.sleep(100)
            positions.append(replayer.position)

    run(work())

    assert positions == [at(0), at(1), at(2), at(3)]


def test_the_position_stays_behind_an_event_that_a_blocked_loop_holds_back() -> None:
    replayer = player(pings(0, 10, 20))

    def block(replayer: Replayer) -> None:
        asyncio.get_running_loop().now_ns += 30 * SECOND  # type: ignore[attr-defined]
        assert replayer.position == at(10)
        replayer.pause()
        replayer.resume()

    assert seen(play(replayer, (5, block))) == [(0, 1), (35, 2), (45, 3)]


# -- what is played -------------------------------------------------------------------------------------------------


def mixed() -> list[DomainEvent]:
    return [
        trade("1", source="binance"),
        tick("1", "2", symbol="ETHUSDT"),
        trade("2", symbol="ETHUSDT", source="bybit"),
        OrderAcceptedEvent(order_id="o", symbol="BTCUSDT", account_id="main", strategy_id="s"),
        RawEvent(raw_type="news.published", raw={"symbol": "BTCUSDT", "venue": "reuters"}),
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"types": ["market.*"]}, [0, 1, 2]),
        ({"types": ["market.trade", "order.*"]}, [0, 2, 3]),
        ({"types": ["news.*"]}, [4]),
        ({"types": ["*"]}, [0, 1, 2, 3, 4]),
        ({"symbols": ["ETHUSDT"]}, [1, 2]),
        ({"symbols": ["BTCUSDT", "ETHUSDT"], "types": ["market.trade"]}, [0, 2]),
        ({"exchanges": ["bybit", "binance"]}, [0, 2]),
        ({"exchanges": ["reuters"]}, [4]),
        ({"exchanges": ["bybit"], "symbols": ["BTCUSDT"]}, []),
    ],
)
def test_filters_choose(choice: dict[str, Any], expected: list[int]) -> None:
    record = mixed()
    replayer = player(record)

    played = play(replayer, speed=0, **choice)

    assert [record.index(event) for _, event in played] == expected
    assert replayer.statistics().played == len(expected)
    assert replayer.statistics().skipped == 5 - len(expected)


def test_one_name_where_a_list_belongs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"types='order\.\*' is one name; give a list of names, such as \['order"):
        player([]).replay(types="order.*")


def test_a_transform_changes_events_or_takes_them_away() -> None:
    replayer = player(pings(0, 1, 2))

    played = play(replayer, transform=lambda event: None if event.seq == 2 else Pong(seq=event.seq * 10))

    assert seen(played) == [(0, 10), (2, 30)]
    assert replayer.statistics() == ReplayStatistics(played=2, skipped=1, seeks=0, lag_ns=0)


def test_a_transform_that_raises_ends_the_replay_with_what_it_raised() -> None:
    def broken(event: DomainEvent) -> DomainEvent:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(pings(0), transform=broken)


# -- the record -----------------------------------------------------------------------------------------------------


class Record:
    """A record that counts the passes that are open, and holds on to them: they must be closed, not forgotten."""

    def __init__(self, events: Sequence[DomainEvent], error: Exception | None = None) -> None:
        self.events, self.error, self.open = events, error, 0
        self._passes: list[Iterator[DomainEvent]] = []

    def __call__(self) -> Iterator[DomainEvent]:
        self._passes.append(self._pass())
        return self._passes[-1]

    def _pass(self) -> Iterator[DomainEvent]:
        self.open += 1
        try:
            yield from self.events
            if self.error is not None:
                raise self.error
        finally:
            self.open -= 1


def test_a_record_that_raises_raises_in_the_loop_that_plays() -> None:
    record = Record(pings(0, 1), OSError("the disk is gone"))
    replayer = Replayer(record, VirtualWall())

    with pytest.raises(OSError, match="the disk is gone"):
        play(replayer)

    assert replayer.statistics().played == 2
    assert record.open == 0


def test_each_pass_is_closed_when_it_is_left() -> None:
    record = Record(pings(0, 10, 20))
    replayer = Replayer(record, VirtualWall())
    passes: list[int] = []
    look = lambda _: passes.append(record.open)  # noqa: E731

    play(replayer, (11, seek(0)), (12, look), (19, seek(0)), (20, look))

    assert passes == [1, 1]
    assert record.open == 0


def test_who_leaves_the_loop_lets_the_record_go() -> None:
    record = Record(pings(0, 10, 20))
    replayer = Replayer(record, VirtualWall())

    async def work() -> int:
        async with aclosing(replayer.replay()) as events:
            async for _ in events:
                break
        return record.open

    assert run(work()) == 0


def test_a_cancelled_replay_lets_everything_go() -> None:
    record = Record(pings(0, 10, 20))
    replayer = Replayer(record, VirtualWall())

    async def listen() -> None:
        async with aclosing(replayer.replay()) as events:
            async for _ in events:
                pass

    async def work() -> tuple[bool, int]:
        listening = asyncio.create_task(listen())
        await asyncio.sleep(5)
        listening.cancel()
        await asyncio.wait((listening,))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return listening.cancelled(), record.open

    assert run(work()) == (True, 0)
    assert [event.seq for _, event in play(replayer)] == [1, 2, 3]


def test_a_clock_that_fails_is_told() -> None:
    class Broken(VirtualWall):
        async def sleep(self, seconds: float) -> None:
            raise OSError("no timer")

    with pytest.raises(OSError, match="no timer"):
        play(Replayer(lambda: pings(0, 1), Broken()))


def test_the_next_replay_ends_the_one_before() -> None:
    replayer = player(pings(0, 10, 20))

    async def work() -> tuple[list[int], list[int]]:
        async def listen() -> list[int]:
            return [event.seq async for event in replayer.replay()]

        before = asyncio.create_task(listen())
        await asyncio.sleep(12)
        replayer.pause()
        await asyncio.sleep(1)
        after = [event.seq async for event in replayer.replay(from_=at(20))]
        return await before, after

    assert run(work()) == ([1, 2], [3])


# -- onto a bus -----------------------------------------------------------------------------------------------------


def test_events_are_published_with_the_stamps_of_their_record() -> None:
    record = [Ping(seq=7, event_id="3-1", causation_id="3", correlation_id="3", ts=1, ts_ingress=2)]
    bus = InMemoryEventBus()
    heard: list[DomainEvent] = []
    bus.subscribe("test.*", heard.append)

    statistics = run(player(record).replay_onto(bus, speed="max"))

    assert heard == record
    assert statistics == ReplayStatistics(played=1, skipped=0, seeks=0, lag_ns=0)


def test_onto_a_bus_too_events_come_in_their_own_time_and_chosen() -> None:
    bus = InMemoryEventBus()
    heard: list[tuple[float, int]] = []
    bus.subscribe("*", lambda event: heard.append((asyncio.get_running_loop().time(), event.seq)))

    run(player(pings(0, 1, 2, 3)).replay_onto(bus, from_=at(1), to=at(2), speed=2, types=["test.ping"]))

    assert heard == [(0, 2), (0.5, 3)]


def test_a_slow_async_handler_makes_the_replay_late_and_loses_nothing() -> None:
    bus = InMemoryEventBus()
    heard = []

    async def slow(event: DomainEvent) -> None:
        await asyncio.sleep(10)
        heard.append(event.seq)

    bus.subscribe(Ping, slow, mailbox=1)
    statistics = run(player(pings(0, 1, 2, 3)).replay_onto(bus))

    assert heard == [1, 2, 3, 4]
    assert bus.statistics().dropped == {}
    assert statistics.lag_ns == 27 * SECOND


def test_a_handler_that_fails_is_told_on_the_bus_and_the_replay_goes_on() -> None:
    bus = InMemoryEventBus()

    def broken(event: DomainEvent) -> None:
        raise ZeroDivisionError

    bus.subscribe(Ping, broken)
    with bus.collect("system.handler_failed") as failures:
        statistics = run(player(pings(0, 1)).replay_onto(bus, speed=0))

    assert len(failures) == 2
    assert statistics.played == 2


def test_the_kernel_of_a_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="would stamp recorded events again; give a plain bus"):
        run(player(pings(0)).replay_onto(Kernel(tape=MemoryTape())))


# -- any sequence of controls ---------------------------------------------------------------------------------------

# In these units all speeds below give whole ns, so that nothing is rounded and the times must be equal.
UNIT = 64
controls = st.tuples(
    st.integers(1, 400),  # units after the control before it
    st.one_of(
        st.just(("pause", 0)),
        st.just(("resume", 0)),
        st.tuples(st.just("seek"), st.integers(-20, 320)),
        st.tuples(st.just("speed"), st.sampled_from([0.5, 1, 2, 4, "max"])),
    ),
)


def expected(times: list[int], operations: list[tuple[int, str, Any]], times_real: float) -> list[tuple[Fraction, int]]:
    """What a perfect deck plays: (wall, position in ``times``), by a reckoning of its own."""
    out: list[tuple[Fraction, int]] = []
    anchor, position, following = Fraction(0), Fraction(times[0]), 0
    rate: Any = times_real
    paused = False

    def due(index: int) -> Fraction:
        return anchor if rate == "max" else anchor + (times[index] - position) / Fraction(rate)

    for wall, name, value in [*operations, (10**12, "end", 0)]:
        while not paused and following < len(times) and due(following) < wall:
            out.append((max(due(following), anchor), following))
            following += 1
        if not paused:
            if following == len(times):
                return out
            assume(due(following) != wall)  # which of the two comes first is nobody's concern
            position = min(position + (wall - anchor) * Fraction(rate), Fraction(times[following]))
        anchor = Fraction(wall)
        if name in ("pause", "resume"):
            paused = name == "pause"
        elif name == "speed":
            rate = value
        elif name == "seek":
            position = Fraction(max(value, times[0]))
            following = next((i for i, ts in enumerate(times) if ts >= position), len(times))
    return out


@given(
    gaps=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    operations=st.lists(controls, max_size=8),
    times_real=st.sampled_from([0.5, 1, 2, 4]),
    indexed=st.booleans(),
)
def test_under_any_controls_each_event_comes_exactly_at_its_time(
    gaps: list[int], operations: list[tuple[int, tuple[str, Any]]], times_real: float, indexed: bool
) -> None:
    times, ts = [], 0
    for gap in gaps:
        ts += gap * UNIT
        times.append(ts)
    plan: list[tuple[int, str, Any]] = []
    wall = 0
    for after, (name, value) in operations:
        wall += after * UNIT
        plan.append((wall, name, value * UNIT if name == "seek" else value))
    plan.append((wall + UNIT, "resume", 0))  # or it would stand still for ever
    record = [Ping(seq=i, ts_ingress=ts) for i, ts in enumerate(times)]
    replayer = Replayer(
        lambda: record,
        VirtualWall(),
        record_from=(lambda ts: [event for event in record if event.ts_ingress >= ts]) if indexed else None,
    )
    acts = {
        "pause": lambda _: replayer.pause(),
        "resume": lambda _: replayer.resume(),
        "seek": replayer.seek,
        "speed": replayer.set_speed,
    }

    played = play(
        replayer,
        *((wall / SECOND, lambda _, name=name, value=value: acts[name](value)) for wall, name, value in plan),
        speed=times_real,
    )

    assert [(Fraction(round(second * SECOND)), event.seq) for second, event in played] == expected(
        times, plan, times_real
    )
    assert set(replayer.lags_ns) <= {0}


@given(
    gaps=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    operations=st.lists(controls, max_size=8),
    takes=st.integers(1, 100),
)
def test_whatever_the_consumer_takes_events_come_in_order_at_most_once_a_pass_and_never_early(
    gaps: list[int], operations: list[tuple[int, tuple[str, Any]]], takes: int
) -> None:
    times, ts = [], 0
    for gap in gaps:
        ts += gap * MS
        times.append(ts)
    passes: list[list[int]] = [[]]
    replayer = player(Ping(seq=i, ts_ingress=ts) for i, ts in enumerate(times))
    acts: dict[str, Callable[[Any], object]] = {
        "pause": lambda _: replayer.pause(),
        "resume": lambda _: replayer.resume(),
        "seek": lambda value: (replayer.seek(value * MS), passes.append([])),
        "speed": replayer.set_speed,
    }

    async def work() -> None:
        async def operate() -> None:
            for after, (name, value) in operations:
                await asyncio.sleep(after / 1_000)
                acts[name](value)
            replayer.resume()

        operating = asyncio.create_task(operate())
        async for event in replayer.replay():
            passes[-1].append(event.seq)
            await asyncio.sleep(takes / 1_000)
        operating.cancel()

    run(work())

    assert all(played == sorted(set(played)) for played in passes)
    assert all(lag >= 0 for lag in replayer.lags_ns)
    if not any(name == "seek" for _, (name, _) in operations):
        assert passes == [list(range(len(times)))]


# -- the end ----------------------------------------------------------------------------------------------------------


def test_it_pauses_at_its_end_where_it_is_asked_to_and_a_seek_plays_on() -> None:
    async def scenario() -> list[int]:
        replayer = player(pings(0, 1, 2))
        replayer.pause_at_end = True
        heard: list[int] = []

        async def listen() -> None:
            async for event in replayer.replay():
                heard.append(event.seq)  # noqa: PERF401 (the test looks while it plays)

        playing = asyncio.create_task(listen())
        wall = VirtualWall()
        await wall.sleep(5)
        assert (heard, replayer.at_end, replayer.paused) == ([1, 2, 3], True, True)
        replayer.resume()
        await wall.sleep(5)
        assert (heard, replayer.at_end) == ([1, 2, 3], True)
        replayer.seek(at(1))
        assert not replayer.at_end
        replayer.resume()
        await wall.sleep(5)
        playing.cancel()
        await asyncio.wait((playing,))
        return heard

    assert run(scenario()) == [1, 2, 3, 2, 3]


def test_a_replay_without_events_ends_also_where_it_would_pause() -> None:
    replayer = player([])
    replayer.pause_at_end = True

    assert play(replayer) == []
