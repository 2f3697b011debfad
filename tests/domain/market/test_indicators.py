"""Indicators against examples worked by hand and against plain recomputation."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.market import Atr, BookImbalance, Ema, Rsi, Sma, Vwap
from tickdeck.errors import ConfigError

D = Decimal
series = st.lists(st.integers(1, 10**7).map(lambda n: n / 100), max_size=80)


# -- ema ------------------------------------------------------------------------------------------------------------


def test_ema_with_an_alpha_begins_with_the_first_value() -> None:
    ema = Ema(alpha=0.5)

    assert ema.value is None
    assert [ema.update(x) for x in (10.0, 20.0, 20.0, 0.0)] == [10.0, 15.0, 17.5, 8.75]
    assert ema.value == 8.75


def test_ema_with_a_period_has_no_value_before_that_many_observations() -> None:
    ema = Ema(3)  # alpha 0.5

    assert [ema.update(x) for x in (10.0, 20.0, 20.0, 0.0)] == [None, None, 17.5, 8.75]
    assert ema.alpha == 0.5


def test_ema_seeded_as_ta_lib_does_begins_with_the_mean() -> None:
    ema = Ema(3, seed="sma")

    assert [ema.update(x) for x in (10.0, 20.0, 30.0, 0.0)] == [None, None, 20.0, 10.0]


@pytest.mark.parametrize("options", [{"period": 3, "seed": "last"}, {"alpha": 0.5, "seed": "sma"}])
def test_an_ema_is_seeded_in_one_of_two_ways(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ema: seed "):
        Ema(**options)


def test_ema_of_period_one_is_the_last_value() -> None:
    ema = Ema(1)

    assert [ema.update(x) for x in (3.0, 5.0)] == [3.0, 5.0]


@given(series, st.integers(1, 20))
def test_ema_is_the_weighted_sum_of_all_observations(xs: list[float], period: int) -> None:
    ema = Ema(period)
    for x in xs:
        ema.update(x)

    if len(xs) < period:
        assert ema.value is None
    else:
        a = Fraction(2, period + 1)
        weights = [(1 - a) ** (len(xs) - 1)] + [a * (1 - a) ** (len(xs) - 1 - i) for i in range(1, len(xs))]
        assert ema.value == pytest.approx(float(sum(w * Fraction(x) for w, x in zip(weights, xs, strict=True))))


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1, float("nan")])
def test_ema_refuses_an_invalid_alpha(alpha: float) -> None:
    with pytest.raises(ConfigError, match="ema: alpha is"):
        Ema(alpha=alpha)


def test_ema_needs_either_a_period_or_an_alpha() -> None:
    with pytest.raises(ConfigError, match="either"):
        Ema()
    with pytest.raises(ConfigError, match="either"):
        Ema(3, alpha=0.5)


# -- sma ------------------------------------------------------------------------------------------------------------


def test_sma_is_the_mean_of_the_window() -> None:
    sma = Sma(3)

    assert [sma.update(x) for x in (1.0, 2.0, 6.0, 4.0, 2.0)] == [None, None, 3.0, 4.0, 4.0]


@given(series, st.integers(1, 20))
def test_sma_equals_the_mean_of_the_last_values(xs: list[float], period: int) -> None:
    sma = Sma(period)

    for i, x in enumerate(xs, 1):
        value = sma.update(x)
        assert value == sma.value
        assert value is None if i < period else value == pytest.approx(sum(xs[i - period : i]) / period)


@given(st.lists(st.decimals(1, 100_000, places=2).map(float), min_size=1, max_size=60), st.integers(1, 20))
def test_sma_is_rounded_like_a_sum_of_the_window(xs: list[float], period: int) -> None:
    sma = Sma(period)

    for i, x in enumerate(xs, 1):
        value = sma.update(x)
        assert i < period or value == fsum(xs[i - period : i]) / period


def test_sma_forgets_the_rounding_errors_of_a_wild_value() -> None:
    sma = Sma(4)
    for x in (1e18, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1):
        sma.update(x)

    assert sma.value == 0.1


# -- rsi ------------------------------------------------------------------------------------------------------------


def test_rsi_of_a_worked_example() -> None:
    # Changes +1 -1 +2 | -2 +3. First averages (period 3): G = 3/3, L = 1/3, so 100 * 1 / (4/3) = 75.
    # Then G = 2/3, L = (2/3 + 2)/3 = 8/9: 100 * 6/14; then G = (4/3 + 3)/3 = 13/9, L = 16/27: 100 * 39/55.
    rsi = Rsi(3)

    values = [rsi.update(x) for x in (10.0, 11.0, 10.0, 12.0, 10.0, 13.0)]

    assert values == [None, None, None, pytest.approx(75.0), pytest.approx(600 / 14), pytest.approx(3900 / 55)]
    assert rsi.value == values[-1]


@pytest.mark.parametrize(("step", "expected"), [(1.0, 100.0), (-1.0, 0.0), (0.0, 50.0)])
def test_rsi_of_one_way_markets(step: float, expected: float) -> None:
    rsi = Rsi(5)
    for i in range(20):
        rsi.update(100.0 + i * step)

    assert rsi.value == expected


@given(series, st.integers(1, 15))
def test_rsi_equals_wilders_formula_recomputed(xs: list[float], period: int) -> None:
    rsi = Rsi(period)
    for x in xs:
        rsi.update(x)

    changes = [Fraction(b) - Fraction(a) for a, b in pairwise(xs)]
    if len(changes) < period:
        assert rsi.value is None
        return
    rise = sum(max(c, 0) for c in changes[:period]) / Fraction(period)
    fall = sum(max(-c, 0) for c in changes[:period]) / Fraction(period)
    for change in changes[period:]:
        rise = (rise * (period - 1) + max(change, 0)) / period
        fall = (fall * (period - 1) + max(-change, 0)) / period
    if not fall:
        assert rsi.value == (100.0 if rise else 50.0)
    else:
        assert rsi.value == pytest.approx(float(100 - 100 / (1 + rise / fall)), abs=1e-6)


# -- atr ------------------------------------------------------------------------------------------------------------


def test_atr_begins_with_the_mean_of_the_first_true_ranges() -> None:
    atr = Atr(2)

    candles = [(12.0, 8.0, 10.0), (11.0, 9.0, 9.0), (16.0, 12.0, 14.0), (15.0, 14.0, 14.5), (13.0, 11.0, 12.0)]
    # true ranges: 2, 7 (from the close at 9 up to 16), 1, 3.5 (from 14.5 down to 11)
    assert [atr.update(*candle) for candle in candles] == [None, None, 4.5, 2.75, 3.125]


@given(st.lists(st.tuples(*[st.integers(1, 10**6).map(float)] * 3), min_size=2, max_size=50), st.integers(1, 20))
def test_atr_is_the_smoothed_mean_of_the_true_ranges(candles: list[tuple[float, float, float]], period: int) -> None:
    candles = [(max(three), min(three), three[2]) for three in candles]
    atr = Atr(period)
    got = [atr.update(*candle) for candle in candles]

    ranges = [
        max(Fraction(high) - Fraction(low), abs(Fraction(high) - Fraction(last)), abs(Fraction(low) - Fraction(last)))
        for (_, _, last), (high, low, _) in pairwise(candles)
    ]
    assert got[:period] == [None] * min(period, len(got))
    expected = sum(ranges[:period], Fraction(0)) / period
    for n, value in enumerate(got[period:]):
        if n:
            expected = (expected * (period - 1) + ranges[period + n - 1]) / period
        assert value == pytest.approx(float(expected), rel=1e-12)


# -- vwap -----------------------------------------------------------------------------------------------------------


def test_session_vwap_weighs_every_trade_since_the_reset() -> None:
    vwap = Vwap()

    assert [vwap.update(100.0, 1.0), vwap.update(110.0, 3.0)] == [100.0, 107.5]
    vwap.reset()
    assert vwap.value is None
    assert vwap.update(50.0, 2.0) == 50.0


def test_windowed_vwap_weighs_the_last_trades() -> None:
    vwap = Vwap(2)

    values = [vwap.update(p, q) for p, q in ((100.0, 1.0), (110.0, 3.0), (90.0, 1.0))]

    assert values == [None, 107.5, 105.0]


def test_reset_keeps_the_window() -> None:
    vwap = Vwap(2)
    vwap.update(100.0, 1.0)
    vwap.reset()

    assert vwap.update(100.0, 1.0) is None
    assert vwap.update(110.0, 1.0) == 105.0


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=60), st.integers(1, 12))
def test_windowed_vwap_equals_plain_recomputation(trades: list[tuple[int, int]], window: int) -> None:
    vwap = Vwap(window)
    for price, quantity in trades:
        vwap.update(float(price), float(quantity))

    last = trades[-window:]
    if len(trades) < window:
        assert vwap.value is None
    else:
        assert vwap.value == pytest.approx(sum(p * q for p, q in last) / sum(q for _, q in last))


# -- book imbalance -------------------------------------------------------------------------------------------------


def test_imbalance_counts_the_best_levels_only() -> None:
    bids = [(D(100), D(3)), (D(99), D(1)), (D(98), D(1000))]
    asks = [(D(101), D(1)), (D(102), D(1)), (D(103), D(1000))]

    assert BookImbalance(1).update(bids, asks) == 0.5
    assert BookImbalance(2).update(bids, asks) == pytest.approx(2 / 6)


def test_imbalance_of_a_one_sided_book_is_one() -> None:
    assert BookImbalance().update([(D(100), D(3))], []) == 1.0
    assert BookImbalance().update([], ((D(100), D(3)),)) == -1.0


def test_imbalance_of_an_empty_book_is_none_again() -> None:
    imbalance = BookImbalance(5)
    imbalance.update([(D(100), D(3))], [(D(101), D(3))])
    assert imbalance.value == 0.0

    assert imbalance.update([], []) is None
    assert imbalance.value is None


# -- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Ema, Sma, Rsi, Vwap, BookImbalance])
@pytest.mark.parametrize("value", [0, -3, 2.5])
def test_periods_must_be_whole_numbers_of_at_least_one(make: Callable[[object], object], value: object) -> None:
    with pytest.raises(ConfigError, match=r"give a whole number of at least 1"):
        make(value)
