"""The format of figures in the report."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tickdeck.domain.values import plain

__all__ = ["amount", "fraction", "left_out_of_figures"]


def amount(value: Decimal, *, sign: bool = False) -> str:
    """With thousands separators and two decimals, or four if two are not exact."""
    # Rounded as text: an amount may have more digits than the decimal context allows.
    decimals = 2 if value == Decimal(f"{value:.2f}") else 4
    rounded = Decimal(f"{value:.{decimals}f}") or Decimal(0)  # no minus before a zero
    return f"{rounded:{'+' if sign else ''},.{decimals}f}"


def left_out_of_figures(amounts: Mapping[str, Decimal], currency: str) -> str:
    """One line about the amounts that the figures of a run leave out."""
    left_out = ", ".join(f"{plain(value)} {name}" for name, value in amounts.items())
    return f"not in the figures: {left_out}, because the data has no price for it in {currency}"


def fraction(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
