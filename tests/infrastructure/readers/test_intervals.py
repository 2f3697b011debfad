"""Where candles end: never before their own end, and without false gaps."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.market import Timeframe, parse_timeframe
from tickdeck.infrastructure.readers.intervals import OverlapError, candle_ends

S = 1_000_000_000
M, H, D = 60 * S, 3_600 * S, 86_400 * S
START = 1_723_161_600 * S  # 2024-08-09T00:00:00Z


def opens(*steps: int) -> list[int]:
    return list(accumulate(steps, initial=START))


def lengths(begins: list[int], given_: Timeframe | None = None) -> list[int]:
    ends = candle_ends(begins, given_)
    assert ends is not None
    return [end - begin for begin, end in zip(begins, ends, strict=True)]


def local(zone: str, first: date, count: int, *, months: bool = False) -> list[int]:
    """Midnights in a zone, as ns UTC."""
    days = [first + timedelta(days=n) for n in range(count)]
    if months:
        numbers = [first.month - 1 + n for n in range(count)]
        days = [date(first.year + n // 12, n % 12 + 1, 1) for n in numbers]
    return [int(datetime.combine(day, time(), ZoneInfo(zone)).timestamp()) * S for day in days]


def test_a_gap_in_the_second_row_is_a_gap() -> None:
    assert lengths(opens(2 * M, M, M, M)) == [M] * 5


def test_daily_bars_that_skip_weekends_last_a_day() -> None:
    assert lengths(opens(3 * D, D, D, D, D, 3 * D, D, D)) == [D] * 9


def test_coarser_candles_after_finer_ones_keep_their_own_end() -> None:
    assert lengths(opens(M, 4 * M, 5 * M, 5 * M)) == [M, 4 * M, 5 * M, 5 * M, 5 * M]
    assert lengths(opens(*[M] * 20, *[5 * M] * 20)) == [*[M] * 20, *[5 * M] * 21]


def test_finer_candles_after_coarser_ones_keep_their_own_end() -> None:
    assert lengths(opens(*[H] * 5, *[M] * 5)) == [*[H] * 5, *[M] * 6]


def test_minutes_without_trades_are_gaps_and_not_longer_candles() -> None:
    assert lengths(opens(M, 2 * M, 2 * M, M, 3 * M, M, M)) == [M] * 8


@pytest.mark.parametrize("first", ["2024-01-01", "2024-02-01"])
def test_months_end_with_the_calendar(first: str) -> None:
    begins = local("UTC", date.fromisoformat(first), 6, months=True)

    ends = candle_ends(begins)

    assert ends == local("UTC", date.fromisoformat(first), 7, months=True)[1:]


def test_quarters_are_months_and_a_missing_one_is_a_gap() -> None:
    quarters = local("UTC", date(2023, 1, 1), 25, months=True)[::3]
    del quarters[3]

    ends = candle_ends(quarters)

    assert ends is not None
    assert [a == b for a, b in zip(ends, quarters[1:], strict=False)] == [True, True, False, True, True, True, True]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney"])
@pytest.mark.parametrize("months", [False, True])
def test_days_and_months_of_a_time_zone_end_where_the_next_starts(zone: str, months: bool) -> None:
    begins = local(zone, date(2024, 1, 1), 400 if not months else 20, months=months)

    ends = candle_ends(begins)

    assert ends is not None
    assert ends[:-1] == begins[1:]
    assert ends[-1] >= begins[-1] + (D if not months else 28 * D)


def test_one_row_needs_an_interval() -> None:
    assert candle_ends([START]) is None
    assert candle_ends([START], Timeframe(M)) == [START + M]
    assert candle_ends([START - 8 * D], parse_timeframe("1mo")) == [1_725_148_800 * S]  # August 2024


def test_a_given_interval_that_is_longer_than_the_steps_is_refused_with_its_row() -> None:
    with pytest.raises(OverlapError, match="starts before the previous one ends") as caught:
        candle_ends(opens(5 * M, M), Timeframe(5 * M))
    assert caught.value.index == 2


def test_a_given_day_may_have_23_or_25_hours() -> None:
    assert lengths(opens(D, 23 * H, 25 * H, D), Timeframe(D)) == [D, 23 * H, 25 * H, D, D]


@given(st.lists(st.integers(1, 50).map(lambda n: n * M), min_size=1, max_size=60))
def test_no_end_is_after_the_next_start_or_at_its_own(steps: list[int]) -> None:
    begins = opens(*steps)

    ends = candle_ends(begins)

    assert ends is not None
    assert all(begin < end for begin, end in zip(begins, ends, strict=True))
    assert all(end <= after for end, (_, after) in zip(ends, pairwise(begins), strict=False))


@given(st.sampled_from([M, 5 * M, H, D]), st.sets(st.integers(0, 199), min_size=150))
def test_regular_candles_with_gaps_are_never_known_early(step: int, there: set[int]) -> None:
    begins = [START + n * step for n in sorted(there)]

    assert all(length >= step for length in lengths(begins))
