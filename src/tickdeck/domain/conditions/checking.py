"""Refuses conditions that can be read, but cannot mean what they say."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.domain.conditions.evaluation import constant
from tickdeck.domain.conditions.lexer import mistake
from tickdeck.domain.conditions.parser import comparisons_of
from tickdeck.domain.conditions.syntax import Arithmetic, Comparison, Node, Number, Reference, TimeOfDay, walk
from tickdeck.domain.conditions.vocabulary import FUNCTIONS, Function, Kind

__all__ = ["check_condition"]

_SWAPPED = {
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "crosses_above": "crosses_below",
    "crosses_below": "crosses_above",
}


def check_condition(text: str) -> None:
    """Raise ``ConditionError`` if the condition cannot be read, or if a comparison in it has the same result for ever:
    one of two constants, of a value with itself, with a value that is never reached, or with a division by zero. Also
    for an amount that is compared with a percentage.

    Conditions of a record are only read: an older version took those that are refused here.
    """
    for comparison, column in comparisons_of(text):
        what, hint = _why_pointless(comparison)
        if what:
            raise mistake(text, column, what, hint)


def _why_pointless(comparison: Comparison) -> tuple[str, str]:
    """What is wrong with a comparison, and how to mend it; empty if nothing is."""
    left, right = comparison.left, comparison.right
    for node in walk(comparison):
        if isinstance(node, Arithmetic) and node.operator == "/" and constant(node.right) == 0:
            return f"{node} has no value: it divides by zero", "divide by another number"
    if not any(isinstance(node, Reference) for node in walk(comparison)):
        return f"nothing in {comparison} ever changes", "compare with a value such as price"
    if left == right:
        return f"{comparison} compares a value with itself", "compare it with another"
    if isinstance(left, Reference):
        return _why_unreachable(comparison, left, comparison.operator, right)
    if isinstance(right, Reference):
        return _why_unreachable(comparison, right, _SWAPPED.get(comparison.operator, comparison.operator), left)
    return "", ""


def _why_unreachable(comparison: Comparison, reference: Reference, operator: str, other: Node) -> tuple[str, str]:
    function, limit = FUNCTIONS[reference.function], constant(other)
    if limit is None:
        return "", ""
    if isinstance(other, Number) and other.percent and not function.share:
        if function.most is not None:
            return f"{reference.function} counts from 0 to 100", "leave out the % sign"
        return f"{other} is the number {limit}, not a share of a value", f"write a share as `ema(20, 1h) * {other}`"
    if never := _holds_never(operator, limit, function):
        where = "below" if never < 0 else "above"
        bound: object = function.least if never < 0 else function.most
        if function.kind is Kind.TIME:
            where, bound = "before", TimeOfDay(0)
        return f"{comparison} never holds: {reference.function} is never {where} {bound}", "give another value"
    least, most = function.least, function.most
    if least is not None and limit < least and operator in (">", ">=", "!="):
        return f"{comparison} always holds: {reference.function} is never below {least}", "give another value"
    if most is not None and limit > most and operator in ("<", "<=", "!="):
        return f"{comparison} always holds: {reference.function} is never above {most}", "give another value"
    return "", ""


def _holds_never(operator: str, limit: Decimal, function: Function) -> int:
    """-1 if the value would have to be below its least, 1 if above its most, 0 if the comparison may hold."""
    least, most = function.least, function.most
    if least is not None:
        too_low = limit <= least if operator in ("<", "crosses_below") else limit < least
        if too_low and operator in ("<", "<=", "==", "crosses_above", "crosses_below"):
            return -1
    if most is not None:
        too_high = limit >= most if operator in (">", "crosses_above") else limit > most
        if too_high and operator in (">", ">=", "==", "crosses_above", "crosses_below"):
            return 1
    return 0
