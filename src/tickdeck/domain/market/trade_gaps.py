"""Gaps in the ids of a symbol's public trades, and late trades that fill them."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["MAX_GAPS", "MAX_PIECES", "FilledGap", "TradeGaps"]

MAX_GAPS = 64
"""How many gaps to remember: the newest ones. An older gap stays open for good."""
MAX_PIECES = 256
"""How many pieces a gap may break into as late trades arrive. Further pieces are forgotten."""


class FilledGap(NamedTuple):
    """No trade is missing any more in the gap that began at trade ``expected`` and that trade ``received`` revealed."""

    expected: int
    received: int


class TradeGaps:
    """The missing trade ids, as ranges. The two constants bound the memory, whatever the ids are."""

    __slots__ = ("_gaps",)

    def __init__(self) -> None:
        # For each gap: its first id, the id after it, and the ranges [first, last] that are still missing.
        self._gaps: deque[tuple[int, int, list[tuple[int, int]]]] = deque(maxlen=MAX_GAPS)

    def open(self, expected: int, received: int) -> None:
        """Ids ``expected`` to ``received - 1`` are missing."""
        self._gaps.append((expected, received, [(expected, received - 1)]))

    def is_missing(self, trade_id: int) -> bool:
        """True if the id lies in a remembered gap and has not arrived yet."""
        return any(first <= trade_id <= last for _, _, pieces in self._gaps for first, last in pieces)

    def arrive(self, trade_id: int) -> FilledGap | None:
        """Take a late trade. Returns the gap that it completed, or ``None``. A trade that was not missing (a repeat,
        or older than what is remembered) changes nothing."""
        for gap in self._gaps:
            expected, received, pieces = gap
            if expected <= trade_id < received:
                _take(pieces, trade_id)
                if pieces and len(pieces) <= MAX_PIECES:
                    return None
                self._gaps.remove(gap)
                return None if pieces else FilledGap(expected, received)
        return None


def _take(pieces: list[tuple[int, int]], trade_id: int) -> None:
    for n, (first, last) in enumerate(pieces):
        if first <= trade_id <= last:
            pieces[n : n + 1] = [
                (low, high) for low, high in ((first, trade_id - 1), (trade_id + 1, last)) if low <= high
            ]
            return
