"""The venue's own books: what an account holds of each currency, and what its open orders lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, localcontext

from tickdeck.domain.accounts import MONEY
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side
from tickdeck.infrastructure.exchanges.paper.margin import PaperMargin

__all__ = ["PaperAccount", "begins_with", "coin_quote", "fee_of", "start_balances"]

_COINS = {
    "BTC": Decimal(1),
    "ETH": Decimal(25),
    "BNB": Decimal(150),
    "SOL": Decimal(500),
    "XRP": Decimal(100_000),
    "TRX": Decimal(500_000),
    "DOGE": Decimal(500_000),
}
"""The starting balance of an account whose only quote currency is a coin, if nothing was configured."""


def fee_of(notional: Money, rate: Decimal, step: Decimal) -> Money:
    """The fee on ``notional`` in the same currency, rounded to a multiple of ``step`` (half to even)."""
    return _to_step(notional * rate, step, ROUND_HALF_EVEN)


def _to_step(amount: Money, step: Decimal, rounding: str) -> Money:
    if step.as_tuple().digits == (1,):  # it is always a power of ten
        return amount.quantize(step, rounding)
    return (amount / step).quantize(Decimal(1), rounding) * step


class PaperAccount:
    """Exact totals by currency, and locks by order. Amounts are in units of their currency.

    A lock only reserves: it lowers what is free, not the total.
    """

    def __init__(
        self,
        balances: Mapping[str, Money],
        bought: Mapping[str, Quantity] | None = None,
        margin: PaperMargin | None = None,
    ) -> None:
        """``bought``: what was bought before, less what was sold (base), by symbol. ``margin``: the leveraged
        positions of a margin account, whose credit is free beyond its total."""
        self.margin = margin
        self._totals = dict(balances)
        self._locked = dict.fromkeys(balances, ZERO)
        self._locks: dict[str, tuple[str, Money]] = {}  # order id -> (currency, amount)
        self._bought: dict[str, Quantity] = dict(bought or {})  # less what was sold, by symbol

    @property
    def currencies(self) -> list[str]:
        """Every currency that was ever held, sorted."""
        return sorted(self._totals)

    def total(self, currency: str) -> Money:
        return self._totals.get(currency, ZERO)

    def locked(self, currency: str) -> Money:
        return self._locked.get(currency, ZERO)

    def free(self, currency: str) -> Money:
        free = self.total(currency) - self.locked(currency)
        return free if self.margin is None else free + self.margin.credit(currency)

    def locked_by(self, order_id: str) -> Money:
        """The amount that an order locks, in the currency that it locks."""
        return self._locks[order_id][1] if order_id in self._locks else ZERO

    def reducible(self, instrument: Instrument, side: Side) -> Quantity:
        """The most that an order of ``side`` may fill if it only closes what is owed or held: over all symbols of the
        base currency, or from the trades in this symbol alone, whichever is more.
        """
        bought = max(-side.sign * self._bought.get(instrument.symbol, ZERO), ZERO)
        return max(-side.sign * self.total(instrument.base), bought)

    def lock(self, order_id: str, currency: str, amount: Money) -> None:
        """Set the lock of ``order_id`` to ``amount`` of ``currency``, instead of what it locked before. 0 releases
        it.
        """
        before = self._locks.pop(order_id, None)
        if before is not None:
            self._locked[before[0]] -= before[1]
        if amount:
            self._locks[order_id] = (currency, amount)
            self._locked[currency] = self.locked(currency) + amount

    def settle(
        self, instrument: Instrument, side: Side, price: Price, quantity: Quantity, fee: Money, reserve: Money
    ) -> Money:
        """Book a fill and its fee (in quote). Returns the fee that was charged.

        Fees are rounded per fill, but locks are not. So an order that spends the whole balance in many fills could lack
        a few rounding steps. The fee is lowered by these steps, so that ``reserve`` (quote) stays free: the cost of the
        rest of the order without fees.
        """
        base, quote = instrument.base, instrument.quote
        with localcontext(EXACT):
            self._totals[base] = self.total(base) + side.sign * quantity
            self._bought[instrument.symbol] = self._bought.get(instrument.symbol, ZERO) + side.sign * quantity
            self._totals[quote] = self.total(quote) - side.sign * price * quantity
            spare = _to_step(self.free(quote) - reserve, instrument.fee_step, ROUND_DOWN)
            fee = min(fee, max(spare, ZERO))
            self._totals[quote] -= fee
        return fee


def start_balances(instruments: Iterable[Instrument], default: Money) -> dict[str, Money]:
    """The balances if none are configured: ``default`` of each dollar and fiat quote currency, and 0 of any other. A
    run without such a currency gets a trial amount of its ``coin_quote``.
    """
    instruments = list(instruments)
    balances = {i.quote: default if i.quote in MONEY else ZERO for i in instruments}
    coin = coin_quote(instruments)
    return balances if coin is None else balances | {coin: _COINS.get(coin, ZERO)}


def coin_quote(instruments: Sequence[Instrument]) -> str | None:
    """The currency in which a run pays that has no dollar or fiat quote currency: the first quote currency that is the
    base of no instrument. ``None`` for other runs.
    """
    quotes = [i.quote for i in instruments]
    if not quotes or any(quote in MONEY for quote in quotes):
        return None
    bases = [i.base for i in instruments]
    return next((quote for quote in quotes if quote not in bases), quotes[0])


def begins_with(coin: str, amount: Money) -> str:
    """One line for a run without a dollar or fiat quote currency and without configured balances."""
    example = f"[paper] balances = {{ {coin} = {amount or 1000:f} }}"
    if amount:
        return f"the account starts with {amount:f} {coin}, because no balance is configured; change it with {example}"
    return f"the account starts with nothing, because no balance is configured; give it some {coin}, as in {example}"
