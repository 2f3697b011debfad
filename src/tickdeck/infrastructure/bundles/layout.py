"""The layout of a bundle: a zip file with ``bundle.json``, the run's folder as ``run/``, its input files as
``inputs/N/NAME``, and the sources of its strategies as ``strategies/N/NAME``, or ``strategies/modules/PACKAGE/NAME``
for packages.

The manifest in ``run/`` names inputs and strategies by their places in the bundle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from tickdeck.infrastructure.runs import Manifest, StrategyRecord

__all__ = [
    "CONTENTS",
    "FORMAT",
    "MODULES",
    "RUN",
    "Contents",
    "InputFile",
    "Member",
    "is_safe",
    "safe_name",
    "with_places",
]

FORMAT = 1
CONTENTS = "bundle.json"
RUN = "run"
MODULES = "strategies/modules"
_FOLDERS = (RUN, "inputs", "strategies")
_ODD = re.compile(r"[\\:\x00-\x1f\x7f]")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a bundle: its name in the archive, its size in bytes and its SHA-256."""

    name: str
    bytes: int
    sha256: str


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """An input of the run: its name in the archive, or ``None`` if the bundle was made without it; and the ``path``
    from which the run read it. ``sha256`` is as in the manifest."""

    name: str | None
    path: str | None
    sha256: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """``bundle.json``. ``redacted``: what was removed from the configuration. ``notes``: what the person who
    verifies should know."""

    format: int = FORMAT
    run: str
    tickdeck: str
    files: tuple[Member, ...]
    inputs: tuple[InputFile, ...] = ()
    redacted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_safe(name: str) -> bool:
    """True if a bundle may contain this name, and unpacking it cannot write elsewhere."""
    parts = name.split("/")
    return (
        parts[0] in _FOLDERS
        and len(parts) > 1
        and not any(part in ("", ".", "..") or _ODD.search(part) for part in parts)
    )


def safe_name(name: str) -> str:
    """A file's name in the archive: unchanged, except for characters that some systems do not allow."""
    return _ODD.sub("_", name)


def with_places(manifest: Manifest, inputs: Sequence[str], specs: Sequence[str]) -> Manifest:
    """The manifest with other paths for its input files and other specs for its strategies and then its signals, in
    their order."""
    config = dict(manifest.config)
    of_strategies, of_signals = specs[: len(manifest.strategies)], specs[len(manifest.strategies) :]
    config["tapes"] = [{**tape, "path": place} for tape, place in zip(config.get("tapes", ()), inputs, strict=True)]
    config["strategies"] = [
        {**strategy, "spec": spec} for strategy, spec in zip(config.get("strategies", ()), of_strategies, strict=True)
    ]
    signals = config.get("signals", {})
    config["signals"] = {
        name: {**signal, "class": spec} for (name, signal), spec in zip(signals.items(), of_signals, strict=True)
    }
    return replace(
        manifest,
        config=config,
        inputs=tuple(replace(record, path=place) for record, place in zip(manifest.inputs, inputs, strict=True)),
        strategies=_with_specs(manifest.strategies, of_strategies),
        signals=_with_specs(manifest.signals, of_signals),
    )


def _with_specs(records: Sequence[StrategyRecord], specs: Sequence[str]) -> tuple[StrategyRecord, ...]:
    return tuple(replace(record, spec=spec) for record, spec in zip(records, specs, strict=True))
