"""The decisions in which two runs of one session differ."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.proof import compare_decisions
from tickdeck.domain.events import ActionIntent, StrategyDecisionEvent
from tickdeck.domain.values import Side

D = Decimal


def order(ts: int, quantity: str = "1", *, side: Side = Side.BUY, order_id: str = "", by: str = "a", reason: str = ""):
    intent = ActionIntent(
        action="order", symbol="BTCUSDT", side=side, quantity=D(quantity), order_id=order_id or f"{by}-{ts}"
    )
    return StrategyDecisionEvent(strategy_id=by, intents=(intent,), reason=reason, ts_ingress=ts)


def cancel(ts: int, order_id: str):
    intent = ActionIntent(action="cancel", symbol="BTCUSDT", order_id=order_id)
    return StrategyDecisionEvent(strategy_id="a", intents=(intent,), ts_ingress=ts)


def test_decisions_are_equal_regardless_of_reasons_and_ids():
    found = compare_decisions(
        [order(1, order_id="x", reason="fast 3"), cancel(2, "x")],
        [order(1, order_id="y", reason="fast 4"), cancel(2, "y")],
        shown=5,
    )

    assert (found.same, found.only_original, found.only_other, found.differences) == (2, 0, 0, ())


def test_a_cancel_of_another_order_is_another_decision():
    placed = [order(1, "1", order_id="x"), order(2, "1", order_id="y")]

    found = compare_decisions([*placed, cancel(3, "x")], [*placed, cancel(3, "y")], shown=5)

    assert (found.same, found.only_original, found.only_other) == (2, 1, 1)


def test_differences_are_in_order_of_time_and_paired_by_instant():
    original = [order(1), order(3), order(5, "2")]
    other = [order(1), order(2), order(5, "3")]

    found = compare_decisions(original, other, shown=5)

    assert found.same == 1
    assert [(d.ts, d.original is not None, d.other is not None) for d in found.differences] == [
        (2, False, True),
        (3, True, False),
        (5, True, True),
    ]


def test_only_the_shown_differences_are_kept_and_all_are_counted():
    found = compare_decisions([order(n) for n in range(10)], [], shown=3)

    assert (found.only_original, len(found.differences)) == (10, 3)


def test_strategy_names_only_matter_in_runs_with_several_strategies():
    alone = compare_decisions([order(1, by="a")], [order(1, by="b")], shown=5)
    several = compare_decisions([order(1, by="a"), order(2, by="b")], [order(1, by="b"), order(2, by="b")], shown=5)

    assert alone.same == 1
    assert (several.same, several.only_original) == (1, 1)


def test_the_same_decision_taken_twice_counts_twice():
    found = compare_decisions([order(1), order(1)], [order(1)], shown=5)

    assert (found.same, found.only_original) == (1, 1)
