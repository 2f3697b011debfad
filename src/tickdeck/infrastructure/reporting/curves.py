"""Curves of a run for a chart: evenly spaced over the whole run, with the extremes of each stretch."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias

from tickdeck.domain.trading import EXACT

__all__ = ["Curve", "Point"]

Point: TypeAlias = tuple[int, Decimal]
"""Time (ns UTC) and value."""

_STRETCHES = 1_024
_SHORTEST_NS = 100_000_000


class Curve:
    """The values of one quantity over time, in at most 1,024 stretches of equal duration.

    Of each stretch it keeps the first lowest, the first highest and the last value with their times. A stretch without
    a value has none: the value before it holds on. How long a run lasts is not known before its end, so stretches
    begin short, and neighbours are joined when there are too many.
    """

    __slots__ = ("_began", "_stretches", "_width")

    def __init__(self, began: int) -> None:
        self._began = began
        self._width = _SHORTEST_NS
        self._stretches: dict[int, list[Point]] = {}  # number -> lowest, highest, last

    def add(self, ts: int, value: Decimal) -> bool:
        """Record ``value`` at ``ts``, which is never before the time of an earlier call. Returns whether the value is
        the lowest or the highest of its stretch so far."""
        number = (ts - self._began) // self._width
        stretch = self._stretches.get(number)
        if stretch is None:
            while number >= _STRETCHES:
                self._join()
                number = (ts - self._began) // self._width
            stretch = self._stretches.get(number)
        point = (ts, value)
        if stretch is None:
            self._stretches[number] = [point, point, point]
            return True
        low, high, _ = stretch
        stretch[2] = point
        if value < low[1]:
            stretch[0] = point
        elif value > high[1]:
            stretch[1] = point
        else:
            return False
        return True

    def end_of_stretch(self, ts: int) -> int:
        """The end (ns, exclusive) of the stretch that holds ``ts``."""
        return ts + self._width - (ts - self._began) % self._width

    def points(self) -> Iterator[Point]:
        """The curve in order of time."""
        for low, high, last in self._stretches.values():
            yield from sorted({low, high} - {last})
            yield last

    def raise_by(self, amount: Decimal) -> None:
        """Add ``amount`` to every value so far."""
        for number, stretch in self._stretches.items():
            self._stretches[number] = [(ts, EXACT.add(value, amount)) for ts, value in stretch]

    def _join(self) -> None:
        joined: dict[int, list[Point]] = {}
        for number, later in self._stretches.items():
            earlier = joined.get(number // 2)
            if earlier is None:
                joined[number // 2] = later
                continue
            low = later[0] if later[0][1] < earlier[0][1] else earlier[0]
            high = later[1] if later[1][1] > earlier[1][1] else earlier[1]
            joined[number // 2] = [low, high, later[2]]
        self._stretches = joined
        self._width *= 2
