"""What an account holds and what trading made of it. Pure: fills go in, the events to publish come out.

The identity that holds at every moment, to the last digit, for fees in the quote or base currency::

    equity = deposits + realised PnL + unrealised PnL - fees

in each quote currency that is not also traded as a base. A fill's price x quantity moves between the quote and the
base balance; a fee leaves the balance of its own currency. A fee in base comes off what the fill brought: buying 1 with
a fee of 0.001 is a position of 0.999 at the fill's price, and the fee counts as 0.001 x that price.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import localcontext
from typing import TypeAlias

from tickdeck.domain.events import (
    BalanceEvent,
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionClosedEvent,
    PositionEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
    VenueBalanceReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, Position
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["Account"]

Fill: TypeAlias = OrderPartiallyFilledEvent | OrderFilledEvent


class Account:
    """Balances by currency and positions by symbol of one ``account_id``.

    Figures (``equity``, ``realized_pnl``, ...) are in one quote currency: ``quote``, or the one asked for. They take
    in the symbols quoted in it and no others: nothing is converted between currencies. A balance of a base currency
    that was there before the first fill is no position and not in the equity. Short positions are allowed, so a base
    balance may be negative; whether that is wanted is for risk to say.
    """

    __slots__ = ("_by_quote", "_deposits", "_fees", "account_id", "balances", "positions", "quote")

    def __init__(self, account_id: str = "main", quote: str = "USDT") -> None:
        self.account_id: str = account_id
        self.quote: str = quote
        self.balances: dict[str, Money] = {}
        self.positions: dict[str, Position] = {}
        self._by_quote: dict[str, list[Position]] = {}
        self._deposits: dict[str, Money] = {}
        self._fees: dict[str, Money] = {}

    # -- what happens to it ----------------------------------------------------------------------------------------

    def set_balance(self, report: VenueBalanceReported) -> list[BalanceEvent]:
        """Take over the venue's total; the difference counts as paid in (or out). Returns ``balance.updated``, or
        nothing where the total is the same.

        For the balances at the start and for transfers. A report that already counts a fill which is still on its way
        to us would count it twice: compare such a report, do not apply it.
        """
        change = EXACT.subtract(report.total, self.balances.get(report.currency, ZERO))
        if not change:
            return []
        self._deposits[report.currency] = EXACT.add(self._deposits.get(report.currency, ZERO), change)
        self.balances[report.currency] = report.total
        return [self._balance_event(report.currency, change, report.ts)]

    def apply_fill(self, fill: Fill, instrument: Instrument) -> list[DomainEvent]:
        """Book a fill of ``instrument``; returns the position's events (a flip: closed, then opened), then
        ``balance.updated`` for each currency that it changed: base, quote, and the fee's where that is a third.

        Fills are taken to be deduplicated. A fee without a currency is in quote. A fee in a third currency is counted
        in that currency alone.
        """
        base, quote = instrument.base, instrument.quote
        fee, fee_currency = fill.fee, fill.fee_currency or quote
        with localcontext(EXACT):
            base_change = fill.quantity * fill.side.sign
            changes = {base: base_change, quote: -base_change * fill.price}
            changes[fee_currency] = changes.get(fee_currency, ZERO) - fee
            charged = (quote, fee * fill.price) if fee_currency == base else (fee_currency, fee)
            self._fees[charged[0]] = self._fees.get(charged[0], ZERO) + charged[1]
            events: list[DomainEvent] = list(self._move_position(fill, changes[base], quote))
            for currency, change in changes.items():
                if change:
                    self.balances[currency] = self.balances.get(currency, ZERO) + change
                    events.append(self._balance_event(currency, change, fill.ts))
        return events

    # -- what is asked of it ---------------------------------------------------------------------------------------

    def position(self, symbol: str) -> Position:
        """The position of ``symbol``; a flat one where there was never a fill."""
        return self.positions.get(symbol) or Position(symbol)

    @property
    def cash(self) -> Money:
        """The balance of the account's quote currency."""
        return self.balances.get(self.quote, ZERO)

    def deposits(self, currency: str | None = None) -> Money:
        """What was paid in less what was paid out, the balances at the start included."""
        return self._deposits.get(currency or self.quote, ZERO)

    def fees(self, currency: str | None = None) -> Money:
        """Fees paid (less rebates) in a quote currency, those in base valued at their fill's price; for a third
        currency, such as an exchange's own coin, what was paid in it."""
        return self._fees.get(currency or self.quote, ZERO)

    def realized_pnl(self, currency: str | None = None) -> Money:
        """Of all closed parts, before fees."""
        total = ZERO
        for position in self._by_quote.get(currency or self.quote, ()):
            total = EXACT.add(total, position.realized_pnl)
        return total

    def unrealized_pnl(self, prices: Mapping[str, Price], currency: str | None = None) -> Money:
        """Of all open parts at ``prices`` (by symbol), before fees. A symbol without a price stands at its cost."""
        total = ZERO
        for position in self._by_quote.get(currency or self.quote, ()):
            price = prices.get(position.symbol)
            if price is not None:
                total = EXACT.add(total, position.unrealized_pnl(price))
        return total

    def equity(self, prices: Mapping[str, Price], currency: str | None = None) -> Money:
        """The balance of the quote currency and all positions quoted in it, valued at ``prices`` (by symbol). A symbol
        without a price stands at its cost."""
        currency = currency or self.quote
        total = self.balances.get(currency, ZERO)
        for position in self._by_quote.get(currency, ()):
            price = prices.get(position.symbol)
            value = position.cost if price is None else EXACT.multiply(position.quantity, price)
            total = EXACT.add(total, value)
        return total

    # -- inside ----------------------------------------------------------------------------------------------------

    def _move_position(self, fill: Fill, signed: Quantity, quote: str) -> list[PositionEvent]:
        """Book ``signed`` (base, the fee in base taken off) at the fill's price."""
        if not signed:  # a fee in base that ate the whole fill
            return []
        position = self.positions.get(fill.symbol)
        if position is None:
            position = self.positions[fill.symbol] = Position(fill.symbol)
            self._by_quote.setdefault(quote, []).append(position)
        before, average_before = position.quantity, position.average_price
        realized = position.apply(Side.BUY if signed > 0 else Side.SELL, fill.price, abs(signed))
        if not before:
            return [self._position_event(PositionOpenedEvent, position, fill.ts)]
        if before * position.quantity > 0:
            return [self._position_event(PositionUpdatedEvent, position, fill.ts, realized)]
        closed = PositionClosedEvent(
            symbol=fill.symbol,
            account_id=self.account_id,
            quantity=ZERO,
            average_price=average_before,
            realized_pnl=realized,
            total_realized_pnl=position.realized_pnl,
            ts=fill.ts,
        )
        if position.is_flat:
            return [closed]
        return [closed, self._position_event(PositionOpenedEvent, position, fill.ts)]

    def _position_event(
        self, kind: type[PositionEvent], position: Position, ts: int, realized: Money = ZERO
    ) -> PositionEvent:
        return kind(
            symbol=position.symbol,
            account_id=self.account_id,
            quantity=position.quantity,
            average_price=position.average_price,
            realized_pnl=realized,
            total_realized_pnl=position.realized_pnl,
            ts=ts,
        )

    def _balance_event(self, currency: str, change: Money, ts: int) -> BalanceEvent:
        total = self.balances[currency]
        return BalanceEvent(account_id=self.account_id, currency=currency, total=total, change=change, ts=ts)
