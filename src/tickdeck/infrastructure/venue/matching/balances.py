"""The balances of the venue's accounts: free and locked, by asset."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

__all__ = ["Balance", "Balances", "Holding"]

ZERO = Decimal(0)


class Balance(NamedTuple):
    """An account's balance in one asset. The total is the sum of both."""

    free: Decimal
    locked: Decimal


class Holding:
    """The engine's own, mutable form of a balance."""

    __slots__ = ("free", "locked")

    def __init__(self) -> None:
        self.free = ZERO
        self.locked = ZERO


class Balances:
    """All balances, by account and asset. An account or asset that was never used has a zero balance."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, Holding]] = {}

    def holding(self, account: str, asset: str) -> Holding:
        """The mutable balance, created on first use."""
        holdings = self._accounts.get(account)
        if holdings is None:
            holdings = self._accounts[account] = {}
        holding = holdings.get(asset)
        if holding is None:
            holding = holdings[asset] = Holding()
        return holding

    def of(self, account: str) -> dict[str, Balance]:
        """The current balances of an account, by asset."""
        return {asset: Balance(h.free, h.locked) for asset, h in self._accounts.get(account, {}).items()}

    def accounts(self) -> list[str]:
        """The names of all accounts, in order of first use."""
        return list(self._accounts)

    def total(self, asset: str) -> Decimal:
        """The sum of an asset over all accounts, free and locked."""
        return sum((h[asset].free + h[asset].locked for h in self._accounts.values() if asset in h), ZERO)
