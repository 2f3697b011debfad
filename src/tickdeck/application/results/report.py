"""Figures of a run: the equity over time, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import msgspec

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines import PortfolioEngine
from tickdeck.domain.events import BacktestCompleted, PositionClosedEvent
from tickdeck.domain.values import Money

__all__ = ["Performance", "PerformanceObserver", "backtest_figures"]

_SAMPLES = 4_096
_DAY_NS = 86_400 * 1_000_000_000
_YEAR_NS = 365 * _DAY_NS


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """``sharpe``: mean over standard deviation of the equity's returns from sample to sample, scaled to a year, no
    risk-free rate; ``None`` for a run of less than a day, for fewer than two returns or none that differ.
    ``max_drawdown``: largest fall from a peak, as a fraction of the peak. ``trades``: positions closed. ``win_rate``:
    the part of them with a gain before fees; ``None`` without any."""

    sharpe: float | None
    max_drawdown: float
    trades: int
    win_rate: float | None


class PerformanceObserver:
    """Samples the equity on the run's clock: each second at first, ever more rarely as the run grows longer, so that
    some thousands of samples cover any run. Looks on; publishes nothing."""

    def __init__(self, bus: InMemoryEventBus, equity: Callable[[], Money]) -> None:
        self._equity = equity
        self._interval = 1_000_000_000
        self._peak = Decimal(0)
        self._drawdown = 0.0
        self._won = self._closed = 0
        self._realized: dict[str, Money] = {}  # by position, up to its last close
        self.samples: list[tuple[int, Money]] = []
        bus.subscribe(PositionClosedEvent, self._on_closed, priority=-100, component="report")

    def observe(self, ts: int) -> int:
        """Take a sample at ``ts``; returns the ns until the next."""
        equity = self._equity()
        if equity > self._peak:
            self._peak = equity
        elif self._peak:
            self._drawdown = max(self._drawdown, float(1 - equity / self._peak))
        self.samples.append((ts, equity))
        if len(self.samples) > _SAMPLES:
            del self.samples[1::2]  # of an odd number: the first and the last stay, at equal distances
            self._interval *= 2
        return self._interval

    def _on_closed(self, closed: PositionClosedEvent) -> None:
        self._closed += 1
        # The last part alone does not tell: a position may have been brought down in several steps before.
        before = self._realized.get(closed.aggregate_id, Decimal(0))
        self._won += closed.total_realized_pnl > before
        self._realized[closed.aggregate_id] = closed.total_realized_pnl

    def performance(self) -> Performance:
        return Performance(
            sharpe=self._sharpe(),
            max_drawdown=self._drawdown,
            trades=self._closed,
            win_rate=self._won / self._closed if self._closed else None,
        )

    def _sharpe(self) -> float | None:
        if not self.samples or self.samples[-1][0] - self.samples[0][0] < _DAY_NS:
            return None  # scaled from minutes to a year it would be a number without a meaning
        equity = [float(value) for _, value in self.samples if value > 0]
        returns = [after / before - 1 for before, after in pairwise(equity)]
        if len(returns) < 2:
            return None
        mean = math.fsum(returns) / len(returns)
        deviation = math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
        if not deviation:
            return None
        return mean / deviation * math.sqrt(_YEAR_NS / self._interval)


def backtest_figures(inputs: int, portfolio: PortfolioEngine, observer: PerformanceObserver) -> BacktestCompleted:
    """What a backtest came to after ``inputs`` of market data, for its record."""
    performance = observer.performance()
    return BacktestCompleted(
        inputs=inputs,
        equity=portfolio.equity(),
        pnl=portfolio.pnl(),
        fees=portfolio.account.fees(),
        max_drawdown=performance.max_drawdown,
        trades=performance.trades,
        win_rate=performance.win_rate,
        sharpe=performance.sharpe,
    )
