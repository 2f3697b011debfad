"""What goes under these names is a secret: it is never put on a tape, into a log, or into what leaves the machine."""

from __future__ import annotations

import re

__all__ = ["REDACTED", "SECRET_WORD", "is_secret"]

REDACTED = "[redacted]"
"""What stands in the place of a secret."""

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
"""A regular expression, to be used without regard to case: what such a name contains."""

_KEY = re.compile(SECRET_WORD + r"|^[-_ ]*(?:sign|pwd)[-_ ]*$", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether what goes under this name is not to be written down: ``api_key``, ``clientSecret``, ``PASSWORD``."""
    return _KEY.search(name) is not None
