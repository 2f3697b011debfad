"""Distances from the price of an entry, as a strategy without code writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from tickdeck.application.units import share_of
from tickdeck.domain.conditions import Reference, parse_condition
from tickdeck.domain.values import ZERO, Price
from tickdeck.errors import ConfigError, format_value

__all__ = ["AtrDistance", "is_amount", "is_of_range", "offset_of", "read_distances"]

_NAME = re.compile(r"[A-Za-z]{2,}")
_ATR = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,12})?)\s*\*?\s*(atr\b.*)", re.DOTALL)


class AtrDistance(NamedTuple):
    """``multiple`` times the average true range that ``reference`` names."""

    multiple: Decimal
    reference: Reference


def read_distances(texts: Mapping[str, str]) -> dict[str, AtrDistance]:
    """Those of ``texts`` that are a multiple of an average true range, such as ``2 atr(14, 1h)``, by name. Raises
    ``ConfigError`` for all mistakes in these."""
    found: dict[str, AtrDistance] = {}
    mistakes = []
    for name, text in texts.items():
        if not is_of_range(text):
            continue
        match = _ATR.fullmatch(text)
        try:
            reference = getattr(parse_condition(f"{match[2]} > 0").root, "left", None) if match is not None else None
        except ConfigError as error:
            mistakes.append(f"{name}: {error}")
            continue
        if match is None or not isinstance(reference, Reference) or not Decimal(match[1]):
            mistakes.append(f"{name} is {format_value(text)}; {_instead_of(text)}")
        else:
            found[name] = AtrDistance(Decimal(match[1]), reference)
    if mistakes:
        raise ConfigError.of(mistakes)
    return found


def is_of_range(text: str) -> bool:
    """Whether a distance is meant as a multiple of an average true range: it has a name in it."""
    return _NAME.search(text) is not None and "nan" not in text.lower() and "inf" not in text.lower()


def is_amount(text: str) -> bool:
    """Whether a distance is a price or an amount in quote."""
    return not is_of_range(text) and not text.strip().endswith("%")


def _instead_of(text: str) -> str:
    small = text.lower()
    if small != text and _ATR.fullmatch(small):
        return f"names are written in small letters: {small.strip()}"
    return "write a multiple of an average true range as 2 atr(14, 1h), or give a percentage such as 2%"


def offset_of(text: str, price: Price) -> Price:
    """How far from ``price`` (quote) the limit of an entry is, for a percentage such as ``0.1%`` or an amount in quote;
    0 if nothing is said. Raises ``ConfigError``."""
    if not text:
        return ZERO
    wanted = f"offset is {format_value(text)}; give a percentage below 100% such as 0.1%, or an amount in quote"
    if text.strip().endswith("%"):
        try:
            share = share_of(text)
        except ConfigError:
            raise ConfigError(wanted) from None
        if not 0 <= share < 1:
            raise ConfigError(wanted)
        return price * share
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        raise ConfigError(wanted) from None
    if not amount.is_finite() or not 0 <= amount <= 10**12:
        raise ConfigError(wanted)
    return amount
