"""Curves of a run for a chart: the run is divided into equal intervals, and each keeps its extremes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias

from tickdeck.domain.trading import EXACT

__all__ = ["Curve", "Point"]

Point: TypeAlias = tuple[int, Decimal]
"""Time (ns UTC) and value."""

_MOST_INTERVALS = 1_024
_SHORTEST_NS = 100_000_000


class Curve:
    """The values of one quantity over time, in at most 1,024 intervals of equal duration.

    Each interval keeps its lowest, highest and last value with their times; of equal values, the first. An interval
    without values has no points, so the previous value remains. The duration of a run is only known at its end, so the
    intervals are short at first, and neighbours are joined when there are too many.
    """

    __slots__ = ("_began", "_intervals", "_width")

    def __init__(self, began: int) -> None:
        self._began = began
        self._width = _SHORTEST_NS
        self._intervals: dict[int, list[Point]] = {}  # number -> lowest, highest, last

    def add(self, ts: int, value: Decimal) -> bool:
        """Record ``value`` at ``ts``, which never decreases. Returns whether the value is the lowest or the highest of
        its interval so far."""
        number = (ts - self._began) // self._width
        interval = self._intervals.get(number)
        if interval is None:
            while number >= _MOST_INTERVALS:
                self._join()
                number = (ts - self._began) // self._width
            interval = self._intervals.get(number)
        point = (ts, value)
        if interval is None:
            self._intervals[number] = [point, point, point]
            return True
        low, high, _ = interval
        interval[2] = point
        if value < low[1]:
            interval[0] = point
        elif value > high[1]:
            interval[1] = point
        else:
            return False
        return True

    def end_of_interval(self, ts: int) -> int:
        """The end (ns, exclusive) of the interval that contains ``ts``."""
        return ts + self._width - (ts - self._began) % self._width

    def points(self) -> Iterator[Point]:
        """The curve in order of time."""
        for low, high, last in self._intervals.values():
            yield from sorted({low, high} - {last})
            yield last

    def raise_by(self, amount: Decimal) -> None:
        """Add ``amount`` to every value so far."""
        for number, interval in self._intervals.items():
            self._intervals[number] = [(ts, EXACT.add(value, amount)) for ts, value in interval]

    def _join(self) -> None:
        joined: dict[int, list[Point]] = {}
        for number, later in self._intervals.items():
            earlier = joined.get(number // 2)
            if earlier is None:
                joined[number // 2] = later
                continue
            low = later[0] if later[0][1] < earlier[0][1] else earlier[0]
            high = later[1] if later[1][1] > earlier[1][1] else earlier[1]
            joined[number // 2] = [low, high, later[2]]
        self._intervals = joined
        self._width *= 2
