"""The margin of a position, against fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from tickdeck.domain.accounts import MarginTerms
from tickdeck.domain.trading import Position
from tickdeck.domain.values import Side

D = Decimal
TICK = D("0.01")

prices = st.integers(1, 10**8).map(lambda n: D(n).scaleb(-2))
quantities = st.integers(1, 10**6).map(lambda n: D(n).scaleb(-3))
fills = st.lists(st.tuples(st.sampled_from(Side), prices, quantities), min_size=1, max_size=6)
terms = st.builds(
    lambda leverage, maintenance: MarginTerms(
        leverage=D(leverage), maintenance=D(maintenance).scaleb(-4), margin_call=D("1.5")
    ),
    st.integers(1, 50),
    st.integers(1, 100),
).filter(lambda made: made.maintenance * made.margin_call * made.leverage < 1)


def held(history: list[tuple[Side, Decimal, Decimal]]) -> Position:
    position = Position("BTCUSDT")
    for fill in history:
        position.fill(*fill)
    return position


@given(fills, terms)
def test_at_the_liquidation_price_the_equity_is_the_requirement(history: list, made: MarginTerms) -> None:
    position = held(history)
    assume(not position.is_flat)
    sign = 1 if position.quantity > 0 else -1
    entry = Fraction(position.cost) / Fraction(position.quantity)
    leverage, maintenance = Fraction(made.leverage), Fraction(made.maintenance)
    exact = entry * (1 - sign / leverage) / (1 - sign * maintenance)

    price = made.liquidation_price(position, TICK)

    assert 0 <= (exact - Fraction(price)) * sign < Fraction(TICK) + Fraction(1, 10**9)
    if price > 0:
        assert made.liquidates(position, price)
    assert not made.liquidates(position, price + TICK * sign)
    assert (Fraction(made.bankruptcy_price(position, TICK)) - exact) * sign <= 0


@given(fills, terms, prices)
def test_a_margin_call_comes_before_the_liquidation(history: list, made: MarginTerms, price: Decimal) -> None:
    position = held(history)
    if made.liquidates(position, price):
        assert made.calls(position, price)
    if made.calls(position, price):
        assert made.equity(position, price) < made.requirement(position, price) * made.margin_call


@given(fills, terms, prices)
def test_a_liquidation_costs_no_more_than_the_margin(history: list, made: MarginTerms, price: Decimal) -> None:
    position = held(history)
    assume(not position.is_flat and made.liquidates(position, price))
    closed_at = made.exit_price(position, price, TICK)

    assert made.equity(position, closed_at) >= -TICK * abs(position.quantity)
    assert made.liquidates(position, closed_at)


def test_the_stated_example() -> None:
    made = MarginTerms(leverage=D(5), maintenance=D("0.005"), margin_call=D("1.5"))
    long, short = held([(Side.BUY, D(60_000), D(1))]), held([(Side.SELL, D(60_000), D(1))])
    assert made.liquidation_price(long, TICK) == D("48241.20")
    assert made.liquidation_price(short, TICK) == D("71641.80")
    assert made.liquidation_price(Position("BTCUSDT"), TICK) == 0


def test_a_position_is_liquidated_as_soon_as_its_equity_is_the_requirement() -> None:
    made = MarginTerms(leverage=D(10), maintenance=D("0.04"), margin_call=D("1.5"))
    long = held([(Side.BUY, D(100), D(1))])

    assert made.equity(long, D("93.75")) == made.requirement(long, D("93.75")) == D("3.75")
    assert made.liquidates(long, D("93.75"))
    assert not made.liquidates(long, D("93.76"))


def test_a_position_without_leverage_is_closed_for_a_tick_at_least() -> None:
    made = MarginTerms(leverage=D(1), maintenance=D("0.005"), margin_call=D("1.5"))
    long = held([(Side.BUY, D(100), D(1))])

    assert made.liquidates(long, D(0))
    assert made.exit_price(long, D(0), TICK) == TICK  # nobody buys for nothing
