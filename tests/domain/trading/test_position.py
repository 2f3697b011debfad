"""Positions: quantity, cost and profit, exact to the last digit."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.trading import Position
from tickdeck.domain.values import Side

D = Decimal
BUY, SELL = Side.BUY, Side.SELL

prices = st.integers(1, 10**13).map(lambda n: D(n).scaleb(-8))
quantities = st.integers(1, 10**12).map(lambda n: D(n).scaleb(-8))
fills = st.lists(st.tuples(st.sampled_from(Side), prices, quantities), max_size=30)


def traded(position: Position, side: Side, price: Decimal, quantity: Decimal) -> Decimal:
    """Book a fill. Returns what it realized."""
    return sum((event.realized_pnl for event in position.fill(side, price, quantity)), D(0))


def held(*executions: tuple[Side, str, str]) -> Position:
    position = Position("BTCUSDT")
    for side, price, quantity in executions:
        traded(position, side, D(price), D(quantity))
    return position


def test_new_position_is_flat_and_worth_nothing() -> None:
    position = held()

    assert position.is_flat
    assert (position.quantity, position.average_price, position.unrealized_pnl(D(100))) == (0, 0, 0)


def test_long_position_profits_when_price_rises() -> None:
    assert held((BUY, "100", "2")).unrealized_pnl(D(110)) == 20


def test_short_position_profits_when_price_falls() -> None:
    position = held((SELL, "100", "2"))

    assert position.quantity == -2
    assert position.unrealized_pnl(D(90)) == 20
    assert position.unrealized_pnl(D(110)) == -20


@pytest.mark.parametrize("side", list(Side))
def test_adding_to_a_position_realises_nothing_and_averages_the_price(side: Side) -> None:
    position = Position("BTCUSDT")

    assert traded(position, side, D(100), D(1)) == 0
    assert traded(position, side, D(130), D(2)) == 0

    assert position.average_price == 120
    assert position.quantity == 3 * side.sign
    assert position.realized_pnl == 0


def test_partial_close_realises_its_share_and_leaves_the_average() -> None:
    position = held((BUY, "100", "4"))

    realized = traded(position, SELL, D(110), D(1))

    assert realized == position.realized_pnl == 10
    assert (position.quantity, position.average_price) == (3, 100)


def test_partial_close_of_a_short_realises_its_share() -> None:
    position = held((SELL, "100", "4"))

    assert traded(position, BUY, D(110), D(1)) == -10
    assert (position.quantity, position.average_price) == (-3, 100)


def test_closing_completely_leaves_nothing_behind() -> None:
    position = held((BUY, "100", "1.00"), (SELL, "90", "1.00"))

    assert position.is_flat
    assert position.realized_pnl == -10
    assert (str(position.quantity), str(position.cost), str(position.average_price)) == ("0", "0", "0")


@pytest.mark.parametrize(("first", "profit"), [(BUY, 20), (SELL, -20)])
def test_flip_closes_the_old_side_and_opens_the_rest_at_the_fills_price(first: Side, profit: int) -> None:
    position = Position("BTCUSDT")
    traded(position, first, D(100), D(2))

    realized = traded(position, first.opposite, D(110), D(5))

    assert realized == profit
    assert position.quantity == 3 * first.opposite.sign
    assert position.average_price == 110
    assert position.unrealized_pnl(D(110)) == 0


def test_average_without_a_last_digit_loses_no_money() -> None:
    # 1 at 100 and 2 at 101 cost 302: the average is 100.666...; three sales of 1 must bring back 302 in all.
    position = held((BUY, "100", "1"), (BUY, "101", "2"))
    assert position.average_price == D("100.6666666666666666666666667")

    parts = [traded(position, SELL, D(100), D(1)) for _ in range(3)]

    assert position.is_flat
    assert sum(parts) == position.realized_pnl == -2


def test_exact_average_keeps_its_own_digits() -> None:
    assert str(held((BUY, "60000.00", "0.10000")).average_price) == "60000.00"


def test_zero_profit_is_a_plain_zero() -> None:
    position = held((BUY, "60000.01", "0.00010"))

    assert str(traded(position, SELL, D("60000.01"), D("0.00010"))) == "0"


def test_books_do_not_depend_on_the_threads_decimal_context() -> None:
    position = Position("BTCUSDT")

    with localcontext() as context:
        context.prec = 3
        traded(position, BUY, D("60000.01"), D("1.00001"))
        traded(position, SELL, D("60010.02"), D("0.50001"))
        unrealized = position.unrealized_pnl(D("60020.03"))

    assert position.quantity == D("0.50000")
    assert position.realized_pnl == D("0.50001") * D("10.01")
    assert unrealized == D("0.5") * D("20.02")


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_fill_without_a_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        held((BUY, "100", quantity))


def test_a_fill_at_a_negative_price_is_refused_and_changes_nothing() -> None:
    position = Position("BTCUSDT")
    position.fill(Side.BUY, D(100), D(1))
    with pytest.raises(ValueError, match="the price of a fill is -5; it must not be negative"):
        position.close(D(-5), "t2")
    assert (position.quantity, position.cost, position.realized_pnl) == (D(1), D(100), D(0))


@given(fills, prices)
def test_closed_position_realises_sales_minus_purchases_to_the_last_digit(
    history: list[tuple[Side, Decimal, Decimal]], last: Decimal
) -> None:
    position = Position("BTCUSDT")
    realized = sum((traded(position, *execution) for execution in history), D(0))
    open_quantity = position.quantity
    if open_quantity:
        closing = (SELL if open_quantity > 0 else BUY, last, abs(open_quantity))
        history = [*history, closing]
        realized += traded(position, *closing)

    assert position.is_flat
    flow = sum(-side.sign * price * quantity for side, price, quantity in history)
    assert position.realized_pnl == realized == flow


@given(fills, prices)
def test_realised_plus_unrealised_profit_equals_cash_flow_plus_value(
    history: list[tuple[Side, Decimal, Decimal]], mark: Decimal
) -> None:
    position = Position("BTCUSDT")
    flow = D(0)
    for side, price, quantity in history:
        traded(position, side, price, quantity)
        flow -= side.sign * price * quantity

        assert position.realized_pnl + position.unrealized_pnl(mark) == flow + position.quantity * mark


@given(fills)
def test_quantity_is_the_sum_of_the_fills_and_the_average_lies_between_their_prices(
    history: list[tuple[Side, Decimal, Decimal]],
) -> None:
    position = Position("BTCUSDT")
    for execution in history:
        traded(position, *execution)

    assert position.quantity == sum(side.sign * quantity for side, _, quantity in history)
    if position.quantity:
        # Rounding the cost at the 18th decimal matters most for the smallest quantity, 1E-8.
        slack = D("1E-8")
        assert min(price for _, price, _ in history) - slack <= position.average_price
        assert position.average_price <= max(price for _, price, _ in history) + slack
