"""What each strategy has earned so far, for the conditions that ask for it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, Position
from tickdeck.domain.values import ZERO, Money, Price, Side

__all__ = ["StrategyProfits"]

_HUNDRED = Decimal(100)


class StrategyProfits:
    """Adds up the fills of each strategy, if ``wanted``: otherwise it receives nothing, and knows nothing.

    A fee in the base currency counts as sold at the price of the fill. One in a third currency is not counted.
    """

    component = "profits"
    hears = (OrderFilledEvent, OrderPartiallyFilledEvent)
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
        self._instrument = instrument
        self.is_kept = wanted
        self._books: dict[str, dict[str, Position]] = {}  # by strategy and symbol
        if wanted:
            own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
            kernel.subscribe(OrderFilledEvent, self.on_fill, **own)
            kernel.subscribe(OrderPartiallyFilledEvent, self.on_fill, **own)

    def on_fill(self, fill: OrderFilledEvent | OrderPartiallyFilledEvent) -> None:
        instrument = self._instrument(fill.symbol)
        books = self._books.setdefault(fill.strategy_id, {})
        position = books.get(fill.symbol)
        if position is None:
            position = books[fill.symbol] = Position(fill.symbol, currency=instrument.quote, in_run=True)
        paid = fill.fee if fill.fee_currency == instrument.quote else ZERO
        position.fill(fill.side, fill.price, fill.quantity, fee=paid)
        if fill.fee_currency == instrument.base and fill.fee > 0:
            position.fill(Side.SELL, fill.price, fill.fee, fee=EXACT.multiply(fill.fee, fill.price))

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record."""
        if self.is_kept and isinstance(event, OrderFilledEvent | OrderPartiallyFilledEvent):
            self.on_fill(event)

    def profit(self, strategy_id: str) -> Money | None:
        """The realized and unrealized profit of a strategy after fees, in the account's quote currency. ``None`` if
        nothing is kept, or a price is missing."""
        if not self.is_kept:
            return None
        total, portfolio = ZERO, self._portfolio_of(strategy_id)
        for symbol, position in self._books.get(strategy_id, {}).items():
            price = self._price(symbol)
            rate = portfolio.rate(position.currency, portfolio.account.quote)
            if price is None or rate is None:
                return None
            total = EXACT.add(total, EXACT.multiply(position.net_pnl(price), rate))
        return total

    def percent(self, strategy_id: str) -> Decimal | None:
        """The same in percent of what was paid into its account. ``None`` if nothing was."""
        portfolio = self._portfolio_of(strategy_id)
        profit, paid_in = self.profit(strategy_id), portfolio.valuation.deposits
        if profit is None or paid_in <= 0 or portfolio.known_equity() is None:
            return None
        return profit / paid_in * _HUNDRED
