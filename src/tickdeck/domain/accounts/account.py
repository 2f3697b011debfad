"""An account: its balances and positions. Pure: fills go in, and the events to publish come out.

A fill moves price x quantity between the quote and the base balance. A fee is taken from the balance of its currency. A
fee in base reduces what the fill brought: buying 1 with a fee of 0.001 gives a position of 0.999 at the price of the
fill, and the fee counts as 0.001 x that price. ``Valuation`` computes what the whole account is worth in one currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import localcontext
from typing import Self, TypeAlias

from tickdeck.domain.accounts.rates import PriceOf
from tickdeck.domain.events import (
    BalanceEvent,
    DomainEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    PositionLiquidatedEvent,
    VenueBalanceReported,
    VenueLiquidationReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, Position, balance_changes
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["Account"]

Fill: TypeAlias = OrderPartiallyFilledEvent | OrderFilledEvent | VenueLiquidationReported | PositionLiquidatedEvent


class Account:
    """The balances by currency and positions by symbol of one ``account_id``. ``user_id`` is its owner.

    Figures such as ``realized_pnl`` and ``fees`` are in one quote currency: ``quote``, or the currency that you ask
    for. Nothing is converted between currencies here.

    Coins that are paid in become a position in the symbol that ``homes`` names for them, at the first price of that
    symbol (``open_holding``). Until then they are in ``unpriced``. Short positions are allowed, so a base balance may
    be negative. Limiting them is up to risk.
    """

    __slots__ = (
        "_by_quote",
        "_deposits",
        "_fees",
        "_reserved",
        "_reserved_by",
        "account_id",
        "balances",
        "homes",
        "locks",
        "positions",
        "quote",
        "unpriced",
        "user_id",
    )

    def __init__(
        self,
        account_id: str = "main",
        quote: str = "USDT",
        user_id: str = "",
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """``homes`` maps a base currency to the symbol in which its coins are a position."""
        self.account_id: str = account_id
        self.user_id: str = user_id
        self.quote: str = quote
        self.homes: dict[str, str] = dict(homes or {})
        self.balances: dict[str, Money] = {}
        self.positions: dict[str, Position] = {}
        self.unpriced: dict[str, Quantity] = {}
        """Coins that were paid in and wait for the first price, by symbol."""
        self._by_quote: dict[str, list[Position]] = {}
        self._deposits: dict[str, Money] = {}
        self._fees: dict[str, Money] = {}
        self.locks: dict[str, Money] = {}
        """What orders of others lock, by currency; 0 where they do not any more."""
        self._reserved: dict[str, Money] = {}
        self._reserved_by: dict[str, tuple[str, Money]] = {}  # order id -> (currency, amount)

    @classmethod
    def fold(
        cls,
        events: Iterable[DomainEvent],
        account_id: str = "main",
        quote: str = "USDT",
        user_id: str = "",
        homes: Mapping[str, str] | None = None,
    ) -> Self:
        """The account after ``events``: all ``balance.*``, ``position.*`` and ``order.*`` events, in order. Other
        events, and events of other accounts, change nothing."""
        account = cls(account_id, quote, user_id, homes)
        for event in events:
            if getattr(event, "account_id", None) == account_id:
                account.apply_event(event)
        return account

    def apply_event(self, event: DomainEvent) -> None:
        """Apply a recorded event."""
        if isinstance(event, OrderEvent):
            self.reserve(event)
        elif isinstance(event, BalanceEvent):
            currency = event.currency
            self.balances[currency] = event.total
            self._set_locked(currency, event.locked)
            self._receive(currency, event.deposit)
            _add(self._fees, currency, event.fee)
        elif isinstance(event, PositionEvent):
            self.unpriced.pop(event.symbol, None)
            self._position(event.symbol, event.currency).apply(event)

    # -- changes ---------------------------------------------------------------------------------------------------

    def set_balance(self, report: VenueBalanceReported) -> list[BalanceEvent]:
        """Set the balance to the total and the locked amount that the venue reported. The difference counts as paid in
        or out. Returns ``balance.updated``, or nothing if both are unchanged.

        Use this for the balances at the start. If a report already includes a fill that we have not received yet, the
        fill would be counted twice. Compare such a report, but do not apply it.
        """
        currency = report.currency
        change = EXACT.subtract(report.total, self.balances.get(currency, ZERO))
        if not change and report.locked == self.locks.get(currency, ZERO):
            return []
        self._receive(currency, change)
        self.balances[currency] = report.total
        self._set_locked(currency, report.locked)
        return [self._balance_event(currency, change, report.ts, deposit=change)]

    def transfer(self, currency: str, amount: Money, ts: int) -> BalanceEvent:
        """Book ``amount`` of ``currency`` that was paid in (negative: paid out) at ``ts`` (ns). Returns
        ``balance.updated``."""
        self._receive(currency, amount)
        self.balances[currency] = EXACT.add(self.balances.get(currency, ZERO), amount)
        return self._balance_event(currency, amount, ts, deposit=amount)

    def lock(self, currency: str, locked: Money, ts: int) -> list[BalanceEvent]:
        """Set what orders of others lock of ``currency``, as of ``ts`` (ns). Returns ``balance.updated``, or nothing if
        that is unchanged."""
        if locked == self.locks.get(currency, ZERO):
            return []
        self._set_locked(currency, locked)
        self.balances.setdefault(currency, ZERO)
        return [self._balance_event(currency, ZERO, ts)]

    def open_holding(self, instrument: Instrument, price: Price, ts: int) -> list[PositionEvent]:
        """Turn coins of ``instrument`` that were paid in into a position with cost ``price`` (quote), the first known
        price. Returns the position's event, which names no order, or nothing if no coins wait."""
        held = self.unpriced.pop(instrument.symbol, ZERO)
        return self._move_position(instrument.symbol, held, price, instrument.quote, ts)

    def reserve(self, order: OrderEvent) -> None:
        """Reserve what ``order`` says, instead of what the same order reserved before."""
        before = self._reserved_by.get(order.order_id)
        now = (order.reserved_currency, order.reserved) if order.reserved else None
        if before == now:
            return
        if before is not None:
            del self._reserved_by[order.order_id]
            self._reserved[before[0]] = EXACT.subtract(self._reserved[before[0]], before[1])
        if now is not None:
            self._reserved_by[order.order_id] = now
            self._reserved[now[0]] = EXACT.add(self._reserved.get(now[0], ZERO), now[1])

    def apply_fill(self, fill: Fill, instrument: Instrument) -> list[DomainEvent]:
        """Book a fill of ``instrument``, or a liquidation by the venue. Returns the position's events (closed, then
        opened, if it changes sides), then ``balance.updated`` for each currency that changed: base, quote, and the
        currency of the fee.

        The caller must not pass the same fill twice. A fee without a currency is in quote. A fee in a third currency is
        only counted in that currency.
        """
        base, quote = instrument.base, instrument.quote
        fee, fee_currency = fill.fee, fill.fee_currency or quote
        notional = EXACT.multiply(fill.price, fill.quantity)
        changes = balance_changes(fill.side, fill.quantity, notional, {fee_currency: fee}, base=base, quote=quote)
        with localcontext(EXACT):
            charged = (quote, fee * fill.price) if fee_currency == base else (fee_currency, fee)
            signed = changes[base]  # without a fee in base
            paid = charged[1] if charged[0] == quote else ZERO
            events: list[DomainEvent] = list(
                self._move_position(fill.symbol, signed, fill.price, quote, fill.ts, fill.order_id, paid)
            )
            for currency, change in changes.items():
                charge = charged[1] if currency == charged[0] else ZERO
                if change or charge:
                    _add(self._fees, currency, charge)
                    self.balances[currency] = self.balances.get(currency, ZERO) + change
                    events.append(self._balance_event(currency, change, fill.ts, fee=charge))
        return events

    # -- queries ---------------------------------------------------------------------------------------------------

    def position(self, symbol: str) -> Position:
        """The position in ``symbol``; a flat one if there never was a fill."""
        return self.positions.get(symbol) or Position(symbol)

    def reserved(self, currency: str) -> Money:
        """What our own open orders reserve of ``currency``, without fees."""
        return self._reserved.get(currency, ZERO)

    def reserved_by(self, order_id: str) -> Money:
        """What one of our open orders reserves, in the currency that it pays with."""
        return self._reserved_by.get(order_id, ("", ZERO))[1]

    def locked(self, currency: str) -> Money:
        """What orders that are not ours lock of ``currency``, as the venue last reported it."""
        return self.locks.get(currency, ZERO)

    def locked_by_others(self, currency: str, locked: Money) -> Money:
        """The part of ``locked``, which the venue reported, that our own open orders do not explain. An order on its
        way reserves more than the venue has locked, so this is at least 0."""
        return max(EXACT.subtract(locked, self.reserved(currency)), ZERO)

    def free(self, currency: str) -> Money:
        """The balance that is neither locked by others' orders nor reserved by our own. It is negative if more is
        offered than held, as in a short sale."""
        taken = EXACT.add(self.locks.get(currency, ZERO), self._reserved.get(currency, ZERO))
        return EXACT.subtract(self.balances.get(currency, ZERO), taken)

    def deposits(self, currency: str | None = None) -> Money:
        """What was paid in minus what was paid out, including the balances at the start."""
        return self._deposits.get(currency or self.quote, ZERO)

    def fees(self, currency: str | None = None) -> Money:
        """Fees paid minus rebates. For a quote currency, fees in base are included at the price of their fill. For a
        third currency, such as an exchange's own coin, the fees paid in it."""
        return self._fees.get(currency or self.quote, ZERO)

    def realized_pnl(self, currency: str | None = None) -> Money:
        """The profit of all closed parts, before fees."""
        total = ZERO
        for position in self._by_quote.get(currency or self.quote, ()):
            total = EXACT.add(total, position.realized_pnl)
        return total

    def unrealized_pnl(self, price: PriceOf, currency: str | None = None) -> Money:
        """The profit of all open parts at ``price(symbol)``, before fees. A symbol without a price is valued at its
        cost."""
        total = ZERO
        for position in self._by_quote.get(currency or self.quote, ()):
            last = price(position.symbol)
            if last is not None:
                total = EXACT.add(total, position.unrealized_pnl(last))
        return total

    def position_value(self, price: PriceOf, currency: str | None = None) -> Money:
        """The value of all positions quoted in a currency, at ``price(symbol)``; shorts count negative. A symbol
        without a price is valued at its cost."""
        total = ZERO
        for position in self._by_quote.get(currency or self.quote, ()):
            last = price(position.symbol)
            total = EXACT.add(total, position.cost if last is None else EXACT.multiply(position.quantity, last))
        return total

    def quotes(self) -> tuple[str, ...]:
        """The quote currencies of all positions, including closed ones."""
        return tuple(self._by_quote)

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _set_locked(self, currency: str, locked: Money) -> None:
        if locked != self.locks.get(currency, ZERO):
            self.locks[currency] = locked

    def _receive(self, currency: str, amount: Money) -> None:
        """Count an amount that was paid in or out."""
        _add(self._deposits, currency, amount)
        if currency in self.homes:
            _add(self.unpriced, self.homes[currency], amount)

    def _move_position(
        self,
        symbol: str,
        signed: Quantity,
        price: Price,
        quote: str,
        ts: int,
        order_id: str = "",
        fee: Money = ZERO,
    ) -> list[PositionEvent]:
        """Book ``signed`` (base) at ``price`` (quote), with a ``fee`` in quote."""
        if not signed:  # a fee in base consumed the whole fill, or no coins wait for a price
            return []
        side = Side.BUY if signed > 0 else Side.SELL
        return self._position(symbol, quote).fill(side, price, abs(signed), order_id, fee=fee, ts=ts)

    def _position(self, symbol: str, quote: str) -> Position:
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position(symbol, self.account_id, quote, self.user_id, in_run=True)
            self._by_quote.setdefault(quote, []).append(position)
        return position

    def _balance_event(
        self, currency: str, change: Money, ts: int, *, deposit: Money = ZERO, fee: Money = ZERO
    ) -> BalanceEvent:
        return BalanceEvent(
            account_id=self.account_id,
            user_id=self.user_id,
            currency=currency,
            total=self.balances[currency],
            free=self.free(currency),
            locked=self.locks.get(currency, ZERO),
            reserved=self._reserved.get(currency, ZERO),
            change=change,
            deposit=deposit,
            fee=fee,
            ts=ts,
        )


def _add(amounts: dict[str, Money], currency: str, amount: Money) -> None:
    if amount:
        amounts[currency] = EXACT.add(amounts.get(currency, ZERO), amount)
