"""Compares two runs of one session: which decisions differ, in order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias

import msgspec

from tickdeck.domain.events import StrategyDecisionEvent

__all__ = ["Comparison", "Difference", "compare_decisions"]

_Key: TypeAlias = tuple[object, ...]


class Difference(msgspec.Struct, frozen=True):
    """What only one run decided at ``ts`` (ns UTC, our receive time). ``None``: that run decided nothing at that
    time."""

    ts: int
    original: StrategyDecisionEvent | None
    other: StrategyDecisionEvent | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """``same`` counts decisions that both runs took at the same time. The ``differences`` are in order of time."""

    same: int
    only_original: int
    only_other: int
    differences: tuple[Difference, ...]


def compare_decisions(
    original: Iterable[StrategyDecisionEvent], other: Iterable[StrategyDecisionEvent], *, shown: int
) -> Comparison:
    """Compare the decisions of two runs, each in order of ``seq``. Only the first ``shown`` differences are kept.

    Two decisions are equal if they have the same intents at the same time and, in a run with several strategies, the
    same strategy. Reasons are ignored, because they may contain parameters. A cancelled or amended order is identified
    by the decision that placed it, because the ids of the two runs differ.
    """
    sides = (list(original), list(other))
    by_strategy = any(len({decision.strategy_id for decision in side}) > 1 for side in sides)
    keys = [_keys(side, by_strategy) for side in sides]
    common = Counter(keys[0]) & Counter(keys[1])
    left, right = (_without(side, own, common) for side, own in zip(sides, keys, strict=True))
    return Comparison(
        same=common.total(),
        only_original=len(left),
        only_other=len(right),
        differences=tuple(_paired(left, right, shown)),
    )


def _keys(decisions: Sequence[StrategyDecisionEvent], by_strategy: bool) -> list[_Key]:
    placed: dict[str, _Key] = {}  # order id -> what placed it
    keys: list[_Key] = []
    for decision in decisions:
        wanted: list[_Key] = []
        for number, intent in enumerate(decision.intents):
            order: object = None
            if intent.action == "order":
                placed[intent.order_id] = (decision.ts_ingress, number, str(intent.side), intent.symbol)
            else:
                order = placed.get(intent.order_id, intent.order_id)
            limit: Decimal | None = intent.limit
            wanted.append(
                (intent.action, intent.symbol, intent.side, intent.quantity, limit, intent.time_in_force, order)
            )
        keys.append((decision.ts_ingress, decision.strategy_id if by_strategy else "", tuple(wanted)))
    return keys


def _without(
    decisions: Sequence[StrategyDecisionEvent], keys: Sequence[_Key], common: Counter[_Key]
) -> list[StrategyDecisionEvent]:
    """The decisions that are not in both runs, in order."""
    again = common.copy()
    left = []
    for decision, key in zip(decisions, keys, strict=True):
        if again[key] > 0:
            again[key] -= 1
        else:
            left.append(decision)
    return left


def _paired(
    left: Sequence[StrategyDecisionEvent], right: Sequence[StrategyDecisionEvent], shown: int
) -> Iterable[Difference]:
    """Decisions of one instant are paired."""
    i = j = 0
    for _ in range(shown):
        one = left[i] if i < len(left) else None
        two = right[j] if j < len(right) else None
        if one is not None and two is not None and one.ts_ingress != two.ts_ingress:
            if one.ts_ingress < two.ts_ingress:
                two = None
            else:
                one = None
        first = one or two
        if first is None:
            return
        i += one is not None
        j += two is not None
        yield Difference(first.ts_ingress, one, two)
