"""The figures of several accounts together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.strategies import PositionView
from tickdeck.domain.accounts import PriceOf, Valuation
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Quantity

__all__ = ["Portfolios", "Valuations"]


class _Sum(NamedTuple):
    """The positions of several accounts in one symbol (base)."""

    quantity: Quantity


class _Together:
    """Several accounts as one."""

    account_id = "*"
    user_id = ""

    def __init__(self, portfolios: Sequence[PortfolioEngine]) -> None:
        self._portfolios = portfolios

    @property
    def quote(self) -> str:
        return self._portfolios[0].quote

    @property
    def positions(self) -> dict[str, _Sum]:
        """By symbol."""
        symbols = dict.fromkeys(symbol for one in self._portfolios for symbol in one.account.positions)
        return {symbol: _Sum(_sum(one.quantity(symbol) for one in self._portfolios)) for symbol in symbols}


class Valuations:
    """What several accounts are worth together. All are in one quote currency."""

    def __init__(self, valuations: Sequence[Valuation]) -> None:
        self._valuations = valuations
        self._parts: list[Money] = []  # the deposits of each account, as they were last added
        self._deposits: Money = ZERO

    def equity(self, price: PriceOf) -> Money:
        return _sum(one.equity(price) for one in self._valuations)

    @property
    def deposits(self) -> Money:
        """What was paid in. The object stays the same until that changes."""
        parts = [one.deposits for one in self._valuations]
        if parts != self._parts:
            self._parts, self._deposits = parts, _sum(parts)
        return self._deposits

    def symbols(self) -> list[str]:
        """The symbols whose prices affect the equity."""
        return list(dict.fromkeys(symbol for one in self._valuations for symbol in one.symbols()))


class Portfolios:
    """The sums of ``portfolios``, which are in one quote currency. Amounts are those of ``PortfolioEngine``."""

    def __init__(self, portfolios: Sequence[PortfolioEngine]) -> None:
        self._portfolios = portfolios
        self.account = _Together(portfolios)
        self.valuation = Valuations([one.valuation for one in portfolios])

    @property
    def quote(self) -> str:
        return self._portfolios[0].quote

    def equity(self) -> Money:
        return self._sum(lambda one: one.equity())

    def known_equity(self) -> Money | None:
        """The equity, or ``None`` before that of each account is complete."""
        known = [one.known_equity() for one in self._portfolios]
        return None if None in known else _sum(equity for equity in known if equity is not None)

    def has_last_price(self, symbol: str) -> bool:
        return self._portfolios[0].has_last_price(symbol)

    def rate(self, currency: str, into: str) -> Decimal | None:
        """The value of one unit of ``currency`` in ``into`` at the current prices; ``None`` if a price is missing."""
        return self._portfolios[0].rate(currency, into)

    def rate_symbols(self, currency: str, into: str) -> tuple[str, ...]:
        """The symbols whose prices ``rate`` may use; empty if there is no rate between the currencies."""
        return self._portfolios[0].rate_symbols(currency, into)

    def cash(self) -> Money:
        return self._sum(lambda one: one.cash())

    def pnl(self) -> Money:
        return self._sum(lambda one: one.pnl())

    def unrealized_pnl(self) -> Money:
        return self._sum(lambda one: one.unrealized_pnl())

    def fees(self) -> Money:
        return self._sum(lambda one: one.fees())

    def left_out(self) -> dict[str, Money]:
        """Amounts by currency that are in no figure, because a price for them is missing."""
        total: dict[str, Money] = {}
        for one in self._portfolios:
            for currency, amount in one.left_out().items():
                total[currency] = EXACT.add(total.get(currency, ZERO), amount)
        return total

    def quantity(self, symbol: str) -> Quantity:
        return _sum(one.quantity(symbol) for one in self._portfolios)

    def view(self, symbol: str) -> PositionView:
        """The positions in ``symbol`` as one. The average price is that of the accounts on the side of the sum."""
        views = [one.view(symbol) for one in self._portfolios]
        quantity = _sum(view.quantity for view in views)
        same = [view for view in views if view.quantity * quantity > 0]
        cost = _sum(EXACT.multiply(view.quantity, view.average_price) for view in same)
        held = _sum(view.quantity for view in same)
        return replace(
            views[0],
            quantity=quantity,
            average_price=cost / held if held else ZERO,
            realized_pnl=_sum(view.realized_pnl for view in views),
            unrealized_pnl=_sum(view.unrealized_pnl for view in views),
        )

    def dust(self, symbols: Iterable[str]) -> dict[str, Quantity]:
        """Positions of all accounts together that are too little for an order, by symbol (base)."""
        views = map(self.view, symbols)
        return {view.symbol: view.quantity for view in views if view.is_dust}

    def _sum(self, amount: Callable[[PortfolioEngine], Money]) -> Money:
        return _sum(map(amount, self._portfolios))


def _sum(amounts: Iterable[Money]) -> Money:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
