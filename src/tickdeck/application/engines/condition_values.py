"""The values that conditions outside of strategies use."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.portfolios import Portfolios
from tickdeck.application.engines.signals import SignalEngine
from tickdeck.application.engines.strategies.profits import StrategyProfits
from tickdeck.application.kernel import Kernel
from tickdeck.application.strategies import LastCandles, profit_percent
from tickdeck.domain.conditions import Reference, signal_name
from tickdeck.domain.values import ZERO

__all__ = ["ConditionValues"]

_DAY = 86_400_000_000_000


class ConditionValues:
    """Reads the values of names from the engines. ``candles`` has the last candle of each timeframe that a condition
    uses."""

    def __init__(
        self,
        kernel: Kernel,
        market_data: MarketDataEngine,
        signals: SignalEngine,
        portfolio_of: Callable[[str], PortfolioEngine | Portfolios],
        profits: StrategyProfits,
    ) -> None:
        """``portfolio_of(account_id)`` is that of one account; with an empty id, the figures of all together."""
        self._kernel = kernel
        self._market_data = market_data
        self._signals = signals
        self._portfolio_of = portfolio_of
        self._profits = profits
        self.candles = LastCandles()

    def value(self, symbol: str, reference: Reference, *, account: str = "") -> Decimal | None:
        """The value now; ``None`` if it is not known. ``symbol`` counts where ``reference`` names none. ``account``:
        whose position and equity is meant; empty: that of all accounts together."""
        symbol = reference.symbol or symbol
        name = signal_name(reference)
        if name:
            value = self._signals.value(name, symbol)
            return None if value is None else Decimal(repr(value))
        match reference.function:
            case "price":
                return self._market_data.market(symbol).price
            case "bid" | "ask":
                market = self._market_data.market(symbol)
                level = market.best_bid if reference.function == "bid" else market.best_ask
                return None if level is None else level[0]
            case "position":
                position = self._portfolio_of(account).view(symbol)
                return ZERO if position.is_flat else position.quantity
            case "profit_pct":
                return profit_percent(self._portfolio_of(account).view(symbol))
            case "pnl":
                return self._profits.profit(reference.of)
            case "pnl_pct":
                return self._profits.percent(reference.of)
            case "equity":
                return self._portfolio_of(account).known_equity()
            case "time":
                return Decimal(self._kernel.clock.now() % _DAY)
        return self.candles.value(symbol, reference)

    @property
    def knows_profits(self) -> bool:
        """Whether this run follows what each strategy earns."""
        return self._profits.is_kept

    def has_last_price(self, symbol: str) -> bool:
        """Whether the symbol's price is that of a trade or a candle, so that quotes do not change it."""
        return self._portfolio_of("").has_last_price(symbol)
