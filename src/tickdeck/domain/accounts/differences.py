"""Differences between our books and the venue's balances, until they are explained."""

from __future__ import annotations

from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money

__all__ = ["Differences"]

_APART = 1_000_000_000  # ns between two readings


class Differences:
    """Compares reported balances with ours, by currency. A difference counts if a second reading shows the same one.

    A fill or a payment may be on its way to us, so a first reading proves nothing. ``pending`` are the differences that
    one reading showed, ``found`` those that two readings showed: the venue's total minus ours.
    """

    __slots__ = ("_since", "found", "pending")

    def __init__(self) -> None:
        self.pending: dict[str, Money] = {}
        self.found: dict[str, Money] = {}
        self._since: dict[str, int] = {}  # when the pending difference was seen first

    def read(self, currency: str, ours: Money, venue: Money, now: int) -> bool:
        """Take a reading at ``now`` (ns). Returns whether it proves a difference that was not found before."""
        difference = EXACT.subtract(venue, ours)
        known = self.found.get(currency, ZERO)
        if difference == known or not difference:
            self.forget(currency)
            if difference:
                self.found[currency] = difference
            return False
        if self.pending.get(currency) != difference:
            self.pending[currency], self._since[currency] = difference, now
            return False
        if now - self._since[currency] < _APART:
            return False
        self.forget(currency)
        self.found[currency] = difference
        return True

    def forget(self, currency: str) -> None:
        """The difference in ``currency`` is settled."""
        for known in (self.pending, self.found, self._since):
            known.pop(currency, None)
