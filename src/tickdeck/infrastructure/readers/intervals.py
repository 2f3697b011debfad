"""Where each candle of a file ends. The rows contain when candles start; this module finds how long they last.

A candle must never be known before its own end, so if the rows leave a choice, the later end is taken. The rules are in
docs/data.md, "How long candles last".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from tickdeck.domain.market import Timeframe

__all__ = ["OverlapError", "candle_ends"]

_HOUR, _DAY = 3_600_000_000_000, 86_400_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER = 900_000_000_000  # zones differ from UTC by multiples of a quarter of an hour
_ZONES = range(-12 * 4, 14 * 4 + 1)
_STRETCH, _ALIGNED_STRETCH = 10, 4
"""This many equal steps between finer ones are candles of another interval. Fewer mean that candles are missing."""


class OverlapError(ValueError):
    """A candle starts before the previous one ends; ``index`` is its position."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


def candle_ends(opens: Sequence[int], given: Timeframe | None = None) -> list[int] | None:
    """The end of each candle (ns UTC, exclusive). ``opens`` are their starts, in ascending order.

    No end is after the start of the next candle. ``None`` if there is one candle and no ``given`` interval. Raises
    ``OverlapError`` if the candles are closer together than the ``given`` interval.
    """
    steps = [after - before for before, after in pairwise(opens)]
    if given is not None:
        if given.months:
            return _ends_of_months(opens, given.months, _zone_of_months(opens) or 0)
        return _ends_by_interval(opens, steps, given.ns)
    if not steps:
        return None
    smallest = min(steps)
    if smallest >= 28 * _DAY - _HOUR:
        zone = _zone_of_months(opens)
        if zone is not None:
            counts = [_months(open_, zone) for open_ in opens]
            return _ends_of_months(opens, min(after - before for before, after in pairwise(counts)), zone)
    lengths = _lengths(opens, steps, smallest)
    return [_end(open_, step, length) for open_, step, length in zip(opens, [*steps, 0], lengths, strict=True)]


def _end(open_: int, step: int, length: int) -> int:
    """The end of a candle that lasts about ``length``. ``step`` is the distance to the next one, 0 for the last.

    If no whole candle is missing before the next one, the start of the next one is the end. If one is missing, the hour
    by which a gap is longer than whole days may belong to this candle, because a day may have 25 hours.
    """
    if not step:
        return open_ + length
    if step < 2 * length:
        return open_ + step
    odd = step % length
    return open_ + length + (odd if length >= _DAY and odd <= _HOUR else 0)


def _ends_by_interval(opens: Sequence[int], steps: list[int], length: int) -> list[int]:
    """The possible ends of a candle that lasts ``length``. For days and weeks, an hour less or more is possible too."""
    ends = []
    for index, (open_, step) in enumerate(zip(opens, [*steps, 0], strict=True)):
        spare = _HOUR if length >= _DAY else 0
        if step and step < length - spare:
            raise OverlapError(
                index + 1, f"the candle starts before the previous one ends (interval {length / 1e9:,g} s)"
            )
        ends.append(_end(open_, step, length) if spare and step else open_ + length)
    return ends


def _lengths(opens: Sequence[int], steps: list[int], smallest: int) -> list[int]:
    """How long each candle lasts (one more than steps), found from runs of equal steps.

    A run is a stretch of candles of that interval in these cases: its step is the smallest of the file; it has two
    steps or more and is at the start or end of the file; it has ``_STRETCH`` or more, or ``_ALIGNED_STRETCH`` that
    start at multiples of the step. In all other runs candles are missing. Their candles last as long as those of the
    neighbouring stretches, and between two different intervals as long as the longer one.
    """
    runs = [(step, sum(1 for _ in group)) for step, group in groupby(steps)]
    strong: list[bool] = []
    at, last = 0, len(runs) - 1
    for n, (step, count) in enumerate(runs):
        enough = _STRETCH if opens[at] % step else _ALIGNED_STRETCH
        strong.append(step == smallest or count >= (2 if n in (0, last) else enough))
        at += count
    before = _nearest(runs, strong)
    after = _nearest(runs[::-1], strong[::-1])[::-1]
    lengths: list[int] = []
    for (_, count), one, other in zip(runs, before, after, strict=True):
        lengths += [max(one, other)] * count
    return [*lengths, before[-1] if before[-1] < 28 * _DAY else max(steps[-12:])]


def _nearest(runs: list[tuple[int, int]], strong: list[bool]) -> list[int]:
    """For each run, the step of the nearest stretch at or before it; 0 if there is none."""
    nearest, length = [], 0
    for (step, _), is_stretch in zip(runs, strong, strict=True):
        length = step if is_stretch else length
        nearest.append(length)
    return nearest


def _zone_of_months(opens: Sequence[int]) -> int | None:
    """How far the local time of a zone is ahead of UTC (ns) in which all candles start with a month at midnight; in
    winter, if the zone has summer time. ``None`` if there is no such zone.
    """
    for quarters in sorted(_ZONES, key=abs):
        zone = quarters * _QUARTER
        if all(_begins_month(open_ + zone) or _begins_month(open_ + zone + _HOUR) for open_ in opens):
            return zone
    return None


def _begins_month(local: int) -> bool:
    return not local % _DAY and (_EPOCH + timedelta(days=local // _DAY)).day == 1


def _months(open_: int, zone: int) -> int:
    """The month in which a candle starts, counted from the year 0."""
    local = _EPOCH + timedelta(hours=(open_ + zone) // _HOUR + 1)  # an hour later it is in this month in summer, too
    return local.year * 12 + local.month - 1


def _ends_of_months(opens: Sequence[int], months: int, zone: int) -> list[int]:
    ends: list[int] = []
    for open_, step in zip(opens, [*(b - a for a, b in pairwise(opens)), 0], strict=True):
        local = _EPOCH + timedelta(hours=(open_ + zone) // _HOUR + 1)
        year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
        day = 1 if _begins_month(open_ + zone) or _begins_month(open_ + zone + _HOUR) else local.day
        while True:
            try:
                end = datetime(year, month + 1, day, tzinfo=UTC)
                break
            except ValueError:  # there is no 31st
                day -= 1
        ns = (end - _EPOCH).days * _DAY - zone
        if day != 1:
            ns += (open_ + zone) % _DAY
        if step and ns - open_ - step > _HOUR:
            raise OverlapError(len(ends) + 1, f"the candle starts before the previous one ends ({months} months)")
        ends.append(open_ + step if step and step - (ns - open_) <= _HOUR else ns)
    return ends
