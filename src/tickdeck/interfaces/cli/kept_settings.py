"""Says what a run that goes on does not take from the options that were given: it keeps the settings of its start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.runs import read_manifest, settings_of
from tickdeck.interfaces.cli.run_config import build_config

__all__ = ["not_taken"]

_MADE_AT_THE_START = ("instruments", "stated_limits", "backtest")  # not only what somebody wrote


def not_taken(folder: Path, options: dict[str, Any]) -> str:
    """One line if ``options``, those of ``build_config``, ask for other settings than those of the run in ``folder``;
    empty if they do not. It names keys, never values, which may be secret. Raises ``RunError`` if the manifest cannot
    be read."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if not given:
        return ""
    manifest = read_manifest(folder)
    keeps = f"run {manifest.run_id} keeps the settings with which it began"
    try:
        wanted = build_config(**given)
    except TickdeckError as error:
        return f"{keeps}; what was given now is not used, and has a mistake: {str(error).splitlines()[0]}"
    kept = config_from_dict(settings_of(folder, manifest))
    if not kept.stated_limits and not wanted.stated_limits:  # the start chose them by the currency
        wanted = msgspec.structs.replace(wanted, risk=kept.risk)
    other = ", ".join(_differing(_tree(kept), _tree(wanted)))
    return (
        f"{keeps}; other ones were given now, and are not used: {other}; for these, start another run" if other else ""
    )


def _tree(config: RunConfig) -> dict[str, Any]:
    tree = msgspec.to_builtins(config)
    return {name: value for name, value in tree.items() if name not in _MADE_AT_THE_START}


def _differing(kept: dict[str, Any], wanted: dict[str, Any], within: str = "") -> Iterator[str]:
    for name in kept | wanted:
        before, now = kept.get(name), wanted.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differing(before, now, f"{within}{name}.")
        elif before != now:
            yield f"{within}{name}"
