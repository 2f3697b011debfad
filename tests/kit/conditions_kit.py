"""Hypothesis strategies for conditions, and an evaluator that is written independently of the domain's."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tickdeck.domain.conditions import FUNCTIONS, Reference
from tickdeck.domain.conditions.syntax import (
    And,
    Arithmetic,
    Comparison,
    Negative,
    Node,
    Not,
    Number,
    Or,
    TimeOfDay,
)
from tickdeck.domain.conditions.vocabulary import Kind

NAMES = st.sampled_from(
    ["BTCUSDT", "1INCHUSDT", "1000PEPE", "BTC-PERP", "and", "1h", "14", "x", "rsi", "BTC/USDT:USDT"]
)
TIMEFRAMES = st.sampled_from(["250ms", "1m", "90m", "1h", "1d", "1w", "1mo"])


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """Any name with arguments that it takes."""
    name = draw(st.sampled_from([name for name, function in FUNCTIONS.items() if function.kind is Kind.NUMBER]))
    function = FUNCTIONS[name]
    timeframe = function.timeframe == "required" or (function.timeframe and draw(st.booleans()))
    return Reference(
        function=name,
        of=draw(NAMES) if function.of else "",
        symbol=draw(st.just("") | NAMES) if function.symbol else "",
        count=draw(st.integers(1, 10_000)) if function.count else 0,
        timeframe=draw(TIMEFRAMES) if timeframe else "",
    )


def _numbers() -> SearchStrategy[Node]:
    decimals = st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=3)
    return st.builds(Number, decimals, st.booleans())


def _values(leaves: SearchStrategy[Node], signs: str) -> SearchStrategy[Node]:
    def longer(inner: SearchStrategy[Node]) -> SearchStrategy[Node]:
        return st.builds(Negative, inner) | st.builds(Arithmetic, st.sampled_from(signs), inner, inner)

    return st.recursive(leaves, longer, max_leaves=4)


def nodes(leaves: SearchStrategy[Node] | None = None, signs: str = "+-*/") -> SearchStrategy[Node]:
    """Any condition whose values are made of ``leaves``, by default numbers and references, and ``signs``."""
    values = _values(leaves if leaves is not None else _numbers() | references(), signs)
    comparing = st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "crosses_above", "crosses_below"])
    times = st.builds(
        Comparison,
        st.sampled_from(["<", "<=", ">", ">="]),
        st.just(Reference(function="time")),
        st.builds(TimeOfDay, st.integers(0, 86_399)),
    )
    comparisons = st.builds(Comparison, comparing, values, values)

    def longer(inner: SearchStrategy[Node]) -> SearchStrategy[Node]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(comparisons | times, longer, max_leaves=6)


class PlainEvaluator:
    """Evaluates in fractions, with the whole past of each crossing, and truths as -1, 0 (unknown) and 1."""

    def __init__(self) -> None:
        self.past: dict[tuple[int, ...], list[int]] = {}

    def truth(self, node: Node, values: Mapping[Reference, Decimal | None], path: tuple[int, ...] = ()) -> int:
        if isinstance(node, Not):
            return -self.truth(node.operand, values, (*path, 0))
        if isinstance(node, And):
            return min(self.truth(part, values, (*path, n)) for n, part in enumerate(node.parts))
        if isinstance(node, Or):
            return max(self.truth(part, values, (*path, n)) for n, part in enumerate(node.parts))
        assert isinstance(node, Comparison)
        left, right = value_of(node.left, values), value_of(node.right, values)
        if left is None or right is None:
            return 0
        if node.operator.startswith("crosses"):
            return self._crossing(node.operator, left - right, path)
        held = {"<": left < right, ">": left > right, "==": left == right}
        held |= {"<=": held["<"] or held["=="], ">=": held[">"] or held["=="], "!=": not held["=="]}
        return 1 if held[node.operator] else -1

    def _crossing(self, operator: str, difference: Fraction, path: tuple[int, ...]) -> int:
        past = self.past.setdefault(path, [])
        before = past[-1] if past else 0
        if difference:
            past.append(1 if difference > 0 else -1)
        if not before:
            return 0
        wanted = 1 if operator == "crosses_above" else -1
        return 1 if difference * wanted > 0 and before == -wanted else -1


def value_of(node: Node, values: Mapping[Reference, Decimal | None]) -> Fraction | None:
    if isinstance(node, Number):
        return Fraction(node.value) / (100 if node.percent else 1)
    if isinstance(node, TimeOfDay):
        return Fraction(node.seconds * 10**9)
    if isinstance(node, Reference):
        value = values[node]
        return None if value is None else Fraction(value)
    if isinstance(node, Negative):
        inner = value_of(node.operand, values)
        return None if inner is None else -inner
    assert isinstance(node, Arithmetic)
    left, right = value_of(node.left, values), value_of(node.right, values)
    if left is None or right is None or (node.operator == "/" and not right):
        return None
    match node.operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return left / right
