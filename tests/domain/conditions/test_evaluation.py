"""What a condition is worth, against an independent evaluator."""

from __future__ import annotations

from decimal import Decimal, getcontext, localcontext

from conditions_kit import PlainEvaluator, nodes
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.conditions import Condition, Evaluator, Reference, parse_condition
from tickdeck.domain.conditions.syntax import Node, Number

PRICE, BID, TIME = (Reference(function=name) for name in ("price", "bid", "time"))
LEAVES: list[Node] = [PRICE, BID, Number(Decimal(2)), Number(Decimal(50), True)]
TIMES = st.integers(0, 86_399).map(lambda seconds: Decimal(seconds * 10**9))


@given(
    nodes(st.sampled_from(LEAVES), "+-*"),  # a division is rounded
    st.lists(
        st.fixed_dictionaries(
            {
                PRICE: st.none() | st.sampled_from([Decimal(n) for n in (-1, 0, 1, 2, 3)]),
                BID: st.none() | st.sampled_from([Decimal(n) for n in (0, 2)]),
                TIME: TIMES,
            }
        ),
        max_size=8,
    ),
)
def test_a_condition_is_worth_what_an_independent_evaluator_says(
    node: Node, moments: list[dict[Reference, Decimal | None]]
) -> None:
    evaluator, plain = Evaluator(Condition(node)), PlainEvaluator()

    for values in moments:
        expected = {1: True, -1: False, 0: None}[plain.truth(node, values)]
        assert evaluator.evaluate(values.__getitem__) is expected


def course(text: str, prices: list[int | None]) -> list[bool | None]:
    """The values of a condition on ``price`` as the price moves."""
    evaluator = Evaluator(parse_condition(text))
    return [evaluator.evaluate(lambda _, price=price: None if price is None else Decimal(price)) for price in prices]  # type: ignore[misc]


def test_a_price_crosses_when_it_changes_sides() -> None:
    assert course("price crosses_above 10", [9, 10, 11, 12, 10, 11, 9, 11]) == [
        None,
        False,
        True,
        False,
        False,
        False,
        False,
        True,
    ]
    assert course("price crosses_below 10", [11, 9, 8]) == [None, True, False]


def test_a_value_that_becomes_known_does_not_cross() -> None:
    assert course("price crosses_above 10", [None, None, 11, 12]) == [None, None, None, False]


def test_a_crossing_sees_every_change_even_where_the_rest_decides_alone() -> None:
    text = "price > 20 and price crosses_above 10"

    assert course(text, [9, 11, 21]) == [False, False, False]


def test_what_is_unknown_counts_only_where_it_matters() -> None:
    unknown = Evaluator(parse_condition("price > 1 or bid > 1"))

    def values(price: int | None, bid: int | None) -> bool | None:
        given = {"price": price, "bid": bid}
        return unknown.evaluate(lambda r: None if given[r.function] is None else Decimal(given[r.function]))  # type: ignore[arg-type]

    assert values(2, None) is True
    assert values(0, None) is None
    assert values(0, 0) is False


def test_a_division_by_zero_is_unknown() -> None:
    assert course("1 / price > 0", [0, 1]) == [None, True]


def test_the_decimal_context_of_the_caller_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 2
        assert course("price * 1.001 > 1000.9", [1000]) == [True]
        assert getcontext().prec == 2


def test_the_sides_are_the_whole_state() -> None:
    condition = parse_condition("price crosses_above 10 or price crosses_below 5")
    before, after = Evaluator(condition), Evaluator(condition)
    before.evaluate(lambda _: Decimal(9))
    after.sides = list(before.sides)

    assert after.evaluate(lambda _: Decimal(11)) is True


def test_a_condition_with_times_names_when_it_may_change() -> None:
    hour = 3_600_000_000_000

    assert parse_condition("time >= 16:00 UTC and time < 17:00 UTC").times == (0, 16 * hour, 17 * hour)
    assert parse_condition("time > 16:00 UTC").times == (0, 16 * hour + 1)
    assert parse_condition("price > 1").times == ()
