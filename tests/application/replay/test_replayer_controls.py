"""The controls of the replayer: pause, seek and speed, one by one and in any sequence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from application_kit import MS, SECOND, START, Ping
from hypothesis import assume, given
from hypothesis import strategies as st
from replay_kit import Control, at, numbers, pause, pings, play, player, resume, seek, seen, speed
from virtual_time import VirtualWall, run

from tickdeck.application.replay import Replayer

# -- pause and resume -----------------------------------------------------------------------------------------------


def test_a_pause_lasts_until_resume_and_time_continues_where_it_stopped() -> None:
    assert seen(play(pings(0, 10), (4, pause), (100, resume))) == [(0, 1), (106, 2)]


def test_a_pause_delays_the_end() -> None:
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
        return [
            event for event in record if event.ts_ingress >= ts - 5 * SECOND
        ]  # more events than requested are harmless

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
    """The expected result: (wall time, position in ``times``), computed independently."""
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
            assume(due(following) != wall)  # their relative order does not matter
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
    plan.append((wall + UNIT, "resume", 0))  # otherwise it would stop forever
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
def test_however_slow_the_consumer_events_come_in_order_at_most_once_per_pass_and_never_early(
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
