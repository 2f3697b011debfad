"""Keeping secrets out of what leaves the machine: they are known by the name of their key."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["REDACTED", "is_secret", "redacted"]

REDACTED = "[redacted]"

_SECRET = re.compile(
    r"(^|_)(token|auth|authorization|credentials?|pwd|pin|mnemonic)(_|$)|secret|passw|passphrase|apikey"
    r"|(api|access|private|signing)_?key"
)


def is_secret(key: str) -> bool:
    """Whether a key of this name holds a secret: ``api_key``, ``clientSecret``, ``PASSWORD``, ``access-token``. Not
    ``tokens`` or ``max_drawdown``.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").replace(".", "_").lower()
    return _SECRET.search(snake) is not None


def redacted(value: Any, path: str = "") -> tuple[Any, list[str]]:
    """A copy of JSON-ready ``value`` without what is under a key that holds a secret, and the paths of what was taken
    out, such as ``strategies[0].parameters.api_key``. Text becomes ``REDACTED``; other values go with their key, since
    a text would be of the wrong type. What is empty is no secret.
    """
    taken: list[str] = []
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            place = f"{path}.{key}" if path else str(key)
            if is_secret(str(key)) and inner not in ("", None, [], {}):
                taken.append(place)
                if isinstance(inner, str):
                    kept[key] = REDACTED
            else:
                kept[key], more = redacted(inner, place)
                taken += more
        return kept, taken
    if isinstance(value, list | tuple):
        items = [redacted(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        return [item for item, _ in items], [place for _, more in items for place in more]
    return value, taken
