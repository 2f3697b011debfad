"""Cuts the text of a condition into words, numbers and signs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tickdeck.domain.conditions.hints import hint_for_sign
from tickdeck.errors import ConditionError, format_value

__all__ = ["Token", "mistake", "tokens"]

_PATTERN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<time>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?![0-9:]))
    |(?P<number>(?:[0-9]+\.[0-9]+|\.?[0-9]+)(?![A-Za-z0-9_.]))
    |(?P<word>[A-Za-z0-9_]+)
    |(?P<text>"[^"\n]*")
    |(?P<sign><=|>=|==|!=|[-+*/<>(),%])""",
    re.VERBOSE | re.ASCII,
)
_LONGEST = 200
"""Characters of what a message says about a word of the condition."""


class Token(NamedTuple):
    """``kind`` is ``word``, ``number``, ``time``, ``text`` (without its quotes), ``sign`` or ``end``. ``column`` is
    where it begins, from 1."""

    kind: str
    text: str
    column: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of ``text``, and one of the kind ``end``. Raises ``ConditionError``."""
    place = 0
    while place < len(text):
        match = _PATTERN.match(text, place)
        if match is None:
            sign = text[place]
            raise mistake(text, place + 1, f"{format_value(sign)} has no meaning here", hint_for_sign(text[place:]))
        kind = str(match.lastgroup)
        if kind == "text":
            yield Token(kind, match[0][1:-1], place + 1)
        elif kind != "blank":
            yield Token(kind, match[0], place + 1)
        place = match.end()
    yield Token("end", "", len(text) + 1)


def mistake(text: str, column: int, what: str, hint: str = "") -> ConditionError:
    """The error for a mistake at ``column`` of ``text``."""
    what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}..."
    told = f"{what}; {hint}" if hint else what
    return ConditionError(f"condition {format_value(text)}, column {column}: {told}", column=column)
