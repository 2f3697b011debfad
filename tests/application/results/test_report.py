"""Figures of a run: equity over time, drawdown, Sharpe ratio, wins."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from application_kit import BTC, SECOND, D

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.results import PerformanceObserver
from tickdeck.domain.events import PositionClosedEvent, PositionUpdatedEvent


class Curve:
    """An equity that follows a script, and the observer of it."""

    def __init__(self, *equity: str, interval: int = 30 * 3_600 * SECOND) -> None:
        self.bus = InMemoryEventBus()
        self._equity = iter(equity)
        self.observer = PerformanceObserver(self.bus, lambda: D(next(self._equity)))
        self.observer._interval = interval
        self.ts = 0
        for _ in equity:
            self.ts += self.observer.observe(self.ts)


def closed(total: str, last: str = "0", symbol: str = BTC) -> PositionClosedEvent:
    return PositionClosedEvent(
        symbol=symbol, quantity=D(0), average_price=D(1), realized_pnl=D(last), total_realized_pnl=D(total)
    )


def test_the_drawdown_is_the_largest_fall_from_a_peak() -> None:
    assert Curve("100", "120", "90", "110", "130", "104").observer.performance().max_drawdown == 0.25


def test_an_equity_that_only_rises_has_no_drawdown() -> None:
    assert Curve("1", "2", "2", "3").observer.performance().max_drawdown == 0


def test_without_money_there_is_no_drawdown_and_no_ratio() -> None:
    performance = Curve("0", "0", "0").observer.performance()
    assert (performance.max_drawdown, performance.sharpe) == (0, None)


def test_an_account_that_is_lost_is_a_drawdown_of_all_of_it() -> None:
    assert Curve("100", "0").observer.performance().max_drawdown == 1


def test_the_sharpe_ratio_is_the_mean_over_the_deviation_of_the_returns_scaled_to_a_year() -> None:
    returns = [0.1, -0.05, 0.2]
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    sharpe = Curve("100", "110", "104.5", "125.4").observer.performance().sharpe

    assert sharpe == pytest.approx(mean / deviation * math.sqrt(365 * 24 / 30))


@pytest.mark.parametrize("equity", [(), ("100",), ("100", "110"), ("100", "100", "100")])
def test_too_few_returns_or_none_that_differ_have_no_ratio(equity: tuple[str, ...]) -> None:
    assert Curve(*equity).observer.performance().sharpe is None


def test_a_run_of_less_than_a_day_has_no_ratio() -> None:
    returns = ("100", "110", "104.5", "125.4")

    assert Curve(*returns, interval=7 * 3_600 * SECOND).observer.performance().sharpe is None
    assert Curve(*returns, interval=9 * 3_600 * SECOND).observer.performance().sharpe is not None


def test_samples_before_the_money_came_do_not_count() -> None:
    assert Curve("0", "100", "110", "104.5").observer.performance().sharpe == pytest.approx(
        Curve("100", "110", "104.5").observer.performance().sharpe
    )


def test_a_long_run_is_sampled_ever_more_rarely_at_equal_distances_and_keeps_its_start() -> None:
    curve = Curve(*map(str, range(1, 20_001)))
    samples = curve.observer.samples
    times = [ts for ts, _ in samples]
    steps = {after - before for before, after in pairwise(times)}

    assert 2_000 < len(samples) <= 4_097
    assert samples[0] == (0, 1)
    assert samples[-1][1] == 20_000
    assert steps == {curve.observer._interval}
    assert times[-1] > 20_000 * SECOND


def test_a_drawdown_is_not_lost_with_the_sample_that_saw_it() -> None:
    equity = ["100"] * 5_000
    equity[1_001] = "50"
    assert Curve(*equity).observer.performance().max_drawdown == 0.5


def test_a_position_is_won_when_all_of_it_together_made_a_profit() -> None:
    curve = Curve("1")
    performance = curve.observer.performance()
    assert (performance.trades, performance.win_rate) == (0, None)

    curve.bus.publish(
        PositionUpdatedEvent(
            symbol=BTC, quantity=D(1), average_price=D(1), realized_pnl=D(10), total_realized_pnl=D(10)
        )
    )
    curve.bus.publish(closed("9", last="-1"))  # +10 and then -1: won
    curve.bus.publish(closed("7", last="1"))  # -3 and then +1: lost
    curve.bus.publish(closed("7"))  # nothing: not won
    curve.bus.publish(closed("1", symbol="ETHUSDT"))  # won

    performance = curve.observer.performance()
    assert (performance.trades, performance.win_rate) == (4, 0.5)
