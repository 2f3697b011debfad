"""The replayer: when events come, which ones, from which record, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from application_kit import SECOND, START, Ping, Pong, tick, trade
from replay_kit import at, numbers, pings, play, player, seek, seen, speed
from virtual_time import VirtualWall, run

from tickdeck.application.replay import Replayer
from tickdeck.application.replay.replayer import ReplayStatistics
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, RawEvent
from tickdeck.errors import ConfigError

# -- time -----------------------------------------------------------------------------------------------------------


def test_events_come_in_their_own_time() -> None:
    assert seen(play(pings(0, 1, 1, 4.5))) == [(0, 1), (1, 2), (1, 3), (4.5, 4)]


@pytest.mark.parametrize(("times", "expected"), [(2, [0, 0.5, 2]), (0.1, [0, 10, 40]), (100, [0, 0.01, 0.04])])
def test_a_speed_divides_the_gaps(times: float, expected: list[float]) -> None:
    assert [second for second, _ in play(pings(0, 1, 4), speed=times)] == expected


@pytest.mark.parametrize("times", ["max", 0, float("inf")])
def test_full_speed_never_waits(times: Any) -> None:
    assert seen(play(pings(0, 1, 4), speed=times)) == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize("times", [-1, float("nan"), "fast", None])
def test_an_invalid_speed_is_refused_by_the_call(times: Any) -> None:
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


def test_the_clock_begins_at_from_if_given() -> None:
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


def test_a_slow_consumer_receives_events_late_but_all_of_them() -> None:
    replayer = player(pings(0, 1, 2, 3, 20))

    played = play(replayer, takes=2)

    assert seen(played) == [(0, 1), (2, 2), (4, 3), (6, 4), (20, 5)]  # it has caught up by then
    assert [lag / SECOND for lag in replayer.lags_ns] == [0, 1, 2, 3, 0]
    assert replayer.statistics().lag_ns == 0


def test_using_a_control_clears_the_delay() -> None:
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


def test_a_single_name_instead_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"types='order\.\*' is one name; give a list of names, such as \['order"):
        player([]).replay(types="order.*")


def test_a_transform_changes_or_removes_events() -> None:
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
    """A record that counts its open passes and keeps references to them, so they must be closed explicitly."""

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


def test_leaving_the_loop_closes_the_record() -> None:
    record = Record(pings(0, 10, 20))
    replayer = Replayer(record, VirtualWall())

    async def work() -> int:
        async with aclosing(replayer.replay()) as events:
            async for _ in events:
                break
        return record.open

    assert run(work()) == 0


def test_a_cancelled_replay_closes_everything() -> None:
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


def test_a_clock_that_fails_is_reported() -> None:
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


# -- the end ----------------------------------------------------------------------------------------------------------


def test_on_request_it_pauses_at_its_end_and_a_seek_continues() -> None:
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


def test_a_replay_without_events_ends_instead_of_pausing() -> None:
    replayer = player([])
    replayer.pause_at_end = True

    assert play(replayer) == []
