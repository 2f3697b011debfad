"""Limits, retries and breakers on virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualWall, run

from tickdeck.errors import (
    ConfigError,
    InsufficientFunds,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from tickdeck.infrastructure.resilience import (
    Backoff,
    BreakerState,
    BreakerTransition,
    CircuitBreaker,
    RateLimiter,
    WeightLimit,
    circuit_breaker_protected,
    retry_with_backoff,
)

S = 1_000_000_000


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_000 * 60 * S

    def monotonic_ns(self) -> int:
        return self.now

    def time_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += round(seconds * S)


def down() -> VenueUnavailable:
    return VenueUnavailable("the venue is down")


# -- retries ----------------------------------------------------------------------------------------------------------


class Call:
    """Raises the given errors, one per call, then returns 7. Records when it was called."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.times: list[int] = []

    async def __call__(self) -> int:
        self.times.append(asyncio.get_running_loop().time().__round__())
        if self._errors:
            raise self._errors.pop(0)
        return 7


def retried(call: Call, **settings: object):
    async def ask() -> int:
        return await call()

    wait = Backoff(first=1, jitter=0)
    return retry_with_backoff(clock=VirtualWall(), backoff=wait, **settings)(ask)()  # type: ignore[arg-type]


def test_a_query_is_retried_after_doubling_waits() -> None:
    call = Call(down(), down(), down())

    assert run(retried(call)) == 7
    assert call.times == [0, 1, 3, 7]


def test_the_last_error_is_raised_when_no_attempt_is_left() -> None:
    call = Call(*[down() for _ in range(9)])

    with pytest.raises(VenueUnavailable):
        run(retried(call, attempts=3))
    assert len(call.times) == 3


def test_unknown_outcomes_are_never_retried_whatever_the_caller_lists() -> None:
    call = Call(OutcomeUnknown("timed out"))

    with pytest.raises(OutcomeUnknown):
        run(retried(call, on=(Exception,)))
    assert call.times == [0]


def test_a_refusal_is_not_retried() -> None:
    call = Call(InsufficientFunds("no money"))

    with pytest.raises(InsufficientFunds):
        run(retried(call))
    assert call.times == [0]


def test_a_limit_is_waited_out_as_the_venue_asks_and_a_ban_is_not_retried() -> None:
    call = Call(RateLimited("slow down", wait=20), RateLimited("banned", wait=120, banned=True))

    with pytest.raises(RateLimited, match="banned"):
        run(retried(call))
    assert call.times == [0, 20]


@given(st.integers(1, 200), st.integers())
def test_a_wait_lies_between_its_bounds(attempt: int, seed: int) -> None:
    backoff = Backoff(first=0.5, longest=30, jitter=0.5)
    longest = min(30.0, 0.5 * 2.0 ** (attempt - 1))

    assert longest / 2 <= backoff.wait(attempt, random.Random(seed)) <= longest


# -- the breaker ------------------------------------------------------------------------------------------------------


class Protected:
    def __init__(self, **settings: object) -> None:
        self.clock = Clock()
        self.changes: list[BreakerTransition] = []
        self.breaker = CircuitBreaker(
            "binance/orders",
            clock=self.clock,
            on_transition=self.changes.append,
            **settings,  # type: ignore[arg-type]
        )
        self.calls = 0

    def call(self, error: BaseException | None = None) -> None:
        with self.breaker:
            self.calls += 1
            if error is not None:
                raise error

    def fail(self, times: int, error: BaseException | None = None) -> None:
        for _ in range(times):
            with pytest.raises(type(error or down())):
                self.call(error or down())


def test_a_breaker_opens_after_five_failures_in_a_row_and_then_calls_nothing() -> None:
    protected = Protected()
    protected.fail(5)
    with pytest.raises(VenueUnavailable, match=rf"not called, because it failed 5 times in a row \({down()}\)"):
        protected.call()

    assert protected.calls == 5
    assert protected.changes == [
        BreakerTransition("binance/orders", BreakerState.CLOSED, BreakerState.OPEN, "VenueUnavailable")
    ]


