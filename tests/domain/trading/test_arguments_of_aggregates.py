"""An aggregate refuses what is no amount, in one line, and stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.domain.events import OrderSubmittedEvent
from tickdeck.domain.trading import Order, Position, StrategyDefinition, Trade, Trigger, TriggerSettings
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError, DomainError, InvalidTransition, InvalidValue


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
    with pytest.raises(DomainError, match=r"its limit is .*; give a finite decimal.Decimal"):
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


def a_trade(**changes: Any) -> Trade:
    fields = {"symbol": "BTCUSDT", "side": Side.BUY, "quantity": Decimal(1), "limit": None, "order_id": "o1"}
    fields |= {"account_id": "main", "trade_id": "t1", "copied_from": "L1"}
    return Trade.create_copy_trade(**cast(Any, fields | changes))


def a_reserved_trade() -> Trade:
    trade = a_trade()
    trade.reserve(Decimal(10), "USDT")
    return trade


def a_held_position() -> Position:
    position = Position("BTCUSDT")
    position.fill(Side.BUY, Decimal(100), Decimal(1))
    return position


def an_order() -> Order:
    return Order.submit(OrderSubmittedEvent(order_id="o1", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1)))


WRONG = cast(Any, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: a_trade(account_id=""), "trade t1: its account_id is ''; give a str that is not empty"),
        (lambda: a_trade(trade_id=None), "a trade: its trade_id is None"),
        (lambda: a_trade(symbol=""), "trade t1: its symbol is ''"),
        (lambda: a_trade(side="buy"), "trade t1: its side is 'buy'; give Side.BUY or Side.SELL"),
        (lambda: a_trade(quantity=1.5), "trade t1: its quantity is 1.5; give a finite"),
        (lambda: a_trade(quantity=Decimal(0)), "trade t1: its quantity is 0; it must be above 0"),
        (lambda: a_trade(quantity=Decimal("1e400")), r"trade t1: its quantity is 1.000E\+400; give less than 1E\+30"),
        (lambda: a_trade(limit="x" * 5_000), r"its limit is 'x{190,}\.\.\. \(5002 characters\); give"),
        (lambda: a_trade(order_id=7), "trade t1: its order_id is 7"),
        (lambda: a_trade().reserve(Decimal(-1), "USDT"), "the amount that is reserved is -1; it must be above 0"),
        (lambda: a_trade().reserve(Decimal(1), ""), "the currency that is reserved is ''"),
        (lambda: a_reserved_trade().confirm(Decimal(1), Decimal(-1), {}), "the executed quantity is -1"),
        (lambda: a_reserved_trade().confirm(Decimal(1), Decimal(1), WRONG), "its fees are None; give a dict"),
        (lambda: a_reserved_trade().confirm(Decimal(1), Decimal(1), {"BNB": cast(Any, 0.1)}), "the fee in BNB is 0.1"),
        (lambda: BalanceAggregate("main", ""), "BalanceAggregate: currency is ''"),
        (lambda: BalanceAggregate("main", "USDT").release(WRONG), "release: the amount is None; give a finite"),
        (lambda: BalanceAggregate("main", "USDT").settle(change=cast(Any, 1.5)), "settle: the change is 1.5"),
        (lambda: Position(WRONG), "Position: symbol is None"),
        (lambda: a_held_position().unrealized_pnl(cast(Any, 1.5)), "position BTCUSDT: the price is 1.5; give a"),
        (lambda: a_held_position().net_pnl(Decimal(1), Decimal("nan")), "position BTCUSDT: the fee rate is NaN"),
        (lambda: StrategyDefinition(WRONG), "StrategyDefinition: strategy_id is None"),
        (lambda: StrategyDefinition("dip").create("rules", "me", WRONG), "strategy dip: parameters is None"),
        (lambda: Trigger(""), "Trigger: trigger_id is ''"),
        (lambda: Trigger("t").create(WRONG, "me"), r"trigger t: None is given; give TriggerSettings\(...\)"),
        (lambda: Order.submit(WRONG), "Order.submit: None is given; give one of OrderSubmittedEvent"),
        (lambda: an_order().apply_report(WRONG), "apply_report: None is given; give one of VenueOrderReported"),
        (lambda: an_order().apply_fill(WRONG), "apply_fill: None is given; give one of VenueFillReported"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line_by_the_call_that_gives_it(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message) as caught:
        call()

    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, DomainError)


def test_the_settings_of_a_trigger_are_texts() -> None:
    with pytest.raises(ConfigError, match="when is None; give a text"):
        TriggerSettings(when=WRONG, then="halt")
