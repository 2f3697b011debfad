"""What a fill changes in the position and in the balances."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.domain.events import VenueFillReported
from tickdeck.domain.trading import balance_changes, position_change
from tickdeck.domain.values import Side

D = Decimal


@pytest.mark.parametrize(
    ("side", "fee", "fee_currency", "change"),
    [
        (Side.BUY, "0", "", "2"),
        (Side.SELL, "0.4", "USDT", "-2"),
        (Side.BUY, "0.002", "BTC", "1.998"),
        (Side.SELL, "0.002", "BTC", "-2.002"),
        (Side.BUY, "-0.002", "BTC", "2.002"),  # a rebate
        (Side.BUY, "0.01", "BNB", "2"),
    ],
)
def test_only_a_fee_in_base_changes_what_a_fill_brings(side: Side, fee: str, fee_currency: str, change: str) -> None:
    fill = VenueFillReported(
        order_id="1",
        symbol="BTCUSDT",
        side=side,
        price=D(100),
        quantity=D(2),
        venue_trade_id="1",
        fee=D(fee),
        fee_currency=fee_currency,
    )

    assert position_change(fill, "BTC") == D(change)


@pytest.mark.parametrize(
    ("side", "fees", "changes"),
    [
        (Side.BUY, {}, {"BTC": 2, "USDT": -200}),
        (Side.BUY, {"BTC": D("0.002")}, {"BTC": D("1.998"), "USDT": -200}),
        (Side.SELL, {"USDT": D("0.2"), "BNB": D("0.01")}, {"BTC": -2, "USDT": D("199.8"), "BNB": D("-0.01")}),
    ],
)
def test_each_fee_is_taken_from_the_balance_of_its_currency(
    side: Side, fees: dict[str, Decimal], changes: dict[str, Decimal]
) -> None:
    found = balance_changes(side, D(2), D(200), fees, base="BTC", quote="USDT")

    assert found == changes
    assert list(found) == list(changes)
