"""Candles from trades."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.events import CandleEvent, TradeEvent
from tickdeck.domain.market import CandleBuilder, CandleResampler, Timeframe, parse_timeframe
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError

D = Decimal
MINUTE = 60_000_000_000
T0 = 28_717_920 * MINUTE  # a whole minute


def trade(ts: int, price: str, quantity: str = "1", *, received: int = 0) -> TradeEvent:
    return TradeEvent(symbol="BTCUSDT", ts=ts, ts_ingress=received, price=D(price), quantity=D(quantity), side=Side.BUY)


def build(trades: list[TradeEvent], interval: int = MINUTE) -> list[CandleEvent]:
    builder = CandleBuilder("BTCUSDT", Timeframe(interval))
    return [candle for t in trades if (candle := builder.on_trade(t)) is not None]


def test_trade_past_the_end_closes_the_candle() -> None:
    candles = build(
        [
            trade(T0 + 1, "100", "0.1"),
            trade(T0 + 2, "105", "0.2"),
            trade(T0 + 3, "95", "0.3"),
            trade(T0 + MINUTE - 1, "101", "0.4"),
            trade(T0 + MINUTE, "102"),
        ]
    )

    assert candles == [
        CandleEvent(
            symbol="BTCUSDT",
            interval=MINUTE,
            open_ts=T0,
            close_ts=T0 + MINUTE,
            open=D(100),
            high=D(105),
            low=D(95),
            close=D(101),
            volume=D("1.0"),
            trades=4,
            ts=T0 + MINUTE,
        )
    ]


def test_open_candle_is_not_published() -> None:
    assert build([trade(T0, "100"), trade(T0 + MINUTE - 1, "101")]) == []


def test_trade_that_closes_a_candle_counts_only_in_the_next() -> None:
    first, second = build([trade(T0, "100"), trade(T0 + MINUTE, "200"), trade(T0 + 2 * MINUTE, "300")])

    assert (first.high, first.trades) == (100, 1)
    assert (second.open, second.high, second.low, second.close, second.volume, second.trades) == (
        200,
        200,
        200,
        200,
        1,
        1,
    )


def test_intervals_without_trades_have_no_candles() -> None:
    first, second = build([trade(T0, "100"), trade(T0 + 10 * MINUTE, "101"), trade(T0 + 11 * MINUTE, "102")])

    assert (first.open_ts, second.open_ts) == (T0, T0 + 10 * MINUTE)


def test_late_trade_counts_in_the_current_candle() -> None:
    _, second = build([trade(T0, "100"), trade(T0 + MINUTE, "101"), trade(T0 + 5, "90"), trade(T0 + 2 * MINUTE, "99")])

    assert (second.open_ts, second.low, second.close, second.trades) == (T0 + MINUTE, 90, 90, 2)


def test_candles_are_aligned_to_the_epoch_wherever_the_trades_begin() -> None:
    (candle,) = build([trade(T0 + MINUTE // 2, "100"), trade(T0 + MINUTE + 1, "101")])

    assert (candle.open_ts, candle.close_ts) == (T0, T0 + MINUTE)


def test_trade_at_the_epoch_is_counted() -> None:
    (candle,) = build([trade(0, "100"), trade(MINUTE, "101")])

    assert (candle.open_ts, candle.trades) == (0, 1)


@pytest.mark.parametrize("interval", [0, -1])
def test_interval_must_be_above_zero(interval: int) -> None:
    with pytest.raises(ConfigError, match="candles of BTCUSDT: the duration is"):
        CandleBuilder("BTCUSDT", Timeframe(interval))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=60))
def test_candles_equal_a_grouping_by_interval(rows: list[tuple[int, int, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    trades = [trade(ts, str(D(p).scaleb(-2)), str(D(q).scaleb(-5))) for ts, p, q in rows]

    candles = build(trades, interval=7)

    groups: dict[int, list[TradeEvent]] = {}
    for t in trades:
        groups.setdefault(t.ts // 7 * 7, []).append(t)
    groups.popitem()  # the last is still open
    assert [c.open_ts for c in candles] == list(groups)
    for candle, group in zip(candles, groups.values(), strict=True):
        prices = [t.price for t in group]
        assert (candle.open, candle.close) == (prices[0], prices[-1])
        assert (candle.high, candle.low) == (max(prices), min(prices))
        assert (candle.volume, candle.trades) == (sum(t.quantity for t in group), len(group))


# -- wrong clocks --------------------------------------------------------------------------------------------------

DAY = 1_440 * MINUTE


def minutes(first: int, last: int, received: int = 0) -> list[TradeEvent]:
    """Twelve trades a minute, each received immediately or with this delay."""
    step = MINUTE // 12
    return [trade(ts, "100", received=ts + received) for ts in range(T0 + first * MINUTE, T0 + last * MINUTE, step)]


def test_a_trade_from_a_clock_a_day_ahead_does_not_stop_candles() -> None:
    wrong = trade(T0 + DAY, "101", received=T0 + 2 * MINUTE)

    candles = build([*minutes(0, 2), wrong, *minutes(2, 6)])

    assert [(c.open_ts - T0) // MINUTE for c in candles] == [0, 1, 2, 3, 4]
    assert [c.trades for c in candles] == [12, 12, 13, 12, 12]  # no trade is lost


def test_candles_continue_even_if_our_own_clock_was_a_day_ahead() -> None:
    wrong = trade(T0 + DAY, "101", received=T0 + DAY)

    candles = build([*minutes(0, 2), wrong, *minutes(2, 6, received=DAY)])

    assert [(c.open_ts - T0) // MINUTE for c in candles] == [0, 1, 2, 3, 4]


def test_a_candle_that_a_wrong_clock_closed_early_is_not_made_twice() -> None:
    wrong = trade(T0 + DAY, "101", received=T0 + MINUTE // 2)

    candles = build([*minutes(0, 1)[:6], wrong, *minutes(0, 1)[6:], *minutes(1, 3)])

    starts = [c.open_ts for c in candles]
    assert starts == sorted(set(starts))
    assert sum(c.trades for c in candles) == 6 + 1 + 6 + 12  # the last minute is still open


def test_a_late_trade_does_not_move_a_candle_that_our_clock_agrees_with() -> None:
    late = trade(T0, "99", received=T0 + 5 * MINUTE)

    candles = build([*minutes(4, 5), *minutes(5, 6)[:2], late, *minutes(5, 7)[2:]])

    assert [(c.open_ts - T0) // MINUTE for c in candles] == [4, 5]
    assert candles[1].low == 99


# -- candles from finer candles ----------------------------------------------------------------------------------------

HOUR = 60 * MINUTE
DAY = 24 * HOUR


def candle(open_ts: int, *prices: str, interval: int = MINUTE, volume: str = "1", trades: int = 2) -> CandleEvent:
    """Open, high, low and close."""
    numbers = [D(price) for price in prices]
    return CandleEvent(
        symbol="BTCUSDT",
        interval=interval,
        open_ts=open_ts,
        close_ts=open_ts + interval,
        open=numbers[0],
        high=max(numbers),
        low=min(numbers),
        close=numbers[-1],
        volume=D(volume),
        trades=trades,
        ts=open_ts + interval,
    )


def resample(timeframe: str, *candles: CandleEvent) -> list[CandleEvent]:
    resampler = CandleResampler("BTCUSDT", parse_timeframe(timeframe))
    return [closed for fine in candles for closed in resampler.on_candle(fine)]


def test_a_coarser_candle_closes_with_the_last_finer_one_in_it() -> None:
    first = candle(T0, "100", "104", "99", "101", volume="0.5")
    second = candle(T0 + MINUTE, "101", "102", "95", "97", volume="0.25")

    assert resample("2m", first) == []
    assert resample("2m", first, second) == [
        CandleEvent(
            symbol="BTCUSDT",
            interval=2 * MINUTE,
            open_ts=T0,
            close_ts=T0 + 2 * MINUTE,
            open=D(100),
            high=D(104),
            low=D(95),
            close=D(97),
            volume=D("0.75"),
            trades=4,
            ts=T0 + 2 * MINUTE,
        )
    ]


def test_a_missing_finer_candle_at_the_end_leaves_the_coarser_one_to_the_next() -> None:
    closed = resample("2m", candle(T0, "100"), candle(T0 + 2 * MINUTE, "101"), candle(T0 + 3 * MINUTE, "102"))

    assert [(c.open_ts - T0, c.open, c.close) for c in closed] == [(0, 100, 100), (2 * MINUTE, 101, 102)]


def test_a_gap_may_close_two_candles_at_once() -> None:
    closed = resample("2m", candle(T0, "100"), candle(T0 + 5 * MINUTE, "105"))

    assert [(c.open_ts - T0, c.close) for c in closed] == [(0, 100), (4 * MINUTE, 105)]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 10**4), st.integers(0, 10**4)), min_size=1, max_size=80),
    st.sampled_from([2, 3, 5, 15]),
)
def test_coarser_candles_equal_a_grouping(rows: list[tuple[int, int, int]], minutes: int) -> None:
    fine, ts = [], T0
    for step, price, volume in rows:
        ts += step * MINUTE
        fine.append(candle(ts, str(price), str(price + 2), str(price - D("0.5")), str(price + 1), volume=str(volume)))
    closed = resample(f"{minutes}m", *fine)

    groups: dict[int, list[CandleEvent]] = {}
    for one in fine:
        groups.setdefault(one.open_ts - one.open_ts % (minutes * MINUTE), []).append(one)
    whole = [begin for begin in groups if begin + minutes * MINUTE <= fine[-1].close_ts]
    assert [c.open_ts for c in closed] == whole
    for got in closed:
        group = groups[got.open_ts]
        assert (got.open, got.close) == (group[0].open, group[-1].close)
        assert (got.high, got.low) == (max(c.high for c in group), min(c.low for c in group))
        assert (got.volume, got.trades) == (sum(c.volume for c in group), sum(c.trades for c in group))


@pytest.mark.parametrize(
    ("text", "moment", "begin", "end"),
    [
        ("1h", "2024-08-08T13:45", "2024-08-08T13:00", "2024-08-08T14:00"),
        ("4h", "2024-08-08T13:45", "2024-08-08T12:00", "2024-08-08T16:00"),
        ("1d", "2024-08-08T13:45", "2024-08-08", "2024-08-09"),
        ("1w", "2024-08-08T13:45", "2024-08-05", "2024-08-12"),  # a Monday
        ("1mo", "2024-02-29T23:59", "2024-02-01", "2024-03-01"),
        ("3mo", "2024-05-01", "2024-04-01", "2024-07-01"),
        ("12mo", "2024-05-01", "2024-01-01", "2025-01-01"),
    ],
)
def test_candles_begin_at_calendar_borders(text: str, moment: str, begin: str, end: str) -> None:
    def ns(date: str) -> int:
        return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1_000_000_000

    timeframe = parse_timeframe(text)

    assert timeframe.bounds(ns(moment)) == (ns(begin), ns(end))
    assert timeframe.bounds(ns(begin)) == (ns(begin), ns(end))
    assert timeframe.lasts(ns(end) - ns(begin))
    assert parse_timeframe(str(timeframe)) == timeframe


@pytest.mark.parametrize(
    ("text", "timeframe"),
    [
        ("250ms", Timeframe(250_000_000)),
        ("1m", Timeframe(MINUTE)),
        ("4h", Timeframe(4 * HOUR)),
        ("4 H", Timeframe(4 * HOUR)),
        ("1w", Timeframe(7 * DAY)),
        ("1M", Timeframe(0, 1)),
        ("3mo", Timeframe(0, 3)),
    ],
)
def test_a_timeframe_is_written_as_exchanges_write_it(text: str, timeframe: Timeframe) -> None:
    assert parse_timeframe(text) == timeframe


@pytest.mark.parametrize("text", ["", "m", "0m", "1.5h", "1y", "60"])
def test_an_invalid_timeframe_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give a whole number with a unit"):
        parse_timeframe(text)


def test_days_may_have_23_or_25_hours_but_hours_are_exact() -> None:
    assert parse_timeframe("1d").lasts(23 * HOUR)
    assert parse_timeframe("1d").lasts(25 * HOUR)
    assert not parse_timeframe("1h").lasts(30 * MINUTE)
    assert not parse_timeframe("1mo").lasts(7 * DAY)
