"""Each mistake that people bring from other languages is told with what to write instead."""

from __future__ import annotations

import pytest

from tickdeck.domain.conditions import parse_condition
from tickdeck.errors import ConditionError


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("price > 65,000", 11, "write numbers without separators, such as 65000"),
        ("(rsi(14) < 30), position == 0", 15, "combine conditions with `and` or `or`"),
        ("price > $65000", 9, "write amounts without a currency"),
        ("price > +5", 9, "write a number without +"),
        ("price > 5.", 10, "write numbers as 65000 or 0.5"),
        ("price => 5", 7, "write >="),
        ("price =< 5", 7, "write <="),
        ("price === 5", 9, "write == to compare"),
        ("price ≥ 5", 7, "write >="),
        ("price <> 5", 8, "write != for not equal"),
        ("price ** 2 > 5", 8, "there are no powers"),
        ("price % 2 == 0", 7, "only a number is followed by %, as in 2%"),
        ("price > \u22125", 9, "write the minus of the keyboard: -"),
        ("price(“BTCUSDT”) > 5", 7, 'use plain double quotes: "BTC-PERP"'),
        ("price\xa0> 5", 6, "write an ordinary blank, or nothing"),
        ("close(5m)[1] > 5", 10, "use parentheses, as in close(1h)"),
        ("price BTCUSDT > 5", 7, "write price(BTCUSDT)"),
        ('"price" > 5', 1, "only names in parentheses have quotes"),
        ("price 5", 7, "compare them, as in `price > 100`"),
        ("price is above 100", 7, "compare with <, <=, >, >=, == or !="),
        ("price(BTC/USDT) > 5", 10, "put quotes around a name with '/': \"BTC/USDT\""),
        ("pnl(my-dip) < 2", 7, "put quotes around a name with '-': \"my-dip\""),
        ("rsi(14, 1 h) < 30", 11, "write 1h without a blank"),
        ("rsi(14 1h) < 30", 8, "write a comma between arguments"),
        ("time >= 4:00 pm UTC", 14, "write times with 24 hours and UTC, such as 16:00 UTC"),
        ("time >= 16:00 utc", 15, "write 16:00 UTC"),
        ("time >= 16:00 CET", 15, "give the time in UTC, such as 16:00 UTC"),
        ("time >= 4pm", 9, "write a time of day as 16:00 UTC"),
        ("price > 5and price < 9", 9, "write a blank between 5 and `and`"),
        ("mid > 5", 1, "write (bid + ask) / 2"),
        ("if price > 5", 1, "write the condition alone"),
        ("abs(price) > 5", 1, "combine comparisons with `and` and `or`"),
        ("price > NaN", 9, "compare with a number, such as 100"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(text: str, column: int, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)

    assert caught.value.column == column
    assert str(caught.value).split("; ", 1)[1].startswith(hint)
