"""The session of a report: trades, equity, drawdown and the curves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporting_kit import BTC, START, D, Tape, begun, session_of

from tickdeck.domain.accounts import Account, Rates, Valuation
from tickdeck.domain.events import (
    RunStarted,
    RunStopped,
    TradingHalted,
    VenueBalanceReported,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import Side
from tickdeck.infrastructure.reporting.curves import Curve

amounts = st.decimals("0.001", "5", places=3)
prices = st.decimals("1", "200", places=2)
fills = st.lists(
    st.tuples(st.sampled_from(list(Side)), amounts, prices, st.sampled_from(["", "USDT", "BTC"])), max_size=30
)


@given(fills)
def test_the_trades_add_up_to_the_whole_pnl(made):
    tape = begun()
    account = Account("main", "USDT")
    for second, (side, quantity, price, currency) in enumerate(made, 1):
        fee = quantity * D("0.001") if currency == "BTC" else D("0.07")
        tape.fill(second, side, str(quantity), str(price), fee=fee, fee_currency=currency)
        account.apply_fill(tape.events[-1], BTC)
    tape.trade(len(made) + 1, "123.45")

    session = session_of(tape)

    made_of = D(0)
    for trade in session.trades:
        made_of = EXACT.add(made_of, trade.pnl)
    assert abs(made_of - session.pnl) < D("1E-12")
    assert session.pnl == Valuation(account, Rates(), instrument_for).equity({"BTCUSDT": D("123.45")}.get)
    assert session.fees == account.fees()


# -- the session ------------------------------------------------------------------------------------------------


def test_a_session_without_fills_stays_at_what_was_paid_in():
    tape = begun()
    tape.trade(5, "90")
    tape.add(RunStopped, 5, reason="end of market data")

    session = session_of(tape)

    assert (session.completed, session.reason, session.halted) == (True, "end of market data", None)
    assert (session.trades, session.fills, session.pnl, session.equity) == ((), (), 0, 1000)
    assert session.performance.trades == 0
    assert set(session.drawdowns()) == {0.0}


def test_equity_follows_the_price_and_drawdown_the_peak():
    tape = begun()
    tape.fill(0.5, Side.BUY, "2", "100")
    tape.trade(1, "150")
    tape.trade(2, "150")
    tape.trade(2.5, "100")

    session = session_of(tape)

    assert [seconds(ts) for ts, _ in changes(session.equity_curve)] == [0, 1, 2.5]
    assert [value for _, value in changes(session.equity_curve)] == [1000, 1100, 1000]
    assert [(seconds(ts), price) for ts, price in changes(session.price_curves["BTCUSDT"])] == [
        (0, 100),
        (1, 150),
        (2.5, 100),
    ]
    assert session.drawdowns()[-1] == pytest.approx(1000 / 1100 - 1)
    assert min(session.drawdowns()) == pytest.approx(-session.max_drawdown)
    assert session.positions == {"BTCUSDT": D(2)}
    assert not session.completed


def test_several_symbols_have_their_own_prices_and_trades():
    tape = begun()
    tape.trade(1, "10", symbol="ETHUSDT")
    tape.fill(2, Side.BUY, "1", "100")
    tape.fill(2, Side.BUY, "1", "10", symbol="ETHUSDT")
    tape.trade(3, "12", symbol="ETHUSDT")
    tape.add(TradingHalted, 3, cause="1", reason="daily loss")

    session = session_of(tape, "BTCUSDT", "ETHUSDT")

    assert [curve[-1][1] for curve in session.price_curves.values()] == [D(100), D(12)]
    assert {trade.symbol: trade.pnl for trade in session.trades} == {"BTCUSDT": 0, "ETHUSDT": 2}
    assert session.halted == "daily loss"


def changes(curve):
    """The points of a curve at which its value changes."""
    return [point for n, point in enumerate(curve) if not n or curve[n - 1][1] != point[1]]


def seconds(ts: int) -> float:
    return (ts - START) / 1e9


def test_the_curves_of_a_long_session_are_evenly_spaced_and_no_longer_than_a_chart_can_show():
    tape = begun()
    tape.fill(1, Side.BUY, "1", "100")
    for hour in range(1, 9_000):
        tape.trade(hour * 3600, str(100 + hour % 7))

    session = session_of(tape)

    for curve in (session.equity_curve, session.price_curves["BTCUSDT"]):
        times = [ts for ts, _ in curve]
        assert 1_000 < len(times) <= 3 * 1_024 + 2
        assert times == sorted(times)
        assert max(b - a for a, b in pairwise(times)) <= (times[-1] - times[0]) / 256


def test_a_momentary_spike_is_in_the_curves_of_a_long_session():
    tape = begun()
    tape.fill(1, Side.BUY, "1", "100")
    for hour in range(1, 9_000):
        tape.trade(hour * 3600, "100")
        if hour == 5_000:
            tape.trade(hour * 3600 + 1, "500")
            tape.trade(hour * 3600 + 2, "10")
            tape.trade(hour * 3600 + 3, "100")

    session = session_of(tape)

    prices = [price for _, price in session.price_curves["BTCUSDT"]]
    equity = [value for _, value in session.equity_curve]
    assert (max(prices), min(prices)) == (500, 10)
    assert (max(equity), min(equity)) == (1_400, 910)
    assert min(session.drawdowns()) == pytest.approx(-session.max_drawdown) == pytest.approx(910 / 1_400 - 1)


def test_the_equity_begins_with_the_deposits_however_late_they_are_reported():
    tape = Tape()
    tape.add(RunStarted, 0, strategies=("mine",), symbols=("BTCUSDT",), seed=1)
    tape.add(VenueBalanceReported, 4, account_id="main", currency="BTC", total=D(0))
    tape.add(VenueBalanceReported, 5, account_id="main", currency="USDT", total=D(1000))
    tape.trade(10, "90")

    assert {value for _, value in session_of(tape).equity_curve} == {1000}


def test_every_fill_is_a_point_of_its_price_curve():
    tape = begun()
    for second in range(1, 4_000):
        tape.trade(second, "100")
        if second % 2:
            tape.fill(second + 0.5, Side.BUY if second % 4 == 1 else Side.SELL, "0.1", "101")

    session = session_of(tape)

    points = set(session.price_curves["BTCUSDT"])
    assert {(fill.ts, fill.price) for fill in session.fills} <= points


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(-50, 50)), min_size=1, max_size=300))
def test_a_curve_keeps_lowest_highest_and_last_of_each_interval(steps):
    curve, ts, points = Curve(7), 7, []
    for step, value in steps:
        ts += step
        points.append((ts, D(value)))
        curve.add(ts, D(value))

    kept = list(curve.points())

    assert [t for t, _ in kept] == sorted(t for t, _ in kept)
    assert set(kept) <= set(points)
    assert kept[-1] == points[-1]
    assert (min(v for _, v in kept), max(v for _, v in kept)) == (min(v for _, v in points), max(v for _, v in points))
    groups = {}
    for t, value in points:
        groups.setdefault(curve.end_of_interval(t), []).append(value)
    assert len(groups) <= 1_024
    for end, values in groups.items():
        of_group = [value for t, value in kept if curve.end_of_interval(t) == end]
        assert (min(of_group), max(of_group)) == (min(values), max(values))
