"""Fees in an asset of the account's choice, at a discount, as on venues with their own coin."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from tickdeck.infrastructure.venue.matching.balances import Balances
from tickdeck.infrastructure.venue.matching.desk import Desk
from tickdeck.infrastructure.venue.matching.orders import FEE_ACCOUNT

__all__ = ["FEE_DISCOUNT", "FeeAssets"]

FEE_DISCOUNT = Decimal("0.75")
"""The share of the usual fee that is paid in a fee asset."""
_CENT = Decimal("0.00000001")


class FeeAssets:
    """Which accounts pay their fees in which asset. ``desks`` are the markets by symbol, for the rates."""

    def __init__(self, desks: dict[str, Desk], balances: Balances) -> None:
        self.by_account: dict[str, str] = {}
        self._desks = desks
        self._balances = balances

    def pay(self, account: str, fee: Decimal, quote: str) -> tuple[Decimal, str] | None:
        """Pay a fee that is worth ``fee`` in ``quote``. Returns the amount and the asset that were paid.

        ``None`` if the account pays as usual: it chose no asset, or owns too little of it, or no trade has shown its
        value in ``quote`` yet.
        """
        asset = self.by_account.get(account)
        if asset is None:
            return None
        if asset == quote:
            rate: Decimal | None = Decimal(1)
        else:
            desks = (d for d in self._desks.values() if d.market.base == asset and d.market.quote == quote)
            rate = next((desk.last_price for desk in desks if desk.last_price is not None), None)
        if rate is None:
            return None
        amount = (fee * FEE_DISCOUNT / rate).quantize(_CENT, ROUND_DOWN)
        holding = self._balances.holding(account, asset)
        if holding.free < amount:
            return None
        holding.free -= amount
        self._balances.holding(FEE_ACCOUNT, asset).free += amount
        return amount, asset
