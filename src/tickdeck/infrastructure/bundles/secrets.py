"""Removes secrets from a manifest, so that the run can still be executed with what is left."""

from __future__ import annotations

import re
from typing import Any

from tickdeck.application.redaction import REDACTED, is_secret

__all__ = ["without_secrets"]

_KEY_SOURCE = re.compile(r"(?:env|file|keyring):")


def without_secrets(value: Any, path: str = "") -> tuple[Any, list[str]]:
    """A copy of JSON-ready ``value`` without its secrets, and the paths of what was removed, such as
    ``strategies[0].parameters.api_key``. A text becomes ``REDACTED``. Any other value is removed with its key,
    because a text would have the wrong type. Empty values and zero are not secrets. Where an account's key comes from
    keeps its kind, such as ``env:[redacted]``, because the configuration would be invalid without it."""
    taken: list[str] = []
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            place = f"{path}.{key}" if path else str(key)
            if is_secret(str(key)) and inner:
                taken.append(place)
                if isinstance(inner, str):
                    source = _KEY_SOURCE.match(inner) if key == "credentials" else None
                    kept[key] = f"{source[0]}{REDACTED}" if source else REDACTED
            else:
                kept[key], more = without_secrets(inner, place)
                taken += more
        return kept, taken
    if isinstance(value, list | tuple):
        items = [without_secrets(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        return [item for item, _ in items], [place for _, more in items for place in more]
    return value, taken
