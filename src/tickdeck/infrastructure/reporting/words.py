"""The format of figures and times in the report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from tickdeck.application.results import plain

__all__ = ["amount", "clock", "day", "fraction", "left_out_of_figures", "span"]

_SECOND = 1_000_000_000


def amount(value: Decimal, *, sign: bool = False) -> str:
    """With thousands separators and two decimals, or four if two are not exact."""
    decimals = 2 if value == round(value, 2) else 4
    rounded = round(value, decimals) or Decimal(0)  # no minus before a zero
    return f"{rounded:{'+' if sign else ''},.{decimals}f}"


def left_out_of_figures(amounts: Mapping[str, Decimal], currency: str) -> str:
    """One line about the amounts that the figures of a run leave out."""
    left_out = ", ".join(f"{plain(value)} {name}" for name, value in amounts.items())
    return f"not in the figures: {left_out}, because the data has no price for it in {currency}"


def fraction(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def day(ts: int) -> str:
    """``2024-08-08``, UTC."""
    return f"{datetime.fromtimestamp(ts // _SECOND, UTC):%Y-%m-%d}"


def clock(ts: int) -> str:
    """``12:00:05.250``, UTC, cut to milliseconds."""
    seconds, rest = divmod(ts, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}.{rest // 1_000_000:03d}"


def span(ns: int) -> str:
    """``5 min 46 s``: the two largest units, or seconds with a decimal if it is less than a minute."""
    seconds = ns // _SECOND
    if seconds < 60:
        return f"{ns / _SECOND:.1f} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join([f"{value} {unit}" for value, unit in parts if value][:2])
