"""What to write instead: hints for what people know from other languages and expect in a condition."""

from __future__ import annotations

import re

__all__ = ["hint_for_sign", "hint_for_token", "instead_of", "zone_hint"]

_SIGNS = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or != to compare",
    '"': "the quote is not closed",
    "'": 'use double quotes: "BTC-PERP"',
    **dict.fromkeys("“”„«»\u2018\u2019", 'use plain double quotes: "BTC-PERP"'),
    "≥": "write >=",
    "≤": "write <=",
    "≠": "write !=",
    "\u00d7": "write *",
    "÷": "write /",
    **dict.fromkeys("\u2212\u2013—", "write the minus of the keyboard: -"),
    **dict.fromkeys("$€£¥", "write amounts without a currency"),
    **dict.fromkeys("[]{}", "use parentheses, as in close(1h)"),
    "^": "there are no powers",
    ".": "write numbers as 65000 or 0.5, and put quotes around a symbol with a dot",
    "#": "conditions have no comments",
    ";": "write `and` or `or` between conditions, and commas between arguments",
}
"""By a sign that conditions do not have."""

_WORDS = {
    "mid": "write (bid + ask) / 2",
    "spread": "write ask - bid",
    "last": "write price",
    **dict.fromkeys(("if", "when", "while", "unless"), "write the condition alone"),
    **dict.fromkeys(("true", "false", "null", "none"), "compare values, as in `price > 100`"),
    **dict.fromkeys(("nan", "inf"), "compare with a number, such as 100"),
    **dict.fromkeys(("abs", "min", "max"), "combine comparisons with `and` and `or`"),
}
_COMPARING = ("is", "above", "below", "over", "under", "gt", "ge", "gte", "lt", "le", "lte", "eq", "ne")
_STUCK = re.compile(r"([0-9]+)(and|or|not|crosses_above|crosses_below)")
_CLOCK = re.compile(r"[0-9]{1,2}[ap]m", re.IGNORECASE)


def instead_of(word: str) -> str:
    """What to write instead of a word that is no name; empty if nothing is known."""
    stuck = _STUCK.fullmatch(word)
    if stuck is not None:
        return f"write a blank between {stuck[1]} and `{stuck[2]}`"
    if _CLOCK.fullmatch(word):
        return "write a time of day as 16:00 UTC"
    return _WORDS.get(word.lower(), "")


def hint_for_sign(rest: str) -> str:
    """The hint for a text that begins with a sign that conditions do not have."""
    if rest[0] == "=":
        return {"=>": "write >=", "=<": "write <="}.get(rest[:2], "write == to compare")
    if rest[0].isspace() or not rest[0].isprintable():
        return "write an ordinary blank, or nothing"
    return _SIGNS.get(rest[0], "")


def hint_for_token(before: str, found: str, *, value: bool) -> str:
    """The hint for a token ``found`` after ``before``. ``value``: a value is needed there, otherwise an operator."""
    if value:
        if found == "+":
            return "write a number without +"
        pairs = {("<", ">"): "write != for not equal", ("*", "*"): "there are no powers", ("/", "/"): "write one /"}
        return pairs.get((before, found), "")
    if found == "%":
        return "only a number is followed by %, as in 2%"
    if found == "," and before.isdecimal():
        return "write numbers without separators, such as 65000; combine conditions with `and` or `or`"
    if found == ",":
        return "combine conditions with `and` or `or`"
    return "compare with <, <=, >, >=, == or !=" if found.lower() in _COMPARING else ""


def zone_hint(time: str, following: str) -> str:
    """The hint for a time of day that is not followed by ``UTC`` but by ``following``."""
    if following.lower() in ("am", "pm"):
        return "write times with 24 hours and UTC, such as 16:00 UTC"
    if following and following.lower() not in ("utc", "and", "or", ")"):
        return "give the time in UTC, such as 16:00 UTC"
    return f"write {time} UTC"
