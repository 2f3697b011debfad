"""What a strategy bought itself, apart from the position of the account."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.application.strategies.inventory import Inventory
from tickdeck.application.strategies.strategy import PositionView
from tickdeck.domain.events import OrderFilledEvent
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import Side

D = Decimal


def position(quantity: str) -> PositionView:
    return PositionView("BTCUSDT", D(quantity), D(0), D(0), D(0), None, instrument_for("BTCUSDT"))


def filled(side: Side, quantity: str, fee: str = "0", currency: str = "BTC") -> OrderFilledEvent:
    return OrderFilledEvent(
        order_id="a",
        symbol="BTCUSDT",
        side=side,
        price=D(100),
        quantity=D(quantity),
        filled=D(quantity),
        remaining=D(0),
        average_price=D(100),
        venue_trade_id="1",
        fee=D(fee),
        fee_currency=currency,
    )


def own(inventory: Inventory, held: str) -> Decimal:
    return inventory.view(position(held)).quantity


def test_it_is_the_sum_of_the_fills_after_fees_in_base_currency() -> None:
    inventory = Inventory()
    inventory.take(filled(Side.BUY, "1", "0.001"), position("3"))
    inventory.take(filled(Side.SELL, "0.5", "0.05", "USDT"), position("3"))

    assert own(inventory, "3") == D("0.499")


def test_it_is_no_more_than_the_account_holds_and_stays_so() -> None:
    inventory = Inventory()
    inventory.take(filled(Side.BUY, "1"), position("3"))

    assert own(inventory, "0.4") == D("0.4")
    assert own(inventory, "3") == D("0.4")


@pytest.mark.parametrize(("long_only", "left"), [(True, "0.5"), (False, "-1.5")])
def test_a_sale_of_other_coins_counts_only_if_the_strategy_may_be_short(long_only: bool, left: str) -> None:
    inventory = Inventory(long_only=long_only)
    inventory.take(filled(Side.SELL, "2"), position("3"))
    inventory.take(filled(Side.BUY, "0.5"), position("3"))

    assert own(inventory, "3") == D(left)
