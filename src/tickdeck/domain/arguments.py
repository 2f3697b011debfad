"""Checks of what a program gives to an aggregate. Each raises an ``InvalidValue`` that names the aggregate, the value,
and what to give, before anything has changed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tickdeck.domain.values import Side
from tickdeck.errors import InvalidValue, format_value

__all__ = ["check_amount", "check_name", "check_side", "check_texts"]

_BOUND = 30  # digits before the point; the books keep 60 significant ones, so larger amounts would be rounded


def check_amount(what: str, value: object, *, least: Decimal | None = None, above: Decimal | None = None) -> None:
    """A finite ``Decimal`` of less than 1E+30, of at least ``least``, or above ``above``."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidValue(f"{what} is {format_value(value)}; give a finite decimal.Decimal")
    if value and value.adjusted() >= _BOUND:
        raise InvalidValue(f"{what} is {value:.3E}; give less than 1E+{_BOUND}")
    if above is not None and not value > above:
        raise InvalidValue(f"{what} is {format_value(value)}; it must be above {above}")
    if least is not None and not value >= least:
        floor = f"be at least {least}" if least else "not be negative"
        raise InvalidValue(f"{what} is {format_value(value)}; it must {floor}")


def check_name(what: str, value: object) -> None:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"{what} is {format_value(value)}; give a str that is not empty")


def check_side(what: str, value: object) -> None:
    if not isinstance(value, Side):
        raise InvalidValue(f"{what} is {format_value(value)}; give Side.BUY or Side.SELL")


def check_texts(what: str, value: object) -> None:
    """A mapping of names to texts."""
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{what} is {format_value(value)}; give a dict of names and texts")
