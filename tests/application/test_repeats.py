"""Which repetitions are told."""

from __future__ import annotations

from tickdeck.application.repeats import Repeats

HOUR = 3_600_000_000_000


def test_the_first_the_tenth_and_the_hundredth_of_a_kind_are_told() -> None:
    repeats = Repeats()
    told = [number for number in range(1, 1_001) if repeats.count(("a", "b"), number)]

    assert told == [1, 10, 100, 1_000]
    assert repeats.count(("a", "c"), 0) == 1


def test_it_begins_anew_after_an_hour_without_one_and_when_it_is_forgotten() -> None:
    repeats = Repeats()
    assert [repeats.count(("a", "b"), ts) for ts in (0, HOUR - 1, 2 * HOUR - 2, 3 * HOUR - 2)] == [1, 0, 0, 1]
    repeats.count(("aa", "b"), 3 * HOUR)
    repeats.forget("a")
    assert [repeats.count((name, "b"), 3 * HOUR) for name in ("a", "aa")] == [1, 0]
