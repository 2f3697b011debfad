"""Wording for people: counts in the singular and plural, and msgspec's messages in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

__all__ = ["counted", "in_words", "not_a_symbol"]

_TYPES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a decimal number",
    "str": "text",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_EXPECTED = re.compile(r"Expected `(?P<kinds>[^`]*)`, got `[^`]*`")


def counted(number: int, one: str, many: str = "") -> str:
    """``1 event``, ``2,000 events``. ``many`` is the plural if it is not ``one`` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def in_words(message: str) -> str:
    """A msgspec error in plain words: ``Expected `bool`, got `str``` becomes ``give true or false``. Messages that are
    not recognized are returned unchanged."""
    expected = _EXPECTED.match(message)
    if expected is None:
        return "give a decimal number" if message.startswith("Invalid decimal string") else message
    kinds = [_TYPES.get(kind.strip(), kind.strip()) for kind in expected["kinds"].split("|")]
    return f"give {' or '.join(kind for kind in kinds if kind != 'nothing')}"


def not_a_symbol(symbol: str, symbols: Sequence[str]) -> str:
    """Says that ``symbol`` is not one of the run's ``symbols``, with the one that may have been meant."""
    close = get_close_matches(symbol.upper(), symbols, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"its symbols are {', '.join(symbols)}"
    return f"{symbol!r} is not a symbol of this run; {hint}"
