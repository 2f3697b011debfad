"""The trades of a leader that are to be copied: now, or after the copies before them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.application.engines.copying.leader import Leader
from tickdeck.domain.trading import EXACT, LeaderTrade
from tickdeck.domain.values import ZERO, Quantity

__all__ = ["Wish", "Wishes"]

_KEPT = 10_000  # trades of the leader that are remembered


class Wish(msgspec.Struct):
    """A trade of the leader: which share of its position it closes, and how much it opens (base)."""

    leader: LeaderTrade
    closes: Decimal
    opens: Quantity


class Wishes:
    """Follows the position of ``leader``. ``is_under_way(symbol)``: whether a copy in it has not ended.
    ``copies_exits``: see ``CopySettings``."""

    def __init__(self, leader: Leader, copies_exits: bool, is_under_way: Callable[[str], bool]) -> None:
        self._leader = leader
        self._copies_exits = copies_exits
        self._is_under_way = is_under_way
        self._seen: dict[str, None] = {}  # trades of the leader
        self._leads: dict[str, Quantity] = {}  # the leader's position since the run began, by symbol
        self._later: dict[str, list[Wish]] = {}  # trades that wait for other copies, by symbol

    def observe(self, event: Any) -> Wish | None:
        """Count a trade of the leader. Returns what to copy now. Raises ``ValueError`` if ``event`` says no trade."""
        leader = self._leader.trade(event)
        if leader.trade_id in self._seen:
            return None
        self._seen[leader.trade_id] = None
        _forget(self._seen)
        held = self._leads.get(leader.symbol, ZERO)
        self._leads[leader.symbol] = EXACT.add(held, self._leader.received(event))
        closed = ZERO
        if held * leader.side.sign < 0:
            closed = min(leader.quantity, abs(held))
        opens = EXACT.subtract(leader.quantity, closed)
        closes = EXACT.divide(closed, abs(held)) if closed and self._copies_exits else ZERO
        if not opens and not closes:
            return None
        wish = Wish(leader, closes, opens)
        if closes and (leader.symbol in self._later or self._is_under_way(leader.symbol)):
            self.wait(wish)
            return None
        return wish

    def wait(self, wish: Wish) -> None:
        """Copy a trade later."""
        self._later.setdefault(wish.leader.symbol, []).append(wish)

    def next(self, symbol: str) -> Wish | None:
        """The trade that waits longest in a symbol, if no copy is under way there."""
        if symbol not in self._later or self._is_under_way(symbol):
            return None
        return self._later[symbol][0]

    def started(self, symbol: str, leader_trade_id: str) -> None:
        """The first trade of a copy is known: it waits no more."""
        waits = self._later.get(symbol)
        if waits is None:
            return
        waits[:] = [wish for wish in waits if wish.leader.trade_id != leader_trade_id]
        if not waits:
            del self._later[symbol]


def _forget(kept: dict[str, None]) -> None:
    if len(kept) > _KEPT:
        del kept[next(iter(kept))]
