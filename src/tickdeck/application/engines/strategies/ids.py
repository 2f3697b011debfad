"""The ids of strategies and triggers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tickdeck.domain.trading import FOR_ALL
from tickdeck.errors import ConfigError, format_value

__all__ = ["check_id", "strategy_ids", "why_no_owner"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_HOW = "use letters, digits, '-' and '_', beginning with a letter"


def check_id(strategy_id: str) -> None:
    """Raise ``ConfigError`` if ``strategy_id`` is not a name."""
    if not _NAME.fullmatch(strategy_id):
        raise ConfigError(f"{format_value(strategy_id)} is no name; {_HOW}")


def why_no_owner(name: str) -> str:
    """Why no strategy and no copy, which own orders, can be called ``name``; empty if one can."""
    if not _NAME.fullmatch(name):
        return f"name is {name!r}; {_HOW}"
    if name in FOR_ALL:
        return f"name is {name!r}, that of the run's own orders; give another one"
    return ""


def strategy_ids(names: Sequence[str]) -> list[str]:
    """A unique id for each strategy of a run: its name, with ``-2``, ``-3``, ... if it is repeated."""
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = count = seen.get(name, 0) + 1
        ids.append(name if count == 1 else f"{name}-{count}")
    return ids
