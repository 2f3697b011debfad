"""An aggregate refuses what is no amount, in one line, and stays as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest

from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.domain.trading import Position, StrategyDefinition, Trade
from tickdeck.domain.values import Side
from tickdeck.errors import DomainError, InvalidTransition


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": "buy"}, "the side of a fill is 'buy'; give Side.BUY or Side.SELL"),
        ({"price": 100.5}, "the price of a fill is 100.5; give a finite decimal.Decimal"),
        ({"price": Decimal("nan")}, "the price of a fill is"),
        ({"price": Decimal("inf")}, "the price of a fill is"),
        ({"quantity": 1}, "the quantity of a fill is 1"),
        ({"fee": 0.1}, "the fee of a fill is 0.1"),
        ({"fee": Decimal("nan")}, "the fee of a fill is"),
    ],
)
def test_a_fill_that_makes_no_sense_changes_nothing(changes: dict[str, Any], message: str) -> None:
    position = Position("BTCUSDT")
    position.fill(Side.BUY, Decimal(100), Decimal(2), fee=Decimal(1))
    before = position.snapshot()
    fields: dict[str, Any] = {"side": Side.BUY, "price": Decimal(100), "quantity": Decimal(1)} | changes

    with pytest.raises(ValueError, match=message):
        position.fill(**fields)

    assert position.snapshot() == before
    assert len(position.get_domain_events()) == 1


@pytest.mark.parametrize("limit", ["100", 100.0, Decimal("nan"), Decimal("inf")])
def test_a_limit_is_a_finite_decimal(limit: object) -> None:
    with pytest.raises(DomainError, match=r"give a finite decimal.Decimal, or None"):
        Trade("main", "t1").create(
            symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1), limit=cast(Any, limit), order_id="o1"
        )


@pytest.mark.parametrize(
    ("total", "locked", "name"), [(1.5, Decimal(0), "total"), (Decimal(1), Decimal("nan"), "locked")]
)
def test_a_balance_is_a_finite_decimal(total: object, locked: object, name: str) -> None:
    balance = BalanceAggregate("main", "USDT")

    with pytest.raises(DomainError, match=rf"observe: {name} is .*; give a finite decimal.Decimal"):
        balance.observe(total=cast(Any, total), locked=cast(Any, locked))

    assert not balance.get_domain_events()


def test_a_deleted_strategy_cannot_be_updated() -> None:
    strategy = StrategyDefinition("dip")
    strategy.create("rules", "me", {})
    strategy.delete("over")

    with pytest.raises(InvalidTransition, match="strategy dip is deleted; it cannot be updated"):
        strategy.update({"share": "1%"}, "why")
