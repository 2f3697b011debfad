"""The durations of candles, and where candles begin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tickdeck.errors import ConfigError

__all__ = ["Timeframe", "parse_timeframe"]

_UNITS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_HOUR, _DAY, _WEEK = _UNITS["h"], _UNITS["d"], _UNITS["w"]
_MONDAY = 4 * _DAY  # 1970-01-05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEAN_MONTH = 30.436875 * _DAY


class Timeframe(NamedTuple):
    """The duration of a candle: ``ns``, or a number of calendar ``months`` if ``ns`` is 0."""

    ns: int
    months: int = 0

    def bounds(self, ts: int) -> tuple[int, int]:
        """The begin and the exclusive end (ns UTC) of the candle that contains ``ts``.

        Candles are aligned to UTC: weeks begin on Monday, and months on the first day (several months count from
        January of year 0). All others begin at multiples of their duration since 1970.
        """
        if self.ns:
            begin = ts - (ts - _MONDAY if self.ns % _WEEK == 0 else ts) % self.ns
            return begin, begin + self.ns
        day = _EPOCH + timedelta(days=ts // _DAY)
        month = day.year * 12 + day.month - 1
        month -= month % self.months
        return _first_of(month), _first_of(month + self.months)

    def lasts(self, ns: int) -> bool:
        """Whether a candle of ``ns`` has this timeframe. A day, a week or a month may be an hour shorter or longer,
        because of daylight saving time."""
        if self.months:
            return abs(ns - self.months * _MEAN_MONTH) <= 2.5 * _DAY + _HOUR
        return ns == self.ns or (self.ns >= _DAY and abs(ns - self.ns) <= _HOUR)

    def __str__(self) -> str:
        """``1m``, ``4h``, ``1mo``: the format of ``parse_timeframe``."""
        if self.months:
            return f"{self.months}mo"
        for unit in ("w", "d", "h", "m", "s", "ms"):
            if self.ns % _UNITS[unit] == 0:
                return f"{self.ns // _UNITS[unit]}{unit}"
        return f"{self.ns}ns"


def parse_timeframe(text: str) -> Timeframe:
    """Parse ``250ms``, ``1s``, ``5m``, ``1h``, ``1d``, ``1w``, or months as ``1mo`` or ``1M``. Raises
    ``ConfigError``."""
    match = re.fullmatch(r"([1-9][0-9]*) ?([A-Za-z]+)", text.strip())
    if match is not None:
        count, unit = int(match[1]), match[2]
        if unit == "M" or unit.lower() in ("mo", "mon", "month", "months"):
            return Timeframe(0, count)
        if unit.lower() in _UNITS:
            return Timeframe(count * _UNITS[unit.lower()])
    raise ConfigError(f"{text!r} is not an interval; give a whole number with a unit: 250ms, 1m, 1h, 1d, 1w or 1mo")


def _first_of(month: int) -> int:
    """The begin (ns UTC) of a month, counted from January of year 0."""
    return (datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) - _EPOCH).days * _DAY
