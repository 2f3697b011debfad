"""What each strategy has earned so far, for the conditions that ask for it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, TRADE_EVENTS, StrategyTrades
from tickdeck.domain.values import ZERO, Money, Price

__all__ = ["StrategyProfits"]

_HUNDRED = Decimal(100)


class StrategyProfits:
    """Follows the trades of each strategy, as the trade journal does, if ``wanted``: otherwise it receives nothing, and
    knows nothing. A fee in a third currency is not counted.
    """

    component = "profits"
    hears = TRADE_EVENTS
    publishes: tuple[type[DomainEvent], ...] = ()

    def __init__(
        self,
        kernel: Kernel,
        portfolio_of: Callable[[str], PortfolioEngine],
        *,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        wanted: bool,
    ) -> None:
        """``portfolio_of(strategy_id)`` is that of the account with which a strategy trades."""
        self._portfolio_of = portfolio_of
        self._price = price
        self.is_kept = wanted
        self.trades = StrategyTrades(instrument, with_orders=False)
        if wanted:
            own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
            for event_class in TRADE_EVENTS:
                kernel.subscribe(event_class, self.trades.apply, **own)

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record."""
        if self.is_kept:
            self.trades.apply(event)

    def profit(self, strategy_id: str) -> Money | None:
        """The realized and unrealized profit of a strategy after fees, in the account's quote currency. ``None`` if
        nothing is kept, or a price is missing."""
        if not self.is_kept:
            return None
        total, portfolio = ZERO, self._portfolio_of(strategy_id)
        for trips in self.trades.of(strategy_id):
            price = self._price(trips.symbol)
            rate = portfolio.rate(trips.currency, portfolio.account.quote)
            if price is None or rate is None:
                return None
            total = EXACT.add(total, EXACT.multiply(trips.pnl(price), rate))
        return total

    def percent(self, strategy_id: str) -> Decimal | None:
        """The same in percent of what was paid into its account. ``None`` if nothing was."""
        portfolio = self._portfolio_of(strategy_id)
        profit, paid_in = self.profit(strategy_id), portfolio.valuation.deposits
        if profit is None or paid_in <= 0 or portfolio.known_equity() is None:
            return None
        return profit / paid_in * _HUNDRED
