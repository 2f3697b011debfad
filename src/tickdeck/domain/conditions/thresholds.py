"""The constants with which a condition compares its values."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.domain.conditions.condition import Condition
from tickdeck.domain.conditions.evaluation import constant
from tickdeck.domain.conditions.syntax import Comparison, Node, Reference, children

__all__ = ["thresholds"]


def thresholds(condition: Condition) -> dict[Reference, tuple[Decimal, ...] | None]:
    """The constants with which ``condition`` compares each of its values: it stays as it is until a value touches or
    passes one of these. ``None`` for a value that is used in another way, too, so that each change of it matters."""
    found: dict[Reference, tuple[Decimal, ...] | None] = {}
    _collect(condition.root, found)
    return found


def _collect(node: Node, found: dict[Reference, tuple[Decimal, ...] | None]) -> None:
    if isinstance(node, Reference):
        found[node] = None
        return
    if isinstance(node, Comparison):
        for side, other in ((node.left, node.right), (node.right, node.left)):
            limit = constant(other)
            if isinstance(side, Reference) and limit is not None:
                before = found.get(side, ())
                found[side] = None if before is None else (*before, limit)
                return
    for child in children(node):
        _collect(child, found)
