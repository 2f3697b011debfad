"""Refuses orders whose margin the account does not have."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.domain.accounts import MarginTerms
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import Breach, Exposure
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["MarginCheck"]


class MarginCheck:
    """Compares the initial margin of an order with what the account has left, in the reporting currency.

    The account has left what was paid in and realized after fees, without the margin of its positions and of the orders
    that would open or enlarge one. The profit of open positions does not count, because each has a margin of its own.
    """

    def __init__(
        self,
        terms: MarginTerms,
        portfolio: PortfolioEngine,
        exposure: Exposure,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
    ) -> None:
        """``price(symbol)`` is the last price (quote)."""
        self._terms = terms
        self._portfolio = portfolio
        self._exposure = exposure
        self._price = price
        self._instrument = instrument

    def judge(self, side: Side, symbol: str, quantity: Quantity, price: Price) -> Breach | None:
        """Why the account must not buy or sell ``quantity`` (base) of ``symbol`` at ``price`` (quote), assuming that
        all open orders are filled; ``None`` if it may."""
        with_it = self._opening(symbol, side, quantity)
        more = EXACT.subtract(with_it, self._opening(symbol, side, ZERO))
        needed = self._margin(symbol, more, price)
        left = EXACT.subtract(self._wallet(), self._taken())
        if needed <= left:
            return None
        currency = self._portfolio.account.quote
        what = f"it needs a margin of {needed:.2f} {currency} at a leverage of {self._terms.leverage}"
        return Breach("margin", f"{what}, and {max(left, ZERO):.2f} is left")

    def _opening(self, symbol: str, side: Side, more: Quantity) -> Quantity:
        """What the open orders of ``side`` and ``more`` do beyond closing the position (base)."""
        closing = max(EXACT.multiply(self._exposure.position(symbol), -side.sign), ZERO)
        working = EXACT.add(self._exposure.working(symbol, side), more)
        return max(EXACT.subtract(working, closing), ZERO)

    def _margin(self, symbol: str, quantity: Quantity, price: Price) -> Money:
        return EXACT.multiply(self._terms.initial(EXACT.multiply(quantity, price)), self._rate(symbol))

    def _wallet(self) -> Money:
        """What was paid in and realized, after fees."""
        return EXACT.subtract(self._portfolio.equity(), self._portfolio.unrealized_pnl())

    def _taken(self) -> Money:
        """The margin of all positions and open orders."""
        taken = ZERO
        for symbol, position in self._portfolio.account.positions.items():
            margin = EXACT.multiply(self._terms.initial(position.cost), self._rate(symbol))
            taken = EXACT.add(taken, margin)
        for symbol in self._exposure.symbols():
            price = self._price(symbol) or ZERO
            for side in Side:
                taken = EXACT.add(taken, self._margin(symbol, self._opening(symbol, side, ZERO), price))
        return taken

    def _rate(self, symbol: str) -> Decimal:
        return self._portfolio.rate(self._instrument(symbol).quote, self._portfolio.account.quote) or ZERO
