"""The checks of what is around a live run: what each of them notices, and what it lets pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from application_kit import Ping
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SteadyClock
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.resilience import BreakerState, BreakerTransition
from tickdeck.infrastructure.surroundings import (
    BanCheck,
    CircuitCheck,
    ClockCheck,
    MemoryCheck,
    PauseCheck,
    SpaceCheck,
    TapeCheck,
    WatchConfig,
    resident_memory,
)
from tickdeck.infrastructure.watchdog import Watchdog, running_handler

S = 1_000_000_000
HOUR = 3_600 * S


class HandClock:
    """A clock that a test moves and sets."""

    def __init__(self) -> None:
        self.passed, self.set_by = 0, 0

    def monotonic_ns(self) -> int:
        return self.passed

    def time_ns(self) -> int:
        return 1_723_161_600 * S + self.passed + self.set_by

    async def sleep(self, seconds: float) -> None:
        self.passed += round(seconds * S)


# -- the clock --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, HOUR), st.integers(-2 * HOUR, 2 * HOUR))))
def test_a_steady_clock_moves_by_the_time_that_passed_however_the_other_is_set(
    steps: list[tuple[int, int]],
) -> None:
    clock = HandClock()
    steady = SteadyClock(clock)
    began = steady.time_ns()
    for passed, set_by in steps:
        clock.passed += passed
        clock.set_by += set_by
        assert steady.time_ns() == began + clock.passed


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (HOUR, "the wall clock was set forward by 3600.0 s; the run keeps its own time"),
        (-HOUR, "the wall clock was set back by 3600.0 s; the run keeps its own time"),
        (S - 1, ""),
    ],
)
def test_a_jump_of_the_wall_clock_is_told_once(by: int, said: str) -> None:
    clock = HandClock()
    check = ClockCheck(SteadyClock(clock), S)
    assert check.problem(0) == ""
    clock.passed += 5 * S
    assert check.problem(0) == ""

    clock.set_by += by
    assert [check.problem(0), check.problem(0)] == [said, ""]


# -- the process ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alive", "what"), [(False, "the process"), (True, "the event loop")])
def test_a_late_look_means_that_something_stood_still(alive: bool, what: str) -> None:
    check = PauseCheck(5 * S, S, lambda: S if alive else 5 * S)

    assert [check.problem(0), check.problem(S), check.problem(6 * S)] == ["", "", ""]
    assert check.problem(12 * S) == f"{what} stood still for 5.0 s"
    assert check.problem(13 * S) == ""


class Bus:
    """A bus that a handler occupies."""

    dispatched, occupied = 1, True


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.005)


def test_a_watchdog_alarms_first_and_ends_the_process_later() -> None:
    said: list[str] = []
    with Watchdog(Bus(), limit=0.02, alarm=said.append, fatal_limit=0.08, fatal=said.append):  # type: ignore[arg-type]
        wait_for(lambda: len(said) == 2)
        threading.Event().wait(0.05)

    assert len(said) == 2
    assert said[0].startswith("a handler has held the bus for ")
    assert said[1].startswith("a handler has not returned for ")


def test_a_watchdog_tells_whether_its_own_thread_was_held_up() -> None:
    with Watchdog(Bus(), limit=0.02) as watchdog:  # type: ignore[arg-type]
        for _ in range(5):
            threading.Event().wait(0.05)
        assert 0 < watchdog.held_up() < S
    threading.Event().wait(0.1)
    assert watchdog.held_up() >= S // 10


# -- the disk, the memory, the exchange -------------------------------------------------------------------------------


def test_a_tape_that_waits_for_the_disk_is_a_problem_until_something_is_written() -> None:
    positions = {"appended": 10, "durable": 10}
    times = iter(second * S for second in (0, 100, 104, 105, 106))
    check = TapeCheck(lambda: positions["appended"], lambda: positions["durable"], 5 * S, lambda: next(times))
    assert check.problem(0) == check.problem(0) == ""

    positions["appended"] = 11
    assert check.problem(0) == ""
    assert "nothing for 5 s" in check.problem(0)
    positions["durable"] = 11
    assert check.problem(0) == ""


def test_a_tape_whose_process_stood_still_is_no_problem_of_the_disk() -> None:
    times = iter(second * S for second in (0, 1, 41, 45, 46))
    check = TapeCheck(lambda: 11, lambda: 10, 5 * S, lambda: next(times))

    assert [bool(check.problem(0)) for _ in range(5)] == [False, False, False, False, True]


def test_a_tape_that_is_slow_and_makes_progress_is_no_problem() -> None:
    position, times = iter(range(1_000)), iter(range(0, 1_000 * S, S))
    check = TapeCheck(lambda: 1_000_000, lambda: next(position), 5 * S, lambda: next(times))

    assert [check.problem(0) for _ in range(100)] == [""] * 100


def test_little_free_space_is_a_problem_until_there_is_a_tenth_more() -> None:
    free = iter([100, 99, 100, 109, 110, 100])
    check = SpaceCheck(100, lambda: next(free))

    assert [bool(check.problem(0)) for _ in range(6)] == [False, True, True, True, False, False]


def test_memory_is_a_problem_above_its_bound_until_it_is_well_below() -> None:
    sizes = iter([100, 101, 95, 91, 90, 100])
    check = MemoryCheck(100, lambda: next(sizes))

    assert [bool(check.problem(0)) for _ in range(6)] == [False, True, True, True, False, False]


def test_resident_memory_is_that_of_this_process() -> None:
    before = resident_memory()
    block = bytearray(64_000_000)
    assert 1_000_000 < before < resident_memory() - 32_000_000
    del block


def orders_breaker(after: BreakerState) -> BreakerTransition:
    return BreakerTransition("binance/orders", BreakerState.CLOSED, after, "VenueUnavailable")


def test_an_exchange_that_fails_is_a_problem_until_it_answers() -> None:
    check = CircuitCheck()
    assert check.problem(0) == ""
    check.hear(orders_breaker(BreakerState.OPEN))
    assert check.problem(S) == check.problem(90 * S) == "binance/orders does not work (VenueUnavailable)"

    check.hear(orders_breaker(BreakerState.HALF_OPEN))  # a call tries it
    assert check.problem(91 * S) != ""
    check.hear(orders_breaker(BreakerState.CLOSED))
    assert (check.is_due(92 * S), check.problem(92 * S) != "") == (
        True,
        True,
    )  # that may have been a call without account

    check.tried(92 * S, answered=False)
    assert [check.is_due(now * S) for now in (121, 122)] == [False, True]
    check.tried(122 * S, answered=True)
    assert (check.problem(122 * S), check.is_due(600 * S)) == ("", False)


def test_it_is_asked_every_half_minute_while_it_does_not_answer() -> None:
    check = CircuitCheck()
    check.hear(orders_breaker(BreakerState.OPEN))
    check.problem(0)
    assert [check.is_due(now * S) for now in (29, 30)] == [False, True]
    check.tried(30 * S, answered=False)
    assert [check.is_due(now * S) for now in (59, 60)] == [False, True]
    assert check.problem(60 * S) != ""

    check.tried(60 * S, answered=True)
    assert (check.problem(60 * S), check.is_due(600 * S)) == ("", False)


def test_orders_that_fail_at_an_exchange_that_answers_are_tried_at_growing_distances() -> None:
    check = CircuitCheck()
    waits = []
    for _ in range(7):
        check.hear(orders_breaker(BreakerState.OPEN))
        check.problem(0)
        waits.append(next(second for second in range(10_000) if check.is_due(second * S)))
        check.tried(waits[-1] * S, answered=True)
    assert waits == [30, 60, 120, 240, 480, 600, 600]

    check.hear(orders_breaker(BreakerState.CLOSED))
    check.hear(orders_breaker(BreakerState.OPEN))
    check.problem(0)
    assert check.is_due(30 * S)


def test_a_ban_is_told_once_until_it_is_over_or_longer_than_it_was_said() -> None:
    left = [0.0, 2.0, 0.0, 120.0, 119.5, 118.0, 600.0, 599.0, 1.0, 0.0, 3.0]
    looks = iter(left)
    check = BanCheck(lambda: next(looks))
    told = [check.problem(round(now * S)) for now in (0, 1, 3, 4, 4.5, 6, 7, 8, 606, 607, 700)]

    first, longer = (f"the exchange takes no requests for {n} s, because there were too many" for n in (120, 600))
    assert told == ["", "", "", first, first, first, longer, longer, longer, "", ""]


# -- the settings -----------------------------------------------------------------------------------------------------


def test_settings_are_durations_and_sizes_and_none_turns_one_off() -> None:
    watch = config_from_dict({"watch": {"handler": "2s", "pause": "none", "memory": "1.5GiB"}}).watch

    assert (watch.ns("handler"), watch.ns("pause"), watch.ns("disk")) == (2 * S, None, 5 * S)
    assert WatchConfig().memory is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pause": "5"}, "watch.pause is '5': '5' is not a duration"),
        ({"memory": "2"}, "watch.memory is '2': '2' is not a size"),
        ({"memory": "0GB"}, "'0GB' is not a size"),
        ({"handler": "1m"}, "handler_exit is '1m', not after handler ('1m')"),
        ({"handle": "1m"}, "there is no key 'handle' in watch; did you mean 'handler'?"),
    ],
)
def test_wrong_settings_are_refused_in_words(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_from_dict({"watch": settings})
    assert said in str(refused.value)


def test_the_handler_that_runs_is_named_and_none_if_there_is_none() -> None:
    found: list[str] = []
    bus = InMemoryEventBus()
    bus.subscribe(Ping, lambda event: found.append(running_handler(threading.get_ident())))

    bus.publish(Ping())

    assert f"at {__file__}:" in found[0]
    assert running_handler(threading.get_ident()) == ""
