"""What a condition is worth: true, false, or unknown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, DecimalException
from typing import TypeAlias

from tickdeck.domain.conditions.condition import Condition
from tickdeck.domain.conditions.syntax import (
    CROSSINGS,
    And,
    Arithmetic,
    Comparison,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Reference,
    TimeOfDay,
)

__all__ = ["Evaluator", "Values", "constant"]

Values: TypeAlias = Callable[[Reference], Decimal | None]
"""The value of a reference now; ``None`` if it is not known. A time of day is in ns since midnight, UTC."""

_CONTEXT = Context(prec=34)
"""Of the arithmetic of conditions, whatever the caller's context is."""


class Evaluator:
    """Evaluates one condition again and again.

    ``sides`` has, for each crossing from left to right, the side on which its left value was when the two were last
    known and different: 1 above, -1 below, 0 never. It is the whole state, and may be restored. ``is_settled`` says
    whether the last evaluation left it as it was: then the same values give the same again.
    """

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.sides = [0] * condition.crossings
        self.is_settled = True

    def evaluate(self, values: Values) -> bool | None:
        """Whether the condition holds now. ``None`` if that depends on a value that is not known.

        A crossing holds if the left value is now on the other side of the right one than it was before. Equal values
        are on no side. It is unknown until both have been on a side once.
        """
        if not self.sides:
            return _Pass(values, self.sides).truth(self.condition.root)
        before = self.sides.copy()
        holds = _Pass(values, self.sides).truth(self.condition.root)
        self.is_settled = self.sides == before
        return holds


def constant(node: Node) -> Decimal | None:
    """What a value is worth that never changes; ``None`` if it may change, or is never known."""
    return _Pass(lambda _: None, []).value(node)


class _Pass:
    """One evaluation. Every part is evaluated, so that each crossing sees every change."""

    def __init__(self, values: Values, sides: list[int]) -> None:
        self._values = values
        self._sides = sides
        self._crossings = iter(range(len(sides)))

    def truth(self, node: Node) -> bool | None:
        match node:
            case Comparison():
                return self._comparison(node)
            case Not():
                inner = self.truth(node.operand)
                return None if inner is None else not inner
            case And():
                parts = [self.truth(part) for part in node.parts]
                return False if False in parts else None if None in parts else True
            case Or():
                parts = [self.truth(part) for part in node.parts]
                return True if True in parts else None if None in parts else False
        raise AssertionError(f"{node} is no condition")

    def _comparison(self, node: Comparison) -> bool | None:
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in CROSSINGS:
            return self._crossing(node.operator, left, right)
        if left is None or right is None:
            return None
        match node.operator:
            case "<":
                return left < right
            case "<=":
                return left <= right
            case ">":
                return left > right
            case ">=":
                return left >= right
            case "==":
                return left == right
        return left != right

    def _crossing(self, operator: str, left: Decimal | None, right: Decimal | None) -> bool | None:
        number = next(self._crossings)
        before = self._sides[number]
        if left is None or right is None:
            return None
        now = (left > right) - (left < right)
        if now:
            self._sides[number] = now
        if not before:
            return None
        return now == -before and now == (1 if operator == "crosses_above" else -1)

    def value(self, node: Node) -> Decimal | None:
        match node:
            case Number():
                return node.value.scaleb(-2, _CONTEXT) if node.percent else node.value
            case TimeOfDay():
                return Decimal(node.ns)
            case Reference():
                return self._values(node)
            case Negative():
                inner = self.value(node.operand)
                return None if inner is None else inner.copy_negate()
            case Arithmetic():
                left, right = self.value(node.left), self.value(node.right)
                return None if left is None or right is None else _computed(node.operator, left, right)
        raise AssertionError(f"{node} is no value")


def _computed(operator: str, left: Decimal, right: Decimal) -> Decimal | None:
    """``None`` for what has no finite value, such as a division by zero."""
    try:
        match operator:
            case "+":
                value = _CONTEXT.add(left, right)
            case "-":
                value = _CONTEXT.subtract(left, right)
            case "*":
                value = _CONTEXT.multiply(left, right)
            case _:
                value = _CONTEXT.divide(left, right)
    except DecimalException:
        return None
    return value if value.is_finite() else None
