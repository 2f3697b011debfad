"""Times in files: the unit follows from the size, and ambiguous times are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.infrastructure.readers.times import EARLIEST_NS, Times

NOON = 1_731_326_400_000_000_000  # 2024-11-11T12:00:00Z
DAY = 1_731_283_200_000_000_000  # 2024-11-11T00:00:00Z
TIMES = Times(latest=1_900_000_000_000_000_000)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1731326400", NOON),
        ("1731326400000", NOON),
        ("1731326400000000", NOON),
        ("1731326400000000000", NOON),
        ("1731326400000.0", NOON),
        ("1731326400.25", NOON + 250_000_000),
        ("1.731326400000E+12", NOON),
        (" 1731326400 ", NOON),
        ("2024-11-11", DAY),
        ("20241111", DAY),
        ("202411111200", NOON),
        ("20241111120000", NOON),
        ("20241111120000250", NOON + 250_000_000),
        ("20241111T120000Z", NOON),
        ("2024-11-11 12:00:00", NOON),
        ("2024-11-11T12:00:00Z", NOON),
        ("2024-11-11 12:00:00 UTC", NOON),
        ("2024-11-11 13:00:00+01:00", NOON),
        ("2024-11-11 07:00:00-0500", NOON),
        ("2024-11-11T12:00:00.123456789Z", NOON + 123_456_789),
    ],
)
def test_an_unambiguous_time_is_read_to_the_ns(text: str, ns: int) -> None:
    assert TIMES.from_text(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "11/11/2024",
        "11/12/2024 09:30",
        "2024.11.11",
        "11.11.2024",
        "2024/11/11",
        "11-Nov-24",
        "noon",
        "",
        "24-11-11",
        "nan",
    ],
)
def test_an_ambiguous_time_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an unambiguous time; write ISO 8601") as caught:
        TIMES.from_text(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1.72316E+12", "1.7E12", "2E+12"])
def test_a_time_that_lost_digits_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="it lost digits, as if a spreadsheet saved the file"):
        TIMES.from_text(text)


@pytest.mark.parametrize(
    "text", ["0", "5", "-1731326400", "1970-01-01", "2008-12-31", "2150-01-01", "99999999999999999999"]
)
def test_an_implausible_time_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"2009-01-01 to 2030-03-17 \(--earliest and --latest"):
        TIMES.from_text(text)


def test_the_range_may_be_widened_for_older_data() -> None:
    assert Times(0).from_text("1987-10-19") == 561_600_000_000_000_000
    assert Times(0).from_text("20241111") == DAY


@given(st.integers(EARLIEST_NS, TIMES.latest), st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000]))
def test_every_plausible_time_is_read_back_from_each_unit(ns: int, factor: int) -> None:
    whole = -(-ns // factor) * factor
    if whole <= TIMES.latest:
        assert TIMES.from_text(str(whole // factor)) == whole
