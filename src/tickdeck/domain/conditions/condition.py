"""A condition: what was read from its text, and what it depends on."""

from __future__ import annotations

import msgspec

from tickdeck.domain.conditions.parser import parse
from tickdeck.domain.conditions.syntax import CROSSINGS, Comparison, Node, Reference, TimeOfDay, children, walk

__all__ = ["Condition", "parse_condition"]

_DAY = 86_400_000_000_000


class Condition(msgspec.Struct, frozen=True):
    """A condition that was read. ``str`` writes it in a standard form, which reads as the same condition."""

    root: Node

    def __str__(self) -> str:
        return str(self.root)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The values that it depends on, each once, from left to right."""
        found = (node for node in walk(self.root) if isinstance(node, Reference))
        return tuple(dict.fromkeys(found))

    @property
    def crossings(self) -> int:
        """How many ``crosses_above`` and ``crosses_below`` it has."""
        return sum(isinstance(node, Comparison) and node.operator in CROSSINGS for node in walk(self.root))

    @property
    def times(self) -> tuple[int, ...]:
        """The times of day (ns since midnight UTC) at which a comparison with ``time`` may change, sorted."""
        times = set()
        for node in walk(self.root):
            if isinstance(node, Comparison):
                late = node.operator in ("<=", ">")  # which change just after the time
                times |= {(side.ns + late) % _DAY for side in children(node) if isinstance(side, TimeOfDay)}
        return tuple(sorted(times | {0})) if times else ()


def parse_condition(text: str) -> Condition:
    """Read a condition. Raises ``ConditionError`` with the column of the mistake and how to mend it."""
    return Condition(parse(text))
