"""The ids of strategies and triggers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tickdeck.errors import ConfigError, format_value

__all__ = ["check_id", "strategy_ids"]


def check_id(strategy_id: str) -> None:
    """Raise ``ConfigError`` if ``strategy_id`` is not a name."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", strategy_id):
        given = format_value(strategy_id)
        raise ConfigError(f"{given} is no name; use letters, digits, '-' and '_', beginning with a letter")


def strategy_ids(names: Sequence[str]) -> list[str]:
    """A unique id for each strategy of a run: its name, with ``-2``, ``-3``, ... if it is repeated."""
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = count = seen.get(name, 0) + 1
        ids.append(name if count == 1 else f"{name}-{count}")
    return ids
