"""Holes in the sequence of a symbol's public trades, and what fills them."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["MAX_GAPS", "MAX_PIECES", "FilledGap", "TradeGaps"]

MAX_GAPS = 64
"""So many holes are remembered, the newest ones; an older one stays open for good."""
MAX_PIECES = 256
"""Into so many pieces a hole may fall as trades arrive in it; one in more is forgotten."""


class FilledGap(NamedTuple):
    """The hole in which trade ``expected`` was missing and that ``received`` showed has no missing trade any more."""

    expected: int
    received: int


class TradeGaps:
    """The trade ids that are missing, as ranges; memory is bounded by the two constants, whatever the ids are."""

    __slots__ = ("_gaps",)

    def __init__(self) -> None:
        # Of each hole: where it begins, what came behind it, and the ranges [first, last] that are still missing.
        self._gaps: deque[tuple[int, int, list[tuple[int, int]]]] = deque(maxlen=MAX_GAPS)

    def open(self, expected: int, received: int) -> None:
        """Ids ``expected`` to ``received - 1`` are missing."""
        self._gaps.append((expected, received, [(expected, received - 1)]))

    def is_missing(self, trade_id: int) -> bool:
        """It is in one of the holes that are remembered, and did not come yet."""
        return any(first <= trade_id <= last for _, _, pieces in self._gaps for first, last in pieces)

    def arrive(self, trade_id: int) -> FilledGap | None:
        """A trade came late; the hole that it was the last missing one of, ``None`` where it fills none. One that was
        not missing (a repeat, or older than what is remembered) changes nothing.
        """
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
