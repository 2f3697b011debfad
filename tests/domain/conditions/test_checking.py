"""Conditions that can be read, but cannot mean what they say."""

from __future__ import annotations

import pytest
from conditions_kit import nodes
from hypothesis import given

from tickdeck.domain.conditions import check_condition, parse_condition
from tickdeck.domain.conditions.syntax import Node
from tickdeck.errors import ConditionError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 > 0", "column 1: nothing in 1 > 0 ever changes; compare with a value such as price"),
        ("price > 1 and 2 > 1", "column 15: nothing in 2 > 1 ever changes"),
        ("16:00 UTC < 17:00 UTC", "column 1: nothing in 16:00 UTC < 17:00 UTC ever changes"),
        ("price >= price", "column 1: price >= price compares a value with itself; compare it with another"),
        ("price / (2 - 2) > 1", "column 1: price / (2 - 2) has no value: it divides by zero"),
        ("rsi(14) > 100", "column 1: rsi(14) > 100 never holds: rsi is never above 100; give another value"),
        ("100 < rsi(14)", "column 1: 100 < rsi(14) never holds: rsi is never above 100"),
        ("rsi(14) crosses_above 100", "column 1: rsi(14) crosses_above 100 never holds"),
        ("rsi(14) <= 200", "column 1: rsi(14) <= 200 always holds: rsi is never above 100"),
        ("rsi(14) < 30%", "column 1: rsi counts from 0 to 100; leave out the % sign"),
        ("imbalance(5) < -1", "column 1: imbalance(5) < -1 never holds: imbalance is never below -1"),
        ("price == 1 or not volume(1h) < 0", "column 19: volume(1h) < 0 never holds: volume is never below 0"),
        ("price > -5", "column 1: price > -5 always holds: price is never below 0"),
        ("price > 2%", "column 1: 2% is the number 0.02, not a share of a value; write a share as `ema(20, 1h) * 2%`"),
        ("time < 00:00 UTC", "column 1: time < 00:00 UTC never holds: time is never before 00:00 UTC"),
    ],
)
def test_it_is_refused_with_the_column_of_the_comparison(text: str, told: str) -> None:
    parse_condition(text)  # also an older version's record is read

    with pytest.raises(ConditionError) as caught:
        check_condition(text)

    assert told in str(caught.value)
    assert caught.value.column == int(told.split(":")[0].removeprefix("column "))


@pytest.mark.parametrize(
    "text",
    [
        "price > 0",
        "rsi(14) >= 100 or rsi(14) <= 0",
        "imbalance(5) > 20% and imbalance(5) >= -1",
        "signal(x) < 5%",
        "price < ema(20) * 98%",
        "profit_pct < -0.02",
        "time >= 00:00 UTC",
        "price(BTCUSDT) > price(ETHUSDT)",
        "equity < 0",
    ],
)
def test_what_may_hold_and_may_not_is_taken(text: str) -> None:
    check_condition(text)


@given(nodes())
def test_any_condition_is_taken_or_refused_in_one_line(node: Node) -> None:
    error = refusal(str(node))

    assert error is None or ("\n" not in str(error) and error.column >= 1)


def refusal(text: str) -> ConditionError | None:
    try:
        check_condition(text)
    except ConditionError as error:
        return error
    return None
