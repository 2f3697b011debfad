"""Removes secrets, recognised by their names, from everything that is written down."""

from __future__ import annotations

import re
from typing import Any

from tickdeck.application.secret_names import REDACTED, SECRET_WORD, is_secret

__all__ = ["REDACTED", "is_secret", "redacted"]

# The name, what may stand between it and the value (`=`, `": "`, `%3D`), then the value: quoted, or up to what ends it.
_IN_TEXT = re.compile(
    r"(?P<name>[\w-]*" + SECRET_WORD + r"[\w-]*|\b(?:sign|pwd)\b)"
    r"(?P<between>\\?[\"']?\s*(?:=>?|:|%3D)\s*)"
    r"(?P<value>(?:Bearer|Basic)\s+[^\s\"',;]+|b?\\?\"(?:[^\"\\]|\\.)*\"?|b?\\?'(?:[^'\\]|\\.)*'?|[^\s&\"',;}\])]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^\s/@:]*:)[^\s/@]+@")
_PLAIN = (bool, int, float)


def redacted(value: Any, name: str = "") -> Any:
    """``value`` without its secrets: values whose key marks a secret at any depth, and in strings whatever follows such
    a name (``secret=...``, ``"apiKey": "..."``, ``Authorization: Bearer ...``, the password in a URL).

    Returns JSON-ready values; other types become ``str()``. Secrets without such a name are not found.
    """
    if name and is_secret(name):
        return REDACTED
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {_text(str(key)): redacted(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(inner) for inner in value]
    return _text(value.decode(errors="replace") if isinstance(value, (bytes, bytearray)) else str(value))


def _text(text: str) -> str:
    text = _IN_TEXT.sub(lambda found: f"{found['name']}{found['between']}{REDACTED}", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _IN_URL.sub(rf"\1{REDACTED}@", text)
