"""Removes secrets from everything that is written. They are recognized by their names, or known by their values."""

from __future__ import annotations

import re
from typing import Any

from tickdeck.application.secret_names import REDACTED, SECRET_WORD, is_secret

__all__ = ["REDACTED", "is_secret", "redacted", "remember_secrets", "without_known_secrets"]

# The name from the telling word on, what may be between it and the value (`=`, `": "`, `%3D`), then the value: quoted,
# or up to what ends it. What stands before the word in a name stays anyway. To look for it, or for an end without a
# limit, would take hours in a megabyte of letters.
_IN_TEXT = re.compile(
    r"(?P<name>" + SECRET_WORD + r"[\w-]{0,100}|\b(?:sign|pwd)\b)"
    r"(?P<between>\\?[\"']?\s*(?:=>?|:|%3D)\s*)"
    r"(?P<value>(?:Bearer|Basic)\s+[^\s\"',;]+|b?\\?\"(?:[^\"\\]|\\.)*\"?|b?\\?'(?:[^'\\]|\\.)*'?|[^\s&\"',;}\])]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^\s/@:]*:)(?P<password>[^\s/@]+)@")
_PLAIN = (bool, int, float)
_SHORTEST = 6
"""Shorter values are not searched for, because they may be parts of words."""
_known: dict[str, None] = {}


def remember_secrets(value: object, name: str = "") -> None:
    """From now on, remove the secrets in ``value`` from every text that is redacted in this process, wherever they
    appear: a library may include a key in the message of its error.

    Secrets are what ``redacted`` would remove: values under a telling name, at any depth, and passwords in URLs.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            remember_secrets(inner, str(key))
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            remember_secrets(inner, name)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value)
        found = [text] if name and is_secret(name) else [match["password"] for match in _IN_URL.finditer(text)]
        for secret in found:
            if len(secret) >= _SHORTEST and secret != REDACTED:
                _known[secret] = None


def without_known_secrets(text: str) -> str:
    """``text`` without the values given to ``remember_secrets``."""
    for secret in _known:
        text = text.replace(secret, REDACTED)
    return text


def redacted(value: Any, name: str = "") -> Any:
    """``value`` without its secrets: values whose key marks a secret at any depth, and in strings whatever follows such
    a name (``secret=...``, ``"apiKey": "..."``, ``Authorization: Bearer ...``, the password in a URL).

    Returns JSON-ready values; other types become ``str()``. Secrets without such a name are found only if they were
    given to ``remember_secrets``.
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
    text = without_known_secrets(text)
    text = _IN_TEXT.sub(lambda found: f"{found['name']}{found['between']}{REDACTED}", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _IN_URL.sub(rf"\1{REDACTED}@", text)
