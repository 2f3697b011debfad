"""Names that mark a secret. Their values are never written to a tape, a log or anything that leaves the machine."""

from __future__ import annotations

import re

__all__ = ["REDACTED", "SECRET_WORD", "is_secret"]

REDACTED = "[redacted]"
"""What is written instead of a secret."""

_NAMES = (
    "api_?key",
    "access_?key",
    "private_?key",
    "listen_?key",
    "secret",
    "pass_?word",
    "passwd",
    "pass_?phrase",
    "token",
    "signature",
    "authori[sz]ation",
    "credential",
    "cookie",
)
SECRET_WORD = "(?:" + "|".join(name.replace("_?", "[-_ ]?") for name in _NAMES) + ")"
"""A regular expression, to be used case-insensitively, that such a name matches."""

_KEY = re.compile(SECRET_WORD + r"|^[-_ ]*(?:sign|pwd)[-_ ]*$", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """True if the value under this name must not be written down: ``api_key``, ``clientSecret``, ``PASSWORD``."""
    return _KEY.search(name) is not None
