"""Positions agree with an independent reference that calculates with fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.trading import Position, PositionStatus
from tickdeck.domain.values import Side
from tickdeck.errors import InvalidTransition

D = Decimal

prices = st.integers(1, 10**13).map(lambda n: D(n).scaleb(-8))
quantities = st.integers(1, 10**12).map(lambda n: D(n).scaleb(-8))
fees = st.integers(-(10**6), 10**6).map(lambda n: D(n).scaleb(-8))
history = st.lists(st.tuples(st.sampled_from(Side), prices, quantities, fees), max_size=30)
_ROUNDED = Fraction(1, 2 * 10**18)
"""What a partial close rounds away at most, in quote."""


class Reference:
    """Average entry price and size as fractions, and what was realized."""

    def __init__(self) -> None:
        self.size = Fraction(0)
        self.entry = Fraction(0)
        self.realized = Fraction(0)
        self.fees = Fraction(0)
        self.opened: list[str] = []
        self.closed: list[str] = []

    def trade(self, side: Side, price: Fraction, quantity: Fraction, fee: Fraction, name: str) -> None:
        self.fees += fee
        signed = quantity if side is Side.BUY else -quantity
        if self.size == 0:
            self.opened, self.closed = [], []
        if self.size * signed >= 0:
            self.entry = (self.entry * abs(self.size) + price * quantity) / (abs(self.size) + quantity)
            self.size += signed
            self.opened.append(name)
            return
        closing = min(quantity, abs(self.size))
        direction = 1 if self.size > 0 else -1
        self.realized += (price - self.entry) * closing * direction
        self.size -= closing * direction
        self.closed.append(name)
        if quantity > closing:  # it changes sides
            self.size, self.entry = (quantity - closing) * -direction, price
            self.opened, self.closed = [name], []


@given(history, prices, st.sampled_from(["0", "0.001"]))
def test_a_position_agrees_with_the_reference(
    history: list[tuple[Side, Decimal, Decimal, Decimal]], last: Decimal, rate: str
) -> None:
    position, reference = Position("BTCUSDT"), Reference()
    for number, (side, price, quantity, fee) in enumerate(history):
        position.fill(side, price, quantity, f"o{number}", trade_id=f"t{number}", fee=fee)
        reference.trade(side, Fraction(price), Fraction(quantity), Fraction(fee), str(number))

    allowed = _ROUNDED * len(history)
    assert Fraction(position.quantity) == reference.size
    assert Fraction(position.fees) == reference.fees
    assert abs(Fraction(position.realized_pnl) - reference.realized) <= allowed
    open_profit = (Fraction(last) - reference.entry) * reference.size
    assert abs(Fraction(position.unrealized_pnl(last)) - open_profit) <= allowed
    net = reference.realized - reference.fees + open_profit - abs(reference.size) * Fraction(last) * Fraction(rate)
    assert abs(Fraction(position.net_pnl(last, D(rate))) - net) <= 2 * allowed
    if reference.size:
        assert abs(Fraction(position.average_price) - reference.entry) <= allowed / abs(reference.size) + Fraction(
            reference.entry, 10**27
        )
    assert position.opened_by == tuple(f"o{name}" for name in reference.opened)
    assert position.closed_by == tuple(f"o{name}" for name in reference.closed)
    assert position.opened_by_trades == tuple(f"t{name}" for name in reference.opened)
    assert position.closed_by_trades == tuple(f"t{name}" for name in reference.closed)


@given(history, prices)
def test_what_is_closed_completely_realized_exactly_what_the_trades_paid(
    history: list[tuple[Side, Decimal, Decimal, Decimal]], last: Decimal
) -> None:
    position = Position("BTCUSDT")
    paid = Fraction(0)
    for side, price, quantity, fee in history:
        position.fill(side, price, quantity, fee=fee)
        paid -= Fraction(price) * Fraction(quantity) * side.sign + Fraction(fee)
    if not position.is_flat:
        paid += Fraction(last) * Fraction(position.quantity)
        position.close(last, "exit")

    assert position.status is PositionStatus.FLAT
    assert Fraction(position.net_realized_pnl) == paid


@pytest.mark.parametrize(("side", "profit"), [(Side.BUY, D("18.7")), (Side.SELL, D("-21.3"))])
def test_close_ends_a_long_and_a_short_and_names_its_trade(side: Side, profit: Decimal) -> None:
    position = Position("BTCUSDT", "a", "USDT")
    position.fill(side, D(100), D(2), trade_id="t1", fee=D("0.3"))

    [closed] = position.close(D(110), "t2", fee=D(1))

    assert (closed.event_type, closed.opened_by_trades, closed.closed_by_trades) == (
        "position.closed",
        ("t1",),
        ("t2",),
    )
    assert position.net_realized_pnl == profit
    with pytest.raises(InvalidTransition, match="a/BTCUSDT is flat"):
        position.close(D(1), "t3")
