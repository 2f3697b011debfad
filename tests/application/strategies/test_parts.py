"""Ready parts of a strategy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck import Cooldown, TradesADay, position_size
from tickdeck.domain.events import PositionClosedEvent, PositionOpenedEvent
from tickdeck.errors import ConfigError

D = Decimal
HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
amounts = st.decimals(D("0.01"), D(100_000), places=2)


def opened(ts: int) -> PositionOpenedEvent:
    return PositionOpenedEvent(symbol="BTCUSDT", quantity=D(1), cost=D(100), average_price=D(100), ts_ingress=ts)


def closed(ts: int, realized: str, fees: str = "0", symbol: str = "BTCUSDT") -> PositionClosedEvent:
    """``realized`` and ``fees`` since the start of the books."""
    return PositionClosedEvent(
        symbol=symbol,
        quantity=D(0),
        cost=D(0),
        average_price=D(0),
        total_realized_pnl=D(realized),
        total_fees=D(fees),
        ts_ingress=ts,
    )


@given(amounts, st.decimals(D("0.001"), D(1), places=3), amounts, amounts, st.decimals(0, D("0.01"), places=4))
def test_the_loss_at_the_stop_is_the_share_of_the_equity(
    equity: Decimal, share: Decimal, price: Decimal, stop: Decimal, fee: Decimal
) -> None:
    if price == stop:
        return
    lot = D("0.001")
    size = position_size(equity, share, price, stop, lot_size=lot, fee=fee)
    loss = abs(price - stop) + fee * (price + stop)

    assert size % lot == 0
    assert size * loss <= equity * share * (1 + D("1e-20"))
    assert (size + lot) * loss > equity * share * (1 - D("1e-20"))


def test_a_size_without_a_lot_size_is_exact() -> None:
    assert position_size(D(10_000), D("0.01"), D(100), D(95)) == 20
    assert position_size(D(10_000), D("0.01"), D(95), D(100)) == 20
    assert position_size(D(-5), D("0.01"), D(95), D(100)) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"share": 0.01}, "position_size: share is 0.01.*; give a decimal.Decimal above 0"),
        ({"price": D(0)}, "position_size: price is .*0.*; give a decimal.Decimal above 0"),
        ({"stop": D(100)}, "position_size: the stop is at the price, 100; give one at a distance"),
        ({"fee": D(1)}, "position_size: fee is .*; give a decimal.Decimal of at least 0, below 1"),
        ({"lot_size": D(-1)}, "position_size: lot_size is .*; give a decimal.Decimal above 0"),
    ],
)
def test_numbers_that_give_no_size_are_refused(changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"equity": D(1_000), "share": D("0.01"), "price": D(100), "stop": D(95)}
    with pytest.raises(ConfigError, match=message):
        position_size(**(given | changed))


def test_a_loss_after_fees_begins_a_pause_in_its_symbol() -> None:
    cooldown = Cooldown(HOUR)
    cooldown.take(closed(0, "10", "2"))
    assert cooldown.is_over("BTCUSDT", 1)

    cooldown.take(closed(5 * HOUR, "11", "4"))  # 1 more, less 2 of fees

    assert not cooldown.is_over("BTCUSDT", 6 * HOUR - 1)
    assert cooldown.is_over("BTCUSDT", 6 * HOUR)
    assert cooldown.is_over("ETHUSDT", 5 * HOUR)

    cooldown.take(closed(7 * HOUR, "20", "5"))
    assert cooldown.is_over("BTCUSDT", 7 * HOUR)


def test_trades_are_counted_until_midnight() -> None:
    trades = TradesADay(2)
    trades.take(opened(DAY + HOUR))
    trades.take(closed(DAY + HOUR, "1"))
    assert trades.allows(DAY + 2 * HOUR)

    trades.take(opened(DAY + 2 * HOUR))

    assert trades.opened(2 * DAY - 1) == 2
    assert not trades.allows(2 * DAY - 1)
    assert trades.allows(2 * DAY)


@pytest.mark.parametrize("part", [Cooldown, TradesADay])
def test_a_part_needs_a_whole_number(part: Any) -> None:
    with pytest.raises(ConfigError):
        part(-1)
