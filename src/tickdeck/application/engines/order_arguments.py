"""The order in the arguments of an operator's command, which are text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from tickdeck.domain.events import ActionIntent, ProtectionTerms
from tickdeck.domain.trading import terms_from_text, why_terms_fail
from tickdeck.domain.values import ZERO, Price, Side, TimeInForce
from tickdeck.errors import ConfigError, format_value

__all__ = ["OPERATOR", "STOPS", "amount", "check_names", "name_one_of", "order_from"]

OPERATOR = "operator"
"""The ``strategy_id`` of the operator's orders. No strategy may have it."""
STOPS = ("stop_loss", "take_profit", "trailing")
_AMOUNT = re.compile(r"(?=.{1,40}\Z)[0-9]*\.?[0-9]+")
_FLAGS = {"": False, "false": False, "true": True}

E = TypeVar("E", Side, TimeInForce)


def name_one_of(accounts: Iterable[str]) -> str:
    """What is wrong with a command that names none of the run's several accounts. The option is the
    argument ``account`` of the command."""
    return f"the run has several accounts; give --account NAME, one of {', '.join(accounts)}"


def order_from(given: Mapping[str, str], symbols: tuple[str, ...], order_id: str) -> ActionIntent:
    """The order in ``given``: ``side``, ``symbol``, ``quantity`` (base), and, if there are such arguments, ``limit``
    (quote), ``time_in_force``, ``reduce_only``, ``stop_loss``, ``take_profit`` and ``trailing``. ``symbols`` are those
    of the run. Raises ``ConfigError``."""
    symbol = given.get("symbol", "")
    if symbol not in symbols:
        raise ConfigError(f"{format_value(symbol)} is not a symbol of this run; it has {_some(symbols)}")
    reduce_only = _FLAGS.get(given.get("reduce_only", ""))
    if reduce_only is None:
        raise ConfigError(f"reduce_only is {format_value(given['reduce_only'])}; give true or false")
    side = _one_of(Side, "side", given.get("side", ""))
    limit = amount("limit", given["limit"]) if given.get("limit") else None
    return ActionIntent(
        action="order",
        symbol=symbol,
        side=side,
        quantity=amount("quantity", given.get("quantity", "")),
        limit=limit,
        time_in_force=_one_of(TimeInForce, "time_in_force", given.get("time_in_force") or TimeInForce.GTC),
        order_id=order_id,
        reduce_only=reduce_only,
        protection=_protection(given, side, limit),
    )


def _protection(given: Mapping[str, str], side: Side, limit: Price | None) -> ProtectionTerms | None:
    """The stop and the target of an order; ``None`` if there are none."""
    if not any(given.get(name) for name in STOPS):
        return None
    try:
        terms = terms_from_text(given)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if why := why_terms_fail(terms, side, limit):
        raise ConfigError(why)
    return terms


def check_names(given: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Raise ``ConfigError`` for an argument that is not ``known``."""
    for name in given:
        if name not in known:
            raise ConfigError(f"there is no argument {format_value(name)}; give {', '.join(known)}")


def amount(name: str, text: str) -> Decimal:
    """A number above 0. Raises ``ConfigError``."""
    number = Decimal(text) if _AMOUNT.fullmatch(text) else ZERO
    if not number:
        raise ConfigError(f"{name} is {format_value(text)}; give a plain decimal number above 0, such as 0.01")
    return number


def _one_of(kind: type[E], name: str, text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{name} is {format_value(text)}; give one of {', '.join(kind)}") from None


def _some(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:10])}{' and others' if len(names) > 10 else ''}"
