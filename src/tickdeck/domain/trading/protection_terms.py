"""The terms of a protection: made from what a user writes, changed, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

import msgspec

from tickdeck.domain.events import ProtectionTerms
from tickdeck.domain.values import Price, Side, plain
from tickdeck.errors import format_value

__all__ = ["Distance", "merged_terms", "terms_from_text", "terms_of", "why_terms_fail"]

Distance: TypeAlias = Price | str
"""A price or a distance in quote as a ``Decimal``, or a percentage as text: ``"2%"``."""

_KINDS = ("stop_loss", "take_profit", "trailing")


def terms_of(
    stop_loss: Distance | None = None, take_profit: Distance | None = None, trailing: Distance | None = None
) -> ProtectionTerms | None:
    """The terms; ``None`` if nothing is given. Raises ``ValueError`` for a value that is neither a ``Decimal`` above 0
    nor a percentage."""
    fields: dict[str, Decimal] = {}
    for name, value in zip(_KINDS, (stop_loss, take_profit, trailing), strict=True):
        if value is None:
            continue
        if isinstance(value, str):
            fields[f"{name}_percent"] = _percentage(name, value)
        elif type(value) is Decimal and value.is_finite() and _LEAST <= value <= _MOST:
            fields[name] = value
        else:
            raise ValueError(f"{name} is {format_value(value)}; {_WANTED}")
    return ProtectionTerms(**fields) if fields else None


_LEAST, _MOST = Decimal("1e-12"), Decimal("1e12")
"""Prices outside of this range have more digits on the grid of an instrument than we compute with."""
_MOST_PERCENT = Decimal(1_000_000)
_WANTED_TEXT = 'give a number above 0, or a percentage such as "2%", and nothing above 1e12'
_WANTED = 'give a decimal.Decimal above 0, or a percentage such as "2%", and nothing above 1e12'


def _percentage(name: str, text: str) -> Decimal:
    number = text.strip()
    try:
        percent = Decimal(number.removesuffix("%").strip())
    except InvalidOperation:
        percent = Decimal(0)
    if not number.endswith("%"):  # a price as text, in Python
        raise ValueError(f"{name} is {text!r}; {_WANTED}")
    if not percent.is_finite() or not _LEAST <= percent <= _MOST_PERCENT:
        raise ValueError(f"{name} is {text!r}; {_WANTED_TEXT}")
    return percent


def terms_from_text(arguments: Mapping[str, str]) -> ProtectionTerms:
    """The terms in the arguments of a command: numbers and percentages by name. Raises ``ValueError``."""
    values: dict[str, Distance] = {}
    for name in _KINDS:
        text = arguments.get(name, "")
        if text:
            values[name] = text if text.strip().endswith("%") else _number(name, text)
    terms = terms_of(**values)
    if terms is None:
        raise ValueError(f"nothing to set; give {', '.join(_KINDS)} or several of them")
    return terms


def _number(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or not _LEAST <= number <= _MOST:
        raise ValueError(f"{name} is {text!r}; {_WANTED_TEXT}")
    return number


def merged_terms(terms: ProtectionTerms, changes: ProtectionTerms) -> ProtectionTerms:
    """``terms`` with ``changes``. A price replaces a percentage of the same kind, and the reverse."""
    new: dict[str, Decimal | None] = {}
    for kind in _KINDS:
        given = {name: getattr(changes, name) for name in (kind, f"{kind}_percent")}
        if any(value is not None for value in given.values()):
            new |= given
    return msgspec.structs.replace(terms, **new)


def why_terms_fail(terms: ProtectionTerms, side: Side, limit: Price | None = None, last: Price | None = None) -> str:
    """Why a position that an order of ``side`` opens cannot be closed at these terms; empty if it can. ``limit`` is the
    limit of that order, ``last`` the last price (quote). The order fills at its limit or better, so its stop must be
    beyond both, and its target beyond the limit, or beyond the last price if there is no limit."""
    stop, target = terms.stop_loss, terms.take_profit
    long = side is Side.BUY
    if stop is not None and target is not None and (stop >= target if long else stop <= target):
        where = "below" if long else "above"
        return f"stop_loss is {plain(stop)} and take_profit {plain(target)}; the stop must be {where} the target"
    at_limit, at_last = ("the limit of the order", limit), ("the last price", last)
    for name, price, above, references in (
        ("stop_loss", stop, not long, (at_limit, at_last)),
        ("take_profit", target, long, (at_last if limit is None else at_limit,)),
    ):
        for what, reference in references:
            if reference is not None and price is not None and (price <= reference if above else price >= reference):
                where = "above" if above else "below"
                return f"{name} is {plain(price)}; it must be {where} {what}, {plain(reference)}"
    start = last if limit is None else limit
    if long and terms.trailing is not None and start is not None and terms.trailing >= start:
        what = "the last price" if limit is None else "the limit of the order"
        return f"trailing is {plain(terms.trailing)}, a distance; it must be less than {what}, {plain(start)}"
    falls = (("stop_loss", terms.stop_loss_percent), ("trailing", terms.trailing_percent))
    for name, percent in falls if long else (("take_profit", terms.take_profit_percent),):
        if percent is not None and percent >= 100:
            return f"{name} is {plain(percent)}%; give less than 100%"
    return ""
