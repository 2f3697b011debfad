"""What the values of a state have in common: the way that leads to them, and how plain ones are written."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, TypeAlias

from tickdeck.application.state.scope import StateError

__all__ = ["AS_IS", "LARGEST", "Where", "in_order", "in_words"]

Where: TypeAlias = tuple[Any, ...]
"""The way to a value: the way to what holds it, and the step from there. Empty at the beginning."""

AS_IS = frozenset([str, bool, type(None)])
"""Classes whose values are written as they are."""
LARGEST = 1 << 62
"""Integers from here on are written as texts."""


def in_words(where: Where) -> str:
    """The way to a value, as in the code."""
    parts: list[str] = []
    while where:
        where, step = where
        parts.append(step if step[:1] in ("[", " ", ".", "") or not where else f".{step}")
    return "".join(reversed(parts))


def in_order(members: Set[Any], where: Where) -> list[Any]:
    """The members of a set in an order that does not depend on its history. If they are numbers, a strategy might rely
    on the order in which it gets them: it must be that of a new set."""
    if len(members) < 2:
        return list(members)  # lint: allow set-order because one member has no order
    if all(type(member) in (int, float) for member in members):
        numbers = list(members)  # lint: allow set-order because the order itself is looked at
        again = list(set(numbers))  # lint: allow set-order because the order itself is looked at
        if again != numbers:
            raise StateError(f"{in_words(where)} is a set of numbers whose order cannot be kept; use a dict or a list")
        return numbers
    return sorted(members, key=repr)
