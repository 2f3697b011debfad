"""The value of a whole account in one currency, at the prices of the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tickdeck.domain.accounts.account import Account
from tickdeck.domain.accounts.rates import PriceOf, Rates
from tickdeck.domain.events import BalanceEvent, DomainEvent, PositionEvent
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money

__all__ = ["Valuation"]


class _Amount(NamedTuple):
    """An amount that could not be valued yet, because a price was missing."""

    currency: str
    deposit: Money
    fee: Money


class Valuation:
    """The figures of an account over all its currencies, in ``currency``, the account's quote currency.

    Balances and positions are valued at the current rates. A deposit or a fee keeps the value that it had when it was
    paid, or at the first price after that. Amounts without a price are in no figure; ``left_out`` returns them.

    ``equity`` is ``cash`` plus the value of all positions, and ``pnl`` is ``equity`` minus ``deposits``. With one quote
    currency, ``equity = deposits + realized PnL + unrealized PnL - fees``, to the last digit. With several, ``pnl``
    also includes changes in the value of the currencies.
    """

    def __init__(self, account: Account, rates: Rates, instrument: Callable[[str], Instrument]) -> None:
        self._account = account
        self._rates = rates
        self._instrument = instrument
        self._bases: dict[str, str] = {}  # by symbol
        self._in_cash: dict[str, Money] | None = None  # see ``_cash``; None after the account changed
        self._own_cash: Money = ZERO  # of these, the amount in ``currency``
        self._foreign_cash: list[tuple[str, Money]] = []  # and the other amounts that are not 0
        self._unvalued: list[_Amount] = []
        self._unrated: dict[str, _Amount] = {}  # until a rate is reported: no symbol leads to them
        self.currency: str = account.quote
        self.deposits: Money = ZERO
        """What was paid in minus what was paid out, including the balances at the start."""
        self.fees: Money = ZERO
        """Fees paid minus rebates."""

    # -- changes -----------------------------------------------------------------------------------------------------

    def take(self, events: Iterable[DomainEvent], price: PriceOf) -> None:
        """Add the deposits and fees of ``balance.updated`` events. Call it after each change of the account."""
        self._in_cash = None
        for event in events:
            if isinstance(event, BalanceEvent) and (event.deposit or event.fee):
                # Coins that become a position count when they do, at what that costs.
                deposit = ZERO if event.currency in self._account.homes else event.deposit
                self._count(_Amount(event.currency, deposit, event.fee), price)

    @property
    def waits(self) -> bool:
        """Whether something waits for the first price of a symbol."""
        return bool(self._unvalued or self._account.unpriced)

    def on_price(self, symbol: str, price: PriceOf, ts: int) -> list[PositionEvent]:
        """Value everything that waited for a price of ``symbol``. Returns the ``position.*`` events of
        coins that were paid in or out, or that the account had at the start."""
        last = price(symbol)
        if last is None:
            return []
        if self._unvalued:
            self._unvalued = [amount for amount in self._unvalued if not self._add(amount, price)]
        return self.open_holding(symbol, last, price, ts)

    def open_holding(self, symbol: str, first: Money, price: PriceOf, ts: int) -> list[PositionEvent]:
        """Turn coins that wait for a price into a position at ``first``, the first price of ``symbol``: that of the
        market, or of a fill that came before it. Returns the events of the position."""
        if symbol not in self._account.unpriced:
            return []
        self._in_cash = None
        instrument, held = self._instrument(symbol), self._account.unpriced[symbol]
        moved = self._account.open_holding(instrument, first, ts)
        if moved:
            self._count(_Amount(instrument.quote, EXACT.multiply(held, first), ZERO), price)
        return moved

    def on_rate(self, currency: str, price: PriceOf) -> None:
        """Value everything in ``currency`` that waited for a rate."""
        amount = self._unrated.get(currency)
        if amount is not None and self._add(amount, price):
            del self._unrated[currency]

    # -- figures -----------------------------------------------------------------------------------------------------

    def cash(self, price: PriceOf) -> Money:
        """The balances of all currencies without the coins in positions."""
        if self._in_cash is None:
            self._cash()
        total = self._own_cash
        for currency, amount in self._foreign_cash:
            total = EXACT.add(total, self._worth(currency, amount, price) or ZERO)
        return total

    def equity(self, price: PriceOf) -> Money:
        """Cash plus all positions. A position without a price is valued at its cost."""
        total = self.cash(price)
        account, own = self._account, self.currency
        for quote in account.quotes():
            value = account.position_value(price, quote)
            if quote != own:
                value = self._worth(quote, value, price) or ZERO
            total = EXACT.add(total, value)
        return total

    def pnl(self, price: PriceOf) -> Money:
        """The result of trading and holding, after fees."""
        return EXACT.subtract(self.equity(price), self.deposits)

    def realized_pnl(self, price: PriceOf) -> Money:
        """The profit of all closed parts, before fees."""
        total = ZERO
        for quote in self._account.quotes():
            total = EXACT.add(total, self._worth(quote, self._account.realized_pnl(quote), price) or ZERO)
        return total

    def unrealized_pnl(self, price: PriceOf) -> Money:
        """The profit of all open parts, before fees."""
        total = ZERO
        for quote in self._account.quotes():
            value = self._account.unrealized_pnl(price, quote)
            total = EXACT.add(total, self._worth(quote, value, price) or ZERO)
        return total

    def left_out(self, price: PriceOf) -> dict[str, Money]:
        """Amounts by currency that are in no figure, because a price for them is missing."""
        amounts = dict(self._cash())
        for quote, value in self._positions(price).items():
            amounts[quote] = EXACT.add(amounts.get(quote, ZERO), value)
        left_out = {
            currency: amount
            for currency, amount in amounts.items()
            if amount and self._rates.rate(currency, self.currency, price) is None
        }
        for symbol, amount in self._account.unpriced.items():
            base = self._base(symbol)
            left_out[base] = EXACT.add(left_out.get(base, ZERO), amount)
        return dict(sorted(left_out.items()))

    def symbols(self) -> list[str]:
        """The symbols whose prices currently affect the equity."""
        needed = {symbol: None for symbol, position in self._account.positions.items() if position.quantity}
        quotes = dict.fromkeys(self._account.quotes(), ZERO)
        for currency, amount in (quotes | self._cash()).items():
            if currency != self.currency and (amount or currency in quotes):
                needed |= dict.fromkeys(self._rates.symbols(currency, self.currency))
        return list(needed)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _cash(self) -> dict[str, Money]:
        """The balances by currency without the coins in positions and in ``unpriced``. Negative if a position was paid
        with coins of another position."""
        if self._in_cash is not None:
            return self._in_cash
        account = self._account
        amounts = dict(account.balances)
        held = [(symbol, position.quantity) for symbol, position in account.positions.items()]
        for symbol, quantity in (*held, *account.unpriced.items()):
            if quantity:
                base = self._base(symbol)
                amounts[base] = EXACT.subtract(amounts.get(base, ZERO), quantity)
        self._in_cash = amounts
        self._own_cash = amounts.get(self.currency, ZERO)
        self._foreign_cash = [(name, amount) for name, amount in amounts.items() if amount and name != self.currency]
        return amounts

    def _base(self, symbol: str) -> str:
        base = self._bases.get(symbol)
        if base is None:
            base = self._bases[symbol] = self._instrument(symbol).base
        return base

    def _positions(self, price: PriceOf) -> dict[str, Money]:
        """The value of the positions by quote currency."""
        return {quote: self._account.position_value(price, quote) for quote in self._account.quotes()}

    def _worth(self, currency: str, amount: Money, price: PriceOf) -> Money | None:
        if currency == self.currency or not amount:
            return amount
        rate = self._rates.rate(currency, self.currency, price)
        return None if rate is None else EXACT.multiply(amount, rate)

    def _count(self, amount: _Amount, price: PriceOf) -> None:
        if self._add(amount, price):
            return
        if self._rates.symbols(amount.currency, self.currency):
            self._unvalued.append(amount)
            return
        before = self._unrated.get(amount.currency, _Amount(amount.currency, ZERO, ZERO))
        deposit, fee = EXACT.add(before.deposit, amount.deposit), EXACT.add(before.fee, amount.fee)
        self._unrated[amount.currency] = _Amount(amount.currency, deposit, fee)

    def _add(self, amount: _Amount, price: PriceOf) -> bool:
        """Add a deposit or fee. Returns False if it has no value yet."""
        rate = self._rates.rate(amount.currency, self.currency, price)
        if rate is None:
            return False
        if amount.deposit:
            self.deposits = EXACT.add(self.deposits, EXACT.multiply(amount.deposit, rate))
        if amount.fee:
            self.fees = EXACT.add(self.fees, EXACT.multiply(amount.fee, rate))
        return True
