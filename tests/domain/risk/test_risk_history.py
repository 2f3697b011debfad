"""Limits that depend on the past: the drawdown, and what a strategy usually orders."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import ActionIntent, RiskApprovedEvent
from tickdeck.domain.risk import Drawdown, TypicalOrder
from tickdeck.domain.values import Side

D = Decimal


def intent(quantity: str, symbol: str = "BTCUSDT", *, reduce_only: bool = False) -> ActionIntent:
    return ActionIntent(
        action="order", symbol=symbol, side=Side.BUY, quantity=D(quantity), order_id="", reduce_only=reduce_only
    )


def test_drawdown_is_reached_at_its_share_below_the_highest_equity() -> None:
    drawdown = Drawdown(D("0.2"))
    drawdown.restart(D(1000))

    assert drawdown.judge(D("800.01")) is None
    assert drawdown.judge(D(2000)) is None
    assert drawdown.judge(D("1600.01")) is None
    breach = drawdown.judge(D(1600))

    assert breach is not None
    assert breach.limit == "max_drawdown"
    assert breach.detail == "equity is 1600, 20 % below its peak of 2000; at most 20 %"


def test_payments_in_or_out_are_not_a_drawdown() -> None:
    drawdown = Drawdown(D("0.2"))
    drawdown.restart(D(1000))

    drawdown.paid_in(D(-500))
    assert drawdown.judge(D("400.01")) is None
    assert drawdown.judge(D(400)) is not None


def test_an_account_without_money_has_no_drawdown() -> None:
    drawdown = Drawdown(D("0.2"))
    assert drawdown.judge(D(0)) is None
    assert drawdown.judge(D(-1)) is None


@given(st.lists(st.integers(1, 1000), min_size=1), st.sampled_from([D("0.01"), D("0.2"), D("0.9")]))
def test_drawdown_is_that_from_the_running_maximum(path: list[int], limit: Decimal) -> None:
    drawdown = Drawdown(limit)
    for place, equity in enumerate(path):
        fallen = (max(path[: place + 1]) - equity) >= limit * max(path[: place + 1])
        assert (drawdown.judge(D(equity)) is not None) == fallen


def test_nothing_is_typical_before_five_orders_and_the_median_is_after() -> None:
    typical = TypicalOrder(D(10))
    for quantity in ("1", "1", "1", "5"):
        typical.count("s", intent(quantity))
    assert typical.judge("s", "BTCUSDT", D(1_000_000)) is None

    typical.count("s", intent("2"))
    assert typical.judge("s", "BTCUSDT", D(10)) is None
    breach = typical.judge("s", "BTCUSDT", D("10.001"))

    assert breach is not None
    assert breach.limit == "max_order_multiple"
    assert "10.001 BTCUSDT" in breach.detail
    assert "median of 1; at most 10 times" in breach.detail


def test_each_strategy_and_each_symbol_has_its_own_typical_order() -> None:
    typical = TypicalOrder(D(2))
    for _ in range(5):
        typical.count("s", intent("1"))

    assert typical.judge("s", "BTCUSDT", D(3)) is not None
    assert typical.judge("s", "ETHUSDT", D(3)) is None
    assert typical.judge("other", "BTCUSDT", D(3)) is None


@pytest.mark.parametrize("quantities", [["1"] * 30 + ["3"] * 20, ["3"] * 20])
def test_typical_order_folds_and_remembers_the_last_twenty(quantities: list[str]) -> None:
    events = [RiskApprovedEvent(strategy_id="s", intent=intent(quantity)) for quantity in quantities]
    exits = [RiskApprovedEvent(strategy_id="s", intent=intent("90", reduce_only=True))] * 20
    folded = TypicalOrder.fold(D(2), [*events, *exits])

    assert folded.recent == {("s", "BTCUSDT"): (D(3),) * 20}
    assert folded.judge("s", "BTCUSDT", D(6)) is None
    assert folded.judge("s", "BTCUSDT", D("6.1")) is not None
