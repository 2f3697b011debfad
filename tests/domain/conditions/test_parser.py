"""The text of a condition: what is read, what is refused, and that both are one-line and exact."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from conditions_kit import nodes
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tickdeck.application.signals import built_in_signal
from tickdeck.domain.conditions import FUNCTIONS, Condition, Reference, parse_condition, signal_name
from tickdeck.domain.conditions.parser import LONGEST
from tickdeck.domain.conditions.syntax import And, Comparison, Negative, Node, Number, Or, walk
from tickdeck.errors import ConditionError, ConfigError

DOCS = Path(__file__).resolve().parents[3] / "docs"


PROFIT = Reference(function="profit_pct")
TWO_PERCENT = Number(Decimal("2"), percent=True)


@given(nodes())
@example(Comparison("<", Number(Decimal("0.000"), percent=True), PROFIT))
@example(Or((Comparison(">", Negative(PROFIT), Negative(Negative(TWO_PERCENT))), Comparison("<", PROFIT, PROFIT))))
@example(Comparison("<", TWO_PERCENT, TWO_PERCENT))
def test_what_is_written_reads_as_the_same_condition(node: Node) -> None:
    """Only a value in percent with a number in percent is refused: it would be a hundredth of what is meant."""
    text = str(node)
    error, read = outcome(text)
    assume(error is None or ("nested" not in str(error) and "characters" not in str(error)))
    if any(map(is_percent_of_percent, walk(node))):
        assert "the other side counts in percent already" in str(error)
        return
    assert error is None
    assert read == Condition(node)
    assert str(read) == text


def is_percent_of_percent(node: Node) -> bool:
    """Whether a value in percent is compared with a number that has a % sign."""
    if not isinstance(node, Comparison):
        return False
    sides = [without_signs(node.left), without_signs(node.right)]
    counts = [isinstance(side, Reference) and FUNCTIONS[side.function].percent for side in sides]
    signed = [isinstance(side, Number) and side.percent for side in sides]
    return any(counts) and any(signed)


def without_signs(node: Node) -> Node:
    return without_signs(node.operand) if isinstance(node, Negative) else node


WORDS = 'rsi ( 14 , 1h ) < 30 and not or price % : == crosses_above UTC 16:00 " -'


@given(st.text() | st.lists(st.sampled_from(WORDS.split())).map(" ".join))
@example("(" * LONGEST)
@example("-" * LONGEST + "1")
@example("not " * 200)
@example("price > " + "9" * 900)
@example("ema(" + "9" * 900 + ") > 1")
@example("close(" + "9" * 900 + "h) > 1")
@example("٣ > price")
def test_any_text_is_a_condition_or_one_error(text: str) -> None:
    error, condition = outcome(text)
    if condition is not None:
        assert parse_condition(str(condition)) == condition
    else:
        assert error is not None
        assert 1 <= error.column <= len(text) + 1
        assert f"column {error.column}:" in str(error)
        assert "\n" not in str(error)
        assert len(str(error)) < 700


def outcome(text: str) -> tuple[ConditionError | None, Condition | None]:
    try:
        return None, parse_condition(text)
    except ConditionError as error:
        return error, None


def test_and_binds_more_than_or_and_not_more_than_both() -> None:
    root = parse_condition("price < 1 or not price > 2 and price != 3").root

    assert isinstance(root, Or)
    assert isinstance(root.parts[1], And)
    assert str(parse_condition("(price < 1 or price > 2) and price != 3")) == "(price < 1 or price > 2) and price != 3"


def test_the_arguments_of_a_name_are_read_by_their_form() -> None:
    condition = parse_condition('rsi("BTC-PERP", 14, 60m) < 30 and close(1INCHUSDT, 1d) > signal(spread)')

    assert condition.references == (
        Reference(function="rsi", symbol="BTC-PERP", count=14, timeframe="1h"),
        Reference(function="close", symbol="1INCHUSDT", timeframe="1d"),
        Reference(function="signal", of="spread"),
    )
    assert [signal_name(reference) for reference in condition.references] == ["rsi-14@1h", "", "spread"]


def test_a_percentage_is_a_hundredth() -> None:
    root = parse_condition("price > 2%").root

    assert isinstance(root, Comparison)
    assert isinstance(root.right, Number)
    assert root.right.percent


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.count])
def test_every_indicator_of_the_language_is_a_signal(name: str) -> None:
    assert built_in_signal(signal_name(Reference(function=name, count=14))) is not None


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "the condition is empty; give one such as `price > 100`"),
        ("rsy(14) < 30", 1, "there is no 'rsy'; did you mean 'rsi'?"),
        ("RSI(14) < 30", 1, "there is no 'RSI'; did you mean 'rsi'?"),
        ("BTCUSDT > 1", 1, "there is no 'BTCUSDT'; the price of a symbol is price(BTCUSDT)"),
        ("price = 3", 7, "'=' has no meaning here; write == to compare"),
        ("price < 1e5", 9, "'1e5' is no number; write all digits, such as 65000 or 0.00001"),
        ("price < 1E-5", 9, "'1E' is no number; write all digits"),
        ("price < 65k", 9, "'65k' is no number; write all digits"),
        ("price < 60_000", 9, "'60_000' is no number; write all digits"),
        ("price > 1 && bid > 1", 11, "'&' has no meaning here; write `and`"),
        ("price > 1 AND bid > 1", 11, "did you mean 'and'?"),
        ("price crosses above 1", 7, "write crosses_above or crosses_below"),
        ("rsi(14)", 1, "this is a number, not a condition; compare it, as in `price > 100`"),
        ("price > 1 and 2", 15, "this is a number, not a condition"),
        ("not price", 5, "this is a number, not a condition"),
        ("price + (bid > 1) > 2", 10, "this is a truth, and a number is needed"),
        ("(price > 1) > 2", 2, "a truth cannot be compared"),
        ("1 < price < 2", 11, "a comparison has two sides; combine comparisons with `and`"),
        ("price > ", 9, "the condition ends where a value"),
        ("(price > 1", 11, "the condition ends where `)` is needed"),
        ("price > 1 2", 11, "there is '2' where an operator"),
        ("ema > 1", 1, "ema: it needs a whole number of candles; its arguments are: a symbol (optional), a whole"),
        ("ema(1.5) > 1", 5, "1.5 is no count; give a whole number from 1 to 10000"),
        ("ema(0) > 1", 5, "0 is no count"),
        ("close > 1", 1, "close: it needs the interval of candles, such as 1h"),
        ("close(3y) > 1", 1, "close: it needs the interval of candles"),
        ("close(900d) > 1", 7, "candles of 900d are too long; give at most a year"),
        ("equity(BTCUSDT) > 1", 8, "equity: 'BTCUSDT' does not belong here; its arguments are: no arguments"),
        ("price(BTC-PERP) > 1", 10, "put quotes around a name with '-': \"BTC-PERP\""),
        ('price("BTC) > 1', 7, "the quote is not closed"),
        ('price("B TC") > 1', 7, "'B TC' is no name"),
        ("signal > 1", 1, "signal: it needs the name of a signal"),
        ("pnl_pct(dip) < -2%", 16, "the other side counts in percent already; leave out the % sign"),
        ("0.000% < profit_pct", 1, "the other side counts in percent already; leave out the % sign"),
        ("pnl > 1", 1, "pnl: it needs the name of a strategy"),
        ("time > 16:00", 13, "the time has no zone; write 16:00 UTC"),
        ("time > 24:00 UTC", 8, "24:00 is no time of day; give one from 00:00 UTC to 23:59:59 UTC"),
        ("time == 16:00 UTC", 6, "== does not work with times"),
        ("time crosses_above 16:00 UTC", 6, "crosses_above does not work with times"),
        ("time > 16", 6, "a time of day cannot be compared with a number; write a time of day as 16:00 UTC"),
        ("price > " + "1" * 31, 9, "the number has more than 30 digits; round it"),
        ("price > " + "(" * 21 + "1", 29, "more than 20 parts are nested here; split the condition"),
        ("price > 1" + " " * LONGEST, LONGEST + 1, "the condition has 1009 characters; at most 1000 are read"),
    ],
)
def test_a_mistake_is_told_with_its_column_and_how_to_mend_it(text: str, column: int, told: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)

    assert told in str(caught.value)
    assert caught.value.column == column
    assert isinstance(caught.value, ConfigError)


def test_the_documentation_names_everything_that_a_condition_may_use() -> None:
    page = (DOCS / "triggers.md").read_text("utf-8")

    assert [name for name in FUNCTIONS if f"`{name}" not in page] == []