def test_a_success_resets_the_count_of_failures() -> None:
    protected = Protected()
    for _ in range(3):
        protected.fail(4)
        protected.call()

    assert protected.breaker.state is BreakerState.CLOSED


def test_a_refusal_never_counts() -> None:
    protected = Protected()
    protected.fail(4)
    protected.fail(20, InsufficientFunds("no money"))
    protected.fail(4)

    assert protected.breaker.state is BreakerState.CLOSED


def test_one_probe_after_thirty_seconds_closes_the_breaker_or_opens_it_again() -> None:
    protected = Protected()
    protected.fail(5)
    protected.clock.now += 30 * S
    protected.fail(1)
    protected.clock.now += 29 * S
    with pytest.raises(VenueUnavailable, match="not called"):
        protected.call()
    protected.clock.now += 1 * S
    protected.call()

    assert [change.after.value for change in protected.changes] == ["open", "half_open", "open", "half_open", "closed"]


def test_during_the_probe_other_calls_fail_immediately() -> None:
    protected = Protected()
    protected.fail(5)
    protected.clock.now += 30 * S
    with protected.breaker, pytest.raises(VenueUnavailable, match="not called"):
        protected.call()

    assert protected.breaker.state is BreakerState.CLOSED


def test_a_cancelled_probe_leaves_room_for_the_next_one() -> None:
    protected = Protected()
    protected.fail(5)
    protected.clock.now += 30 * S
    protected.fail(1, asyncio.CancelledError())
    protected.call()

    assert protected.breaker.state is BreakerState.CLOSED


def test_calls_in_progress_when_it_opened_do_not_open_it_again() -> None:
    protected = Protected()
    late = [CircuitBreaker.__enter__(protected.breaker) for _ in range(7)]
    for breaker in late:
        breaker.__exit__(VenueUnavailable, down(), None)

    assert [change.after.value for change in protected.changes] == ["open"]


def test_a_protected_function_goes_through_its_breaker() -> None:
    protected = Protected(failures=1)

    @circuit_breaker_protected(protected.breaker)
    async def ask(error: Exception | None = None) -> int:
        if error is not None:
            raise error
        return 7

    assert run(ask()) == 7
    for _ in range(2):
        with pytest.raises(VenueUnavailable):
            run(ask(down()))
    assert protected.breaker.state is BreakerState.OPEN


# -- the rate limiter -------------------------------------------------------------------------------------------------


def limiter(clock: Clock) -> RateLimiter:
    limits = [WeightLimit(name="weight", limit=100, seconds=60), WeightLimit(name="orders", limit=10, seconds=10)]
    return RateLimiter("binance", limits, clock=clock)


def test_calls_stop_before_the_limit_and_go_on_in_the_next_interval() -> None:
    clock = Clock()
    limits = limiter(clock)
    clock.now += 15 * S
    for _ in range(9):
        limits.admit(weight=10)
    with pytest.raises(RateLimited) as caught:
        limits.admit(weight=1)
    assert caught.value.wait == pytest.approx(45)

    clock.now += 45 * S
    limits.admit(weight=90)


def test_cancels_have_reserved_room() -> None:
    limits = limiter(Clock())
    for _ in range(9):
        limits.admit(orders=1)
    with pytest.raises(RateLimited):
        limits.admit(orders=1)
    limits.admit(urgent=True, orders=1)
    with pytest.raises(RateLimited):
        limits.admit(urgent=True, orders=1)


def test_a_refused_call_is_not_counted() -> None:
    limits = limiter(Clock())
    with pytest.raises(RateLimited):
        limits.admit(weight=50, orders=50)

    assert limits.used("weight", 60) == 0


def test_the_venues_count_replaces_ours_up_and_down() -> None:
    limits = limiter(Clock())
    limits.observe("weight", 60, 95)
    with pytest.raises(RateLimited):
        limits.admit(weight=1)
    limits.observe("weight", 60, 5)
    limits.admit(weight=80)

    assert limits.used("weight", 60) == 85


