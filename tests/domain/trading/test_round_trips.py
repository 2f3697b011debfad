"""Round trips: from a flat position to the next flat one."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.trading import RoundTrips, TripFill
from tickdeck.domain.values import Side

D = Decimal


def fill(ts: int, signed: object, price: object, fee: object = 0, **more: object) -> TripFill:
    return TripFill(ts=ts, signed=D(str(signed)), price=D(str(price)), fee=D(str(fee)), **more)


def test_a_trade_goes_from_flat_to_flat_with_average_prices_and_pnl_after_fees():
    trips = RoundTrips("BTCUSDT")

    ended = [
        trips.take(fill(1, 1, 100, "0.1")),
        trips.take(fill(2, 1, 110, "0.1")),
        trips.take(fill(3, "-0.5", 120, "0.1")),
        trips.take(fill(4, "-1.5", 130, "0.1")),
    ]

    *none, trade = ended
    assert none == [None] * 3
    assert (trade.side, trade.entry_ts, trade.exit_ts, trade.quantity) == (Side.BUY, 1, 4, D(2))
    assert (trade.entry_price, trade.exit_price, trade.volume) == (D(105), D("127.5"), D(465))
    assert (trade.fees, trade.pnl) == (D("0.4"), D("44.6"))
    assert trade.return_ == D("0.212380952380952381")
    assert trips.open(D(1)) is None


def test_a_fill_that_reverses_the_position_ends_a_trade_and_begins_the_next_and_its_fees_are_shared():
    trips = RoundTrips("BTCUSDT")

    trips.take(fill(1, 1, 100, order_id="a", strategy_id="s", reason="up", event_id="1-1"))
    first = trips.take(
        fill(2, -3, 90, "0.3", order_id="b", strategy_id="t", reason="down", event_id="2-1", other_fees={"BNB": D(3)})
    )

    second = trips.open(D(80))
    assert (first.pnl, first.fees, first.other_fees) == (D("-10.1"), D("0.1"), {"BNB": D(1)})
    assert (first.strategy_id, first.entry_reason, first.exit_reason) == ("s", "up", "down")
    assert (first.entry_orders, first.exit_orders, first.entry_event, first.exit_event) == (
        ("a",),
        ("b",),
        "1-1",
        "2-1",
    )
    assert (second.side, second.quantity, second.entry_ts, second.exit_ts) == (Side.SELL, D(2), 2, None)
    assert (second.fees, second.pnl, second.other_fees) == (D("0.2"), D("19.8"), {"BNB": D(2)})
    assert (second.strategy_id, second.entry_reason, second.entry_orders) == ("t", "down", ("b",))


amounts = st.decimals("-5", "5", places=3)
prices = st.decimals("1", "200", places=2)
fees = st.decimals("-1", "1", places=3)


@given(st.lists(st.tuples(amounts, prices, fees), max_size=30), prices)
def test_all_trades_together_have_the_pnl_and_the_fees_of_the_fills(made, last):
    trips = RoundTrips("BTCUSDT")

    ended = [trips.take(fill(ts, *values)) for ts, values in enumerate(made)]
    trades = [trip for trip in [*ended, trips.open(last)] if trip is not None]

    taken = [values for ts, values in enumerate(made) if values[0] or _held(made[:ts])]  # a fee alone needs a position
    cash = -sum((signed * price for signed, price, _ in taken), D(0))
    paid = sum((fee for *_, fee in taken), D(0))
    assert sum((trip.held * trip.side.sign for trip in trades), D(0)) == _held(made)
    assert abs(sum((trip.fees for trip in trades), D(0)) - paid) < D("1E-15")
    assert abs(sum((trip.pnl for trip in trades), D(0)) - (cash + _held(made) * last - paid)) < D("1E-12")


def _held(made: list[tuple[D, D, D]]) -> D:
    return sum((signed for signed, *_ in made), D(0))
