"""Parses durations, shares and sizes such as ``10 ms``, ``0.1%`` and ``2GB``, and writes times and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from tickdeck.errors import ConfigError, format_value

__all__ = ["clock_time", "day", "duration_ns", "iso_time", "moment_ns", "seconds_of", "share_of", "size_of", "span"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "sec": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([a-zA-Zµ]+)")
_SIZES = {"KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_LONGEST = 36_500 * _UNITS["d"]  # a time of today and a duration together fit into 64 bits
_LAST = (1 << 63) - 1  # ns UTC
_EXAMPLES = "a number with a unit: 250ms, 1.5s, 5m, 1h, 1d"


def duration_ns(text: str, *, zero: bool = False) -> int:
    """Converts ``250ms``, ``10 ms``, ``1.5s``, ``5m``, ``1h`` or ``1d`` to ns. Raises ``ConfigError``, also for 0
    unless ``zero`` allows it, and for more than 36,500 days.
    """
    match = _DURATION.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower()) if match is not None else None
    if match is None or unit is None:
        raise ConfigError(f"{text!r} is not a duration; give {_EXAMPLES}")
    ns = Decimal(match[1]) * unit
    if ns > _LONGEST:
        raise ConfigError(f"{format_value(text)} is too long; give at most 36500d")
    if ns != int(ns) or (not ns and not zero):
        wrong = "too short" if ns == 0 else "not a whole number of nanoseconds"
        raise ConfigError(f"{text!r} is {wrong}; give {_EXAMPLES}")
    return int(ns)


def moment_ns(text: str, now: int) -> int:
    """Converts a time in ISO 8601 (``2024-08-08T12:00:00Z``; UTC if it has no zone), or a duration after ``now`` (ns
    UTC), such as ``90m``, to ns UTC. Raises ``ConfigError``."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        if _DURATION.fullmatch(text.strip()):
            return now + duration_ns(text)
        examples = "one such as 2024-08-08T12:00:00Z, or a duration such as 90m"
        raise ConfigError(f"{text!r} is not a time; give {examples}") from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
    if not 0 <= ns <= _LAST:
        raise ConfigError(f"{text!r} cannot be stored in ns; give a time from 1970 to 2261")
    return ns


def seconds_of(text: str) -> Decimal:
    """Converts a number of seconds (``60``, ``0.5``), or a duration with a unit (``1h``). Raises ``ConfigError``."""
    try:
        seconds = Decimal(text.strip())
    except InvalidOperation:
        try:
            return Decimal(duration_ns(text)) / 1_000_000_000
        except ConfigError:
            seconds = Decimal(0)
    if not seconds.is_finite() or seconds <= 0:
        raise ConfigError(f"{text!r} is not a duration; give seconds above 0, or {_EXAMPLES}")
    return seconds


def share_of(text: str) -> Decimal:
    """Converts ``0.1%`` or ``0.1 %`` to 0.001, and returns a plain number unchanged. Raises ``ConfigError``."""
    plain = text.strip()
    percent = plain.endswith("%")
    try:
        share = Decimal(plain.removesuffix("%").strip())
    except InvalidOperation:
        share = Decimal("NaN")
    if not share.is_finite():
        raise ConfigError(f"{format_value(text)} is not a share; give a number such as 0.001, or a percentage: 0.1%")
    return share.scaleb(-2) if percent else share


def iso_time(ts: int) -> str:
    """``ts`` (ns UTC) in ISO 8601, for example ``2024-08-08T12:00:05.250000000Z``."""
    seconds, ns = divmod(ts, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def day(ts: int) -> str:
    """``2024-08-08``, UTC."""
    return iso_time(ts)[:10]


def clock_time(ts: int) -> str:
    """``12:00:05.250``, UTC, cut to milliseconds."""
    return iso_time(ts)[11:23]


def span(ns: int) -> str:
    """A duration for people, such as ``5 min 46 s``: its two largest units, or seconds with a decimal if it is less
    than a minute.
    """
    seconds = ns // 1_000_000_000
    if seconds < 60:
        return f"{ns / 1_000_000_000:.1f} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join([f"{value} {unit}" for value, unit in parts if value][:2])


def size_of(text: str) -> int:
    """``500MB``, ``2 GB`` or ``1.5GiB`` in bytes. Raises ``ConfigError``, also for 0."""
    match = _DURATION.fullmatch(text.strip())
    unit = _SIZES.get(match[2].upper()) if match is not None else None
    size = int(Decimal(match[1]) * unit) if match is not None and unit is not None else 0
    if not size:
        raise ConfigError(f"{text!r} is not a size; give a number with a unit: 500MB, 2GB, 1.5GiB")
    return size
