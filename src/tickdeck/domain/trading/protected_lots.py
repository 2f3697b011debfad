"""How much is left of each protected position in one symbol, where several strategies hold and sell the same coins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tickdeck.domain.trading.exact import EXACT
from tickdeck.domain.trading.ownership import Ownership, Part
from tickdeck.domain.trading.protection import Protection
from tickdeck.domain.values import ZERO, Quantity

__all__ = ["ProtectedLots"]


class ProtectedLots:
    """What is held of each protection in a symbol (base), oldest first. The protections themselves do not change.

    ``owners`` says whose coins are sold, so that the stops of a strategy whose coins nobody sold stay as they are. It
    follows each fill. Within a strategy, the oldest protected position is closed first.
    """

    def __init__(self, protections: Iterable[Protection], owners: Ownership) -> None:
        self._owners = owners
        self._protections = {p.protection_id: p for p in protections}
        self.held = {protection_id: p.held for protection_id, p in self._protections.items()}
        """By the id of the protection."""

    def close(self, seller: str, signed: Quantity) -> Quantity:
        """An order of ``seller`` that is no exit order changed the position by ``signed``. Returns how much of it
        closed nothing that is protected (above 0)."""
        left = abs(signed)
        for owner, part in self._owners.take(seller, signed):
            rest = abs(part)
            for p in self._against(part):
                if p.is_of_account or p.strategy_id == (seller if owner is None else owner):
                    rest = EXACT.subtract(rest, self._cut(p, rest))
            left = EXACT.subtract(left, EXACT.subtract(abs(part), rest))
        return left

    def leave(self, p: Protection, signed: Quantity) -> None:
        """The exit order of ``p``, which counts that itself, changed the position by ``signed``."""
        parts = self._owners.take(p.strategy_id, signed)
        self._keep_what_is_held([part for part in parts if part[0] != p.strategy_id])

    def pay(self, signed: Quantity) -> None:
        """Coins were paid in or out."""
        self._keep_what_is_held(self._owners.pay(signed))

    def bound(self, position: Quantity) -> None:
        """Let no more be protected than the account's ``position``. A strategy that holds less than it protects loses
        the excess first, then the oldest protection does."""
        for sign in (1, -1):
            own = [p for p in self._protections.values() if p.side.sign == sign]
            excess = -max(position * sign, ZERO)
            for p in own:
                excess = EXACT.add(excess, self.held[p.protection_id])
            for p in own:
                if excess > 0 and not p.is_of_account:
                    excess = EXACT.subtract(excess, self._cut(p, min(excess, self._beyond(p.strategy_id, sign))))
            for p in own:
                if excess > 0:
                    excess = EXACT.subtract(excess, self._cut(p, excess))

    def _keep_what_is_held(self, parts: list[Part]) -> None:
        """``parts`` were closed. A strategy that lost one protects no more than it still holds."""
        for owner, part in parts:
            if owner is not None and part:
                excess = min(abs(part), self._beyond(owner, -1 if part > 0 else 1))
                for p in self._against(part):
                    if p.strategy_id == owner and not p.is_of_account:
                        excess = EXACT.subtract(excess, self._cut(p, excess))

    def _beyond(self, owner: str, sign: int) -> Quantity:
        """How much a strategy protects on one side beyond what it holds and what belongs to nobody."""
        beyond = ZERO
        for held in (self._owners.of(owner), self._owners.unowned):
            beyond = EXACT.subtract(beyond, max(held * sign, ZERO))
        for protection_id, p in self._protections.items():
            if p.strategy_id == owner and not p.is_of_account and p.side.sign == sign:
                beyond = EXACT.add(beyond, self.held[protection_id])
        return max(beyond, ZERO)

    def _against(self, signed: Quantity) -> Iterator[Protection]:
        """The protections on the side that ``signed`` closes, oldest first."""
        return (p for p in self._protections.values() if p.side.sign * signed < 0)

    def _cut(self, p: Protection, quantity: Quantity) -> Quantity:
        """Take at most ``quantity`` from a protection. Returns what was taken."""
        part = min(quantity, self.held[p.protection_id])
        self.held[p.protection_id] = EXACT.subtract(self.held[p.protection_id], part)
        return part
