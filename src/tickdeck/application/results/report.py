"""Figures of a run: the largest drawdown, the ratios of return to risk, and the trades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from tickdeck.application.bus import EventBus
from tickdeck.application.engines import Market, MarketDataEngine, PortfolioEngine, Portfolios, Valuations
from tickdeck.domain.accounts import Valuation
from tickdeck.domain.events import (
    BacktestCompleted,
    CandleEvent,
    DomainEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionClosedEvent,
    PositionLiquidatedEvent,
    PositionOpenedEvent,
    TickEvent,
    TradeEvent,
    VenueBalanceReported,
)
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import Money

__all__ = ["Performance", "PerformanceObserver", "backtest_figures", "ratios"]

_HOUR_NS = 3_600 * 1_000_000_000
_DAY_NS = 24 * _HOUR_NS
_YEAR_NS = 365 * _DAY_NS
_DAILY_FROM = 7 * _DAY_NS
"""Runs of at least this length use daily returns for their ratios, shorter ones hourly returns."""


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """The performance of a run's equity and trades.

    - ``sharpe``: the mean of the returns over their standard deviation, scaled to a year, without a risk-free rate.
      ``sortino``: the same over the deviation of the losses alone. Both are ``None`` for a run of less than a day, for
      fewer than two returns, and if the deviation is 0.
    - ``returns``: the period of the returns: ``1d`` (from one UTC midnight to the next) for a run of at least
      seven days, otherwise ``1h``. ``None`` without ratios.
    - ``max_drawdown``: the largest fall from a peak, as a fraction of the peak; exact.
    - ``trades``: closed positions. ``win_rate``: the fraction with a profit, before fees; ``None`` without trades.
    """

    sharpe: float | None
    sortino: float | None
    returns: str | None
    max_drawdown: float
    trades: int
    win_rate: float | None


class PerformanceObserver:
    """Follows the equity of one account or of several in ``valuation``, at the prices of ``market``. Publishes nothing.

    The drawdown follows every price and every fill. The ratios use a sample at each full hour of the run's clock, which
    the run's driver takes with ``observe``. What was paid in and could be valued only later counts from the start.
    """

    def __init__(self, bus: EventBus, valuation: Valuation | Valuations, market: MarketDataEngine) -> None:
        self._valuation = valuation
        self._market = market
        self._deposits = valuation.deposits
        self._held: list[str] = []  # symbols whose price the equity depends on
        self._only: Market | None = None  # the market of that symbol, if it is only one
        self._low = self._high = Decimal(0)  # prices since the peak or the last fill; see ``on_price``
        self._peak = Decimal(0)
        self._drawdown = Decimal(0)
        self._won = self._closed = 0
        self._realized: dict[str, Money] = {}  # by position, up to its last close
        self.samples: list[tuple[int, Money]] = []
        """Time (ns UTC) and equity at the start and at each full hour after it."""
        for price in (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent, CandleEvent):
            bus.subscribe(price, self.on_price, priority=-100, component="report")
        for fill in (OrderPartiallyFilledEvent, OrderFilledEvent):
            bus.subscribe(fill, self.on_holdings, priority=-100, component="report")
        for holding in (VenueBalanceReported, PositionOpenedEvent, PositionLiquidatedEvent):  # not by fills
            bus.subscribe(holding, self.on_holdings, priority=-100, component="report")
        bus.subscribe(PositionClosedEvent, self.on_closed, priority=-100, component="report")

    def equity(self) -> Money:
        """In the account's quote currency, at the market's prices."""
        return self._valuation.equity(self._market.price)

    # -- drawdown ---------------------------------------------------------------------------------------------------

    def on_price(self, event: MarketEvent) -> None:
        """A price may have changed. If the equity depends on one price, it moves with that one. Only a price outside
        the range since the peak can make a new peak or a deeper fall."""
        if event.symbol not in self._held:
            return
        only = self._only
        if only is None:
            self.look(self.equity())
            return
        price = only.last_price or only.price
        if price is None:
            return
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        else:
            return
        if self.look(self.equity()):
            self._high = self._low = price

    def on_holdings(self, _: DomainEvent) -> None:
        """Call this after the account has applied a fill, a deposit, or the first price of coins from the start."""
        self._held = self._valuation.symbols()
        self._only = self._market.market(self._held[0]) if len(self._held) == 1 else None
        price = self._only.price if self._only is not None else None
        self._high = self._low = price if price is not None else Decimal(0)
        self.look(self.equity())

    def look(self, equity: Money) -> bool:
        """Record the current equity. Returns whether it is a new peak."""
        if self._valuation.deposits is not self._deposits:
            self._raise(EXACT.subtract(self._valuation.deposits, self._deposits))
        if equity > self._peak:
            self._peak = equity
            return True
        if self._peak and (fall := 1 - equity / self._peak) > self._drawdown:
            self._drawdown = fall
        return False

    def _raise(self, paid_in: Money) -> None:
        """Count what was paid in and has a value only now as if it had been there before."""
        self._deposits = self._valuation.deposits
        self._peak = EXACT.add(self._peak, paid_in)
        self.samples = [(ts, EXACT.add(equity, paid_in)) for ts, equity in self.samples]

    # -- returns ----------------------------------------------------------------------------------------------------

    def observe(self, ts: int) -> int:
        """Take a sample at ``ts``. Returns the ns until the next."""
        return self.sample(ts, self.equity())

    def sample(self, ts: int, equity: Money) -> int:
        """The same, for a known ``equity``."""
        self.look(equity)
        self.samples.append((ts, equity))
        return _HOUR_NS - ts % _HOUR_NS

    # -- trades -----------------------------------------------------------------------------------------------------

    def on_closed(self, closed: PositionClosedEvent) -> None:
        self._closed += 1
        # The last part alone is not enough, because the position may have been reduced in several steps before.
        before = self._realized.get(closed.aggregate_id, Decimal(0))
        self._won += closed.total_realized_pnl > before
        self._realized[closed.aggregate_id] = closed.total_realized_pnl

    def performance(self) -> Performance:
        sharpe, sortino, returns = ratios(self.samples)
        return Performance(
            sharpe=sharpe,
            sortino=sortino,
            returns=returns,
            max_drawdown=float(self._drawdown),
            trades=self._closed,
            win_rate=self._won / self._closed if self._closed else None,
        )


def ratios(samples: Sequence[tuple[int, Money]]) -> tuple[float | None, float | None, str | None]:
    """Sharpe, Sortino, and the period of the returns, from hourly ``samples``: see ``Performance``."""
    nothing = (None, None, None)
    if not samples or samples[-1][0] - samples[0][0] < _DAY_NS:
        return nothing  # scaled from minutes to a year, the number would be meaningless
    name, step = ("1d", _DAY_NS) if samples[-1][0] - samples[0][0] >= _DAILY_FROM else ("1h", _HOUR_NS)
    equity = [float(value) for ts, value in samples if value > 0 and ts % step == 0]
    returns = [after / before - 1 for before, after in pairwise(equity)]
    if len(returns) < 2:
        return nothing
    mean = math.fsum(returns) / len(returns)
    deviation = math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in returns) / len(returns))
    scale = math.sqrt(_YEAR_NS / step)
    sharpe = mean / deviation * scale if deviation else None
    sortino = mean / downside * scale if downside else None
    return (sharpe, sortino, name) if (sharpe, sortino) != (None, None) else nothing


def backtest_figures(
    inputs: int, portfolio: PortfolioEngine | Portfolios, observer: PerformanceObserver
) -> BacktestCompleted:
    """The results of a backtest after ``inputs`` of market data, for its record."""
    performance = observer.performance()
    return BacktestCompleted(
        inputs=inputs,
        equity=portfolio.equity(),
        pnl=portfolio.pnl(),
        fees=portfolio.fees(),
        max_drawdown=performance.max_drawdown,
        trades=performance.trades,
        win_rate=performance.win_rate,
        sharpe=performance.sharpe,
    )
