"""Turns fills into round trips: what was bought and sold between two flat positions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

import msgspec
from msgspec.structs import replace

from tickdeck.domain.trading.exact import EXACT, cut
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["RoundTrip", "RoundTrips", "TripFill"]


class TripFill(msgspec.Struct, frozen=True, kw_only=True):
    """A fill as it changes a position.

    ``signed`` is the change of the position (base; negative is a sell; 0 is a fee alone), ``price`` and ``fee`` are in
    quote. ``other_fees`` are fees in third currencies. ``event_id`` is the event to trace.
    """

    ts: int
    signed: Quantity
    price: Price
    fee: Money = ZERO
    other_fees: Mapping[str, Money] = {}
    strategy_id: str = ""
    order_id: str = ""
    reason: str = ""
    event_id: str = ""

    def split(self, quantity: Quantity) -> tuple[TripFill, TripFill]:
        """Two fills with ``quantity`` (base, above 0, below the whole) and the rest, and the fees by quantity."""
        with localcontext(EXACT):
            signed = quantity.copy_sign(self.signed)
            share = quantity / abs(self.signed)
            fee = self.fee * share
            other_fees = {currency: amount * share for currency, amount in self.other_fees.items()}
            rest_of = {currency: amount - other_fees[currency] for currency, amount in self.other_fees.items()}
            return (
                replace(self, signed=signed, fee=fee, other_fees=other_fees),
                replace(self, signed=self.signed - signed, fee=self.fee - fee, other_fees=rest_of),
            )


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """One trade in ``symbol``: from a fill that opened a position to the fill that closed or reversed it.

    ``side`` is the entry's side, ``quantity`` everything entered (base), ``held`` what of it is not closed (0 when
    the trade has ended); the prices are averages over the fills. All amounts are in ``currency``, the quote currency.
    ``exit_ts`` (ns UTC) is ``None`` while the trade is open. Then ``exit_price`` covers what was closed so far
    (``None`` if nothing), and ``pnl`` values the rest at the last price. ``pnl`` is after ``fees``. ``other_fees`` are
    fees in third currencies, which are in neither. ``volume`` is price x quantity of entry and exit.

    ``strategy_id``, ``entry_reason`` and ``exit_reason`` are those of the orders that opened and closed the position.
    ``entry_orders`` and ``exit_orders`` are all orders of each side, oldest first. ``entry_event`` and ``exit_event``
    are the ids of the fills that opened and closed it.
    """

    symbol: str
    account_id: str = "main"
    user_id: str = ""
    currency: str = ""
    side: Side
    entry_ts: int
    exit_ts: int | None
    quantity: Quantity
    held: Quantity = ZERO
    entry_price: Price
    exit_price: Price | None
    volume: Money
    fees: Money
    other_fees: dict[str, Money] = {}
    pnl: Money
    strategy_id: str = ""
    entry_reason: str = ""
    exit_reason: str = ""
    entry_orders: tuple[str, ...] = ()
    exit_orders: tuple[str, ...] = ()
    entry_event: str = ""
    exit_event: str = ""

    @property
    def return_(self) -> Decimal | None:
        """``pnl`` as a fraction of what was entered; ``None`` if that has no value."""
        entered = EXACT.multiply(self.entry_price, self.quantity)
        return cut(EXACT.divide(self.pnl, entered)) if entered else None


class RoundTrips:
    """The round trips of one symbol in one account. A fill that reverses the position ends one and begins the next, and
    its fees are split between them by quantity."""

    def __init__(self, symbol: str, *, currency: str = "", account_id: str = "main", user_id: str = "") -> None:
        self.symbol = symbol
        self.currency = currency
        self.account_id = account_id
        self.user_id = user_id
        self.earned: Money = ZERO
        """The ``pnl`` of all round trips that have ended."""
        self._side = Side.BUY
        self._begin(TripFill(ts=0, signed=ZERO, price=ZERO))

    @property
    def net(self) -> Quantity:
        """What is held (base; negative is short)."""
        return EXACT.multiply(EXACT.subtract(self._entered, self._left), Decimal(self._side.sign))

    def take(self, fill: TripFill) -> RoundTrip | None:
        """Book a fill. Returns the round trip that it ends."""
        with localcontext(EXACT):
            held = self._entered - self._left
            side = Side.BUY if fill.signed > 0 else Side.SELL
            quantity = abs(fill.signed)
            if not held:
                self._side = side
                self._begin(fill)
            if side is self._side or not fill.signed:
                self._enter(fill, quantity, Decimal(1))
                return None
            closing = min(quantity, held)
            share = Decimal(1) if closing == quantity else closing / quantity
            self._left += closing
            self._left_for += closing * fill.price
            self._pay(fill, share)
            _name(self._exit_orders, fill.order_id)
            if closing < held:
                return None
            ended = self._trip(fill.ts, None, fill)
            self.earned += ended.pnl
            rest = quantity - closing
            if rest:
                self._side = side
                self._begin(fill)
                self._enter(fill, rest, 1 - share)
            return ended

    def open(self, price: Price | None) -> RoundTrip | None:
        """The open round trip, with the rest valued at ``price`` (``None``: at cost)."""
        with localcontext(EXACT):
            return self._trip(None, price) if self._entered != self._left else None

    def pnl(self, price: Price | None) -> Money:
        """What all round trips earned after fees, with the open one valued as in ``open``."""
        with localcontext(EXACT):
            return self.earned if self._entered == self._left else self.earned + cut(self._result(price))

    def _begin(self, first: TripFill) -> None:
        self._first = first
        self._entered = self._entered_for = self._left = self._left_for = self._fees = ZERO
        self._other_fees: dict[str, Money] = {}
        self._entry_orders: list[str] = []
        self._exit_orders: list[str] = []

    def _enter(self, fill: TripFill, quantity: Quantity, share: Decimal) -> None:
        self._entered += quantity
        self._entered_for += quantity * fill.price
        self._pay(fill, share)
        _name(self._entry_orders, fill.order_id)

    def _pay(self, fill: TripFill, share: Decimal) -> None:
        """Count this share of the fees."""
        self._fees += fill.fee * share
        for currency, fee in fill.other_fees.items():
            self._other_fees[currency] = self._other_fees.get(currency, ZERO) + fee * share

    def _trip(self, exit_ts: int | None, price: Price | None, last: TripFill | None = None) -> RoundTrip:
        entry_price = self._entered_for / self._entered
        rest = self._entered - self._left
        return RoundTrip(
            symbol=self.symbol,
            account_id=self.account_id,
            user_id=self.user_id,
            currency=self.currency,
            side=self._side,
            entry_ts=self._first.ts,
            exit_ts=exit_ts,
            quantity=self._entered,
            held=rest,
            entry_price=cut(entry_price),
            exit_price=cut(self._left_for / self._left) if self._left else None,
            volume=cut(self._entered_for + self._left_for),
            fees=cut(self._fees),
            other_fees={currency: cut(fee) for currency, fee in self._other_fees.items() if fee},
            pnl=cut(self._result(price)),
            strategy_id=self._first.strategy_id,
            entry_reason=self._first.reason,
            exit_reason=last.reason if last is not None else "",
            entry_orders=tuple(self._entry_orders),
            exit_orders=tuple(self._exit_orders),
            entry_event=self._first.event_id,
            exit_event=last.event_id if last is not None else "",
        )

    def _result(self, price: Price | None) -> Money:
        """What the current round trip earned after fees, with the rest at ``price`` (``None``: at cost)."""
        rest = self._entered - self._left
        worth = self._left_for + rest * (self._entered_for / self._entered if price is None else price)
        return (worth - self._entered_for) * self._side.sign - self._fees


def _name(orders: list[str], order_id: str) -> None:
    if order_id and order_id not in orders[-1:]:
        orders.append(order_id)