def test_a_refusal_of_one_stops_all_that_use_the_address() -> None:
    clock = Clock()
    feed, one, other = limiter(clock), limiter(clock), limiter(clock)
    for account in (one, other):
        account.stop_with(feed)
        feed = account  # the feed takes over the limits of the account

    one.stop(7)

    assert feed.stopped_for() == one.stopped_for() == other.stopped_for() == 7
    with pytest.raises(RateLimited):
        other.admit(weight=1)
    clock.now += 7 * S
    one.admit(weight=50)
    assert other.used("weight", 60) == 0  # they count apart


def test_a_shorter_refusal_ends_no_longer_one() -> None:
    limits = limiter(Clock())
    limits.stop(60)
    limits.stop(1)

    assert limits.stopped_for() == 60


def test_one_that_joins_others_keeps_the_stop_that_it_had() -> None:
    clock = Clock()
    one, other = limiter(clock), limiter(clock)
    one.stop(7)
    one.stop_with(other)

    assert (one.stopped_for(), other.stopped_for()) == (7, 7)


def test_a_call_of_no_weight_is_sent_although_the_limit_is_exceeded() -> None:
    limits = limiter(Clock())
    limits.observe("weight", 60, 1_000)  # by other programs

    limits.admit(weight=0)
    with pytest.raises(RateLimited):
        limits.admit(urgent=True, weight=1)


def test_a_venue_that_announces_no_limits_takes_none_away() -> None:
    limits = limiter(Clock())
    before = limits.limits
    limits.replace(())

    assert limits.limits == before != ()


def test_a_refusal_of_one_alone_stops_no_other() -> None:
    clock = Clock()
    one, other = limiter(clock), limiter(clock)
    one.stop_with(other)

    one.stop(7, alone=True)

    assert (one.stopped_for(), other.stopped_for()) == (7, 0)
    with pytest.raises(RateLimited):
        one.admit(weight=1)


def test_after_a_refusal_nothing_is_sent_until_the_wait_is_over() -> None:
    clock = Clock()
    limits = limiter(clock)
    limits.stop(7)
    with pytest.raises(RateLimited) as caught:
        limits.admit(urgent=True, weight=1)
    assert caught.value.wait == 7

    run(limits.wait_for(weight=1))
    assert clock.now == 1_000 * 60 * S + 7 * S


def test_calls_that_wait_for_room_begin_one_after_another() -> None:
    """Not all at once when the interval ends: other processes at the same address wait for its end, too."""
    began: list[float] = []

    async def work() -> None:
        wall = VirtualWall(1_000 * 60 * S)
        limits = RateLimiter("venue", [WeightLimit(name="connects", limit=5, seconds=10, reserve=0)], clock=wall)
        limits.admit(connects=5)

        async def call() -> None:
            await limits.wait_for(connects=1)
            began.append(wall.monotonic_ns() / S)

        calls = [asyncio.ensure_future(call()) for _ in range(8)]
        await asyncio.sleep(11)
        calls[2].cancel()
        await asyncio.sleep(30)
        await limits.wait_for(connects=1)  # there is room
        began.append(wall.monotonic_ns() / S)

    run(work())
    assert began == [10, 12, 16, 18, 20, 22, 24, 41]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), max_size=60))
def test_no_interval_ever_holds_more_than_the_limit_without_its_reserve(calls: list[tuple[int, int]]) -> None:
    clock = Clock()
    limits = limiter(clock)
    counted: dict[int, int] = {}
    waits: list[float] = []
    for weight, pause in calls:
        clock.now += pause * S
        try:
            limits.admit(weight=weight)
        except RateLimited as error:
            waits.append(error.wait)
        else:
            minute = clock.now // (60 * S)
            counted[minute] = counted.get(minute, 0) + weight

    assert all(weight <= 90 for weight in counted.values())
    assert all(0 < wait <= 60 for wait in waits)


@pytest.mark.parametrize("make", [lambda: Backoff(first=-1), lambda: CircuitBreaker("x", failures=0)])
def test_settings_out_of_range_are_refused(make) -> None:
    with pytest.raises(ConfigError, match="give"):
        make()
