"""Parsing durations and shares."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.application.units import duration_ns, seconds_of, share_of
from tickdeck.errors import ConfigError

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [("250ms", 250 * MS), ("10 ms", 10 * MS), ("1.5s", 1_500 * MS), ("5m", 300_000 * MS), ("1H", 3_600_000 * MS),
     ("1d", 86_400_000 * MS), (" 7 us ", 7_000), ("3ns", 3)],
)  # fmt: skip
def test_a_duration_has_a_number_and_a_unit(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "10", "ms", "-1s", "1 parsec", "1h30m", "1e3s", "1,5s"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"{text!r} is not a duration"):
        duration_ns(text)


@pytest.mark.parametrize(("text", "wrong"), [("0s", "too short"), ("0.1ns", "not a whole number of nanoseconds")])
def test_a_duration_that_cannot_be_used_is_refused_with_the_reason(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=f"{text!r} is {wrong}; give a number with a unit"):
        duration_ns(text)


def test_zero_is_allowed_where_it_makes_sense() -> None:
    assert duration_ns("0ms", zero=True) == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60), ("0.5", Decimal("0.5")), ("1h", 3_600), ("250ms", Decimal("0.25"))]
)
def test_a_number_without_a_unit_means_seconds(text: str, seconds: Decimal) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_seconds_are_above_zero(text: str) -> None:
    with pytest.raises(ConfigError, match="give seconds above 0"):
        seconds_of(text)


@pytest.mark.parametrize(("text", "share"), [("0.1%", "0.001"), ("5 %", "0.05"), ("0.001", "0.001"), ("100%", "1")])
def test_a_share_may_be_a_percentage(text: str, share: str) -> None:
    assert share_of(text) == Decimal(share)


@pytest.mark.parametrize("text", ["%", "a%", "1%%", "nan", "inf%"])
def test_an_invalid_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a share"):
        share_of(text)
