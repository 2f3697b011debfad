"""Rules for the next requests or reports of a kind, each for a number of times."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["Rule", "next_rule"]


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """It holds for the next ``count`` of the kind ``on`` (or ``any``), after ``after`` of them have passed."""

    on: str = "any"
    count: int = 1
    after: int = 0


R = TypeVar("R", bound=Rule)


def next_rule(rules: list[R], kind: str) -> R | None:
    """The rule that holds for the next one of ``kind``, which counts. A rule that is used up leaves ``rules``."""
    for rule in rules:
        if rule.on in (kind, "any"):
            if rule.after:
                rule.after -= 1
                continue
            rule.count -= 1
            if rule.count <= 0:
                rules.remove(rule)
            return rule
    return None
