"""Whose part of a position is whose, where several trade one symbol of one account."""

from __future__ import annotations

from tickdeck.domain.trading.exact import EXACT
from tickdeck.domain.values import ZERO, Quantity

__all__ = ["FOR_ALL", "Ownership", "Part"]

Part = tuple[str | None, Quantity]
"""An owner (``None``: coins that no order bought) and the change of what it holds (base, signed)."""

FOR_ALL = ("", "operator", "risk")
"""The owners of orders that close what others hold: no strategy has these ids."""


class Ownership:
    """What each strategy holds of a symbol (base; negative: short). All of them together with ``unowned``, the coins
    that no order bought, are the position of the account.

    - A fill belongs to the strategy that its order names. It closes what that strategy holds, then ``unowned``. What is
      left, the strategy holds.
    - A fill of an order of the operator or of risk (``flatten``, ``close``), and a liquidation, closes what that owner
      holds, then what the strategies hold: who began first is closed first. Then it is as above.
    - Coins that are paid in belong to no strategy. Coins that are paid out are taken from these first, then from
      strategies, the first that began first.
    """

    def __init__(self) -> None:
        self.unowned: Quantity = ZERO
        self._held: dict[str, Quantity] = {}  # never 0; in order of the beginning

    def copy(self) -> Ownership:
        """One that changes apart from this."""
        copied = Ownership()
        copied.unowned, copied._held = self.unowned, dict(self._held)
        return copied

    def of(self, owner: str) -> Quantity:
        """What a strategy holds."""
        return self._held.get(owner, ZERO)

    @property
    def total(self) -> Quantity:
        """The position of the account."""
        total = self.unowned
        for held in self._held.values():
            total = EXACT.add(total, held)
        return total

    def take(self, owner: str, signed: Quantity) -> list[Part]:
        """A fill of an order of ``owner`` changed the position by ``signed``. Returns its parts in order; their sum is
        ``signed``."""
        left, parts = signed, list[Part]()
        for one in self._closed_by(owner):
            left = self._close(one, left, parts)
        left = self._close_unowned(left, parts)
        if left or not parts:  # a fee alone is a part of 0
            self._change(owner, left)
            parts.append((owner, left))
        return parts

    def pay(self, signed: Quantity) -> list[Part]:
        """Coins were paid in (``signed`` above 0) or out. Returns the parts as ``take`` does."""
        parts = list[Part]()
        left = self._close_unowned(signed, parts)
        for one in list(self._held) if signed < 0 else ():
            left = self._close(one, left, parts)
        if left:
            self.unowned = EXACT.add(self.unowned, left)
            parts.append((None, left))
        return parts

    def _closed_by(self, owner: str) -> list[str]:
        if owner in FOR_ALL:
            return [owner, *(one for one in self._held if one != owner)]
        return [owner]

    def _close(self, owner: str, signed: Quantity, parts: list[Part]) -> Quantity:
        """Close what ``owner`` holds, as far as ``signed`` goes. Returns the rest."""
        closed = _closing(signed, self._held.get(owner, ZERO))
        if not closed:
            return signed
        self._change(owner, closed)
        parts.append((owner, closed))
        return EXACT.subtract(signed, closed)

    def _close_unowned(self, signed: Quantity, parts: list[Part]) -> Quantity:
        closed = _closing(signed, self.unowned)
        if not closed:
            return signed
        self.unowned = EXACT.add(self.unowned, closed)
        parts.append((None, closed))
        return EXACT.subtract(signed, closed)

    def _change(self, owner: str, change: Quantity) -> None:
        if not change:
            return
        held = EXACT.add(self._held.get(owner, ZERO), change)
        if held:
            self._held[owner] = held
        else:
            del self._held[owner]


def _closing(signed: Quantity, held: Quantity) -> Quantity:
    """The part of ``signed`` that closes ``held``."""
    if not held or not signed or (signed > 0) is (held > 0):
        return ZERO
    return signed if abs(signed) <= abs(held) else held.copy_negate()
