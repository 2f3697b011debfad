"""What a bundle looks like: a zip file with ``bundle.json``, the run's folder as ``run/``, its input files as
``inputs/N/NAME`` and the sources of its strategies as ``strategies/N/NAME``, those of packages as
``strategies/modules/PACKAGE/NAME``.

The manifest in ``run/`` names inputs and strategies by their places in the bundle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from tickdeck.infrastructure.runs import Manifest

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
    """An input of the run: its name in the archive, or, where the bundle was made without it, ``None`` and the ``path``
    at which the run read it. ``sha256`` as in the manifest.
    """

    name: str | None
    path: str | None
    sha256: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """``bundle.json``. ``redacted``: what was taken out of the configuration; ``notes``: what whoever verifies should
    know.
    """

    format: int = FORMAT
    run: str
    tickdeck: str
    files: tuple[Member, ...]
    inputs: tuple[InputFile, ...] = ()
    redacted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_safe(name: str) -> bool:
    """Whether an archive's name is one that a bundle has, and leads nowhere else when it is unpacked."""
    parts = name.split("/")
    return (
        parts[0] in _FOLDERS
        and len(parts) > 1
        and not any(part in ("", ".", "..") or _ODD.search(part) for part in parts)
    )


def safe_name(name: str) -> str:
    """A file's name as it is in the archive: as it was, but for what some systems cannot have in names."""
    return _ODD.sub("_", name)


def with_places(manifest: Manifest, inputs: Sequence[str], specs: Sequence[str]) -> Manifest:
    """The manifest with other paths of its input files and other specs of its strategies, each in their order."""
    config = dict(manifest.config)
    config["tapes"] = [{**tape, "path": place} for tape, place in zip(config.get("tapes", ()), inputs, strict=True)]
    config["strategies"] = [
        {**strategy, "spec": spec} for strategy, spec in zip(config.get("strategies", ()), specs, strict=True)
    ]
    return replace(
        manifest,
        config=config,
        inputs=tuple(replace(record, path=place) for record, place in zip(manifest.inputs, inputs, strict=True)),
        strategies=tuple(replace(record, spec=spec) for record, spec in zip(manifest.strategies, specs, strict=True)),
    )
