"""What a fill changes: the position in its symbol, and the balances of its account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tickdeck.domain.trading.exact import EXACT
from tickdeck.domain.values import ZERO, Money, Quantity, Side

__all__ = ["balance_changes", "position_change"]


class _Fill(Protocol):
    """A fill of an order of ours, or of the venue's liquidation."""

    @property
    def side(self) -> Side: ...
    @property
    def quantity(self) -> Quantity: ...
    @property
    def fee(self) -> Money: ...
    @property
    def fee_currency(self) -> str: ...


def position_change(fill: _Fill, base: str) -> Quantity:
    """How ``fill`` changes the position in its symbol (base, negative for a sale). A fee in ``base``, the symbol's base
    currency, is taken from what the fill brought."""
    change = EXACT.multiply(fill.quantity, fill.side.sign)
    return EXACT.subtract(change, fill.fee) if fill.fee and fill.fee_currency == base else change


def balance_changes(
    side: Side, quantity: Quantity, notional: Money, fees: Mapping[str, Money], *, base: str, quote: str
) -> dict[str, Money]:
    """How fills of ``quantity`` (base) for ``notional`` (quote) in all change the balances, by currency: ``base``,
    ``quote``, then those of ``fees`` (negative: a rebate)."""
    changes = {base: EXACT.multiply(quantity, side.sign), quote: EXACT.multiply(notional, -side.sign)}
    for currency, fee in fees.items():
        changes[currency] = EXACT.subtract(changes.get(currency, ZERO), fee)
    return changes
