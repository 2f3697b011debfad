"""Rewords msgspec's messages for people who do not write Python."""

from __future__ import annotations

import re

__all__ = ["in_words"]

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


def in_words(message: str) -> str:
    """``give true or false`` for ``Expected `bool`, got `str```. Any other message stays as it is."""
    expected = _EXPECTED.match(message)
    if expected is None:
        return "give a decimal number" if message.startswith("Invalid decimal string") else message
    kinds = [_TYPES.get(kind.strip(), kind.strip()) for kind in expected["kinds"].split("|")]
    return f"give {' or '.join(kind for kind in kinds if kind != 'nothing')}"
