"""The intervals of candles by the venue's names, in ns."""

from __future__ import annotations

__all__ = ["INTERVALS", "NAMES"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

INTERVALS = {
    "1s": _SECOND,
    **{f"{n}m": n * _MINUTE for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * _HOUR for n in (1, 2, 4, 6, 8, 12)},
    **{f"{n}d": n * _DAY for n in (1, 3)},
    "1w": 7 * _DAY,
}
"""All but the month, whose length varies."""

NAMES = {width: name for name, width in INTERVALS.items()}
