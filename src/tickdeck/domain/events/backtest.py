"""The start, progress and end of a backtest, reported by its driver."""

from __future__ import annotations

import math
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.values import Money

__all__ = ["BacktestCompleted", "BacktestFailed", "BacktestProgressed", "BacktestStarted"]


class BacktestStarted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A backtest begins. An input of the run's driver, before the first market data.

    ``first_ts`` (ns UTC) is the receive time of the first market data.
    """

    event_type: ClassVar[str] = "backtest.started"
    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    first_ts: int = 0


class BacktestProgressed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The progress of a backtest. An input of the run's driver, after each fixed number of inputs.

    ``inputs`` counts only market data. ``reached_ts`` (ns UTC) is the receive time of the last one.
    """

    event_type: ClassVar[str] = "backtest.progressed"
    inputs: int
    reached_ts: int


class BacktestCompleted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A backtest reached its end, with its results. An input of the run's driver, before ``run.stopped``.

    ``equity``, ``pnl`` (after fees) and ``fees`` are in the account's quote currency. ``max_drawdown`` is a fraction of
    the peak. ``trades`` counts closed positions. ``win_rate`` (before fees) and ``sharpe`` (per year, no risk-free
    rate) are ``None`` if there is too little data for them.
    """

    event_type: ClassVar[str] = "backtest.completed"
    inputs: int
    equity: Money
    pnl: Money
    fees: Money
    max_drawdown: float
    trades: int
    win_rate: float | None = None
    sharpe: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_drawdown", "win_rate", "sharpe"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise invalid(self, name, "a finite number")


class BacktestFailed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A backtest has no valid result, because its input is broken or an error halted trading. An input of the run's
    driver.

    ``inputs`` counts the market data that was processed.
    """

    event_type: ClassVar[str] = "backtest.failed"
    inputs: int
    reason: str
