"""Turns fills into trades: what was bought and sold between two flat positions."""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec

from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["RoundTrip", "RoundTrips"]


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """One trade in ``symbol``: from a fill that opened a position to the fill that closed or reversed it.

    ``side`` is the entry's side, ``quantity`` everything entered (base); the prices are averages over the fills
    (quote). ``exit_ts`` (ns UTC) is ``None`` while the trade is open. Then ``exit_price`` covers what was closed so far
    (``None`` if nothing), and ``pnl`` values the rest at the last price. ``fees`` and ``pnl`` are in quote; ``pnl`` is
    after fees.
    """

    symbol: str
    side: Side
    entry_ts: int
    exit_ts: int | None
    quantity: Quantity
    entry_price: Price
    exit_price: Price | None
    fees: Money
    pnl: Money


class RoundTrips:
    """The trades of one symbol. A fill that reverses the position ends one trade and begins the next, and its fee is
    split between them by quantity."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.closed: list[RoundTrip] = []
        self._side = Side.BUY
        self._begin(0)

    def _begin(self, ts: int) -> None:
        self._entry_ts = ts
        self._entered = self._entered_for = self._left = self._left_for = self._fees = ZERO

    def take(self, ts: int, signed: Quantity, price: Price, fee: Money) -> None:
        """Book a fill of ``signed`` (base; negative is a sell; 0 is a fee alone) at ``price``, with ``fee`` in
        quote."""
        with localcontext(EXACT):
            held = self._entered - self._left
            side = Side.BUY if signed > 0 else Side.SELL
            quantity = abs(signed)
            if not held:
                self._side = side
                self._begin(ts)
            if side is self._side or not signed:
                self._entered += quantity
                self._entered_for += quantity * price
                self._fees += fee
                return
            closing = min(quantity, held)
            share = fee if closing == quantity else fee * closing / quantity
            self._left += closing
            self._left_for += closing * price
            self._fees += share
            if closing == held:
                self.closed.append(self._trade(ts, None))
                self._begin(ts)
            rest = quantity - closing
            if rest:
                self._side = side
                self._entered, self._entered_for, self._fees = rest, rest * price, fee - share

    def open(self, price: Price | None) -> RoundTrip | None:
        """The open trade, with the rest valued at ``price`` (``None``: at cost)."""
        with localcontext(EXACT):
            return self._trade(None, price) if self._entered != self._left else None

    def _trade(self, exit_ts: int | None, price: Price | None) -> RoundTrip:
        entry_price = self._entered_for / self._entered
        rest = self._entered - self._left
        worth = self._left_for + rest * (entry_price if price is None else price)
        return RoundTrip(
            symbol=self.symbol,
            side=self._side,
            entry_ts=self._entry_ts,
            exit_ts=exit_ts,
            quantity=self._entered,
            entry_price=_cut(entry_price),
            exit_price=_cut(self._left_for / self._left) if self._left else None,
            fees=_cut(self._fees),
            pnl=_cut((worth - self._entered_for) * self._side.sign - self._fees),
        )


_STEP = Decimal("1E-18")


def _cut(value: Decimal) -> Decimal:
    """``value`` rounded to 18 decimals if it has more, because an average may be a repeating decimal."""
    rounded = value.quantize(_STEP, context=EXACT)
    return value if value == rounded else rounded
