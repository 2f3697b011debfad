"""Copies of the strategies and signals of a run, in its folder: a proof executes them after the originals changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from tickdeck.application.parameters import Parametrised
from tickdeck.errors import RunError
from tickdeck.infrastructure.strategies.loader import load_in_place_of
from tickdeck.infrastructure.strategies.source import source_digest, source_files
from tickdeck.infrastructure.tape.sync import sync

__all__ = ["CODE", "keep_source", "kept_spec"]

CODE = "code"
"""The folder of the copies in a run's folder. It has a folder for each digest of a source."""


def keep_source(folder: Path, spec: str, cls: type[Parametrised]) -> None:
    """Copy the file of a class and its own modules into the run's ``folder``, durably: the proof of what it decides
    needs them. A class of a package is not copied. Raises ``RunError``."""
    if not spec.rpartition(":")[0].endswith(".py"):
        return
    files = source_files(cls)
    place = folder / CODE / source_digest(cls)
    if not files or place.is_dir():
        return
    part = place.with_suffix(".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        place.parent.mkdir(mode=0o700, exist_ok=True)  # a source may contain what only its user should read
        for file in files:
            copy = part / file.relative_to(files[0].parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            sync(copy)
        for inner in (part, *(path for path in sorted(part.rglob("*")) if path.is_dir())):
            sync(inner)
        part.rename(place)
        sync(place.parent)
        sync(folder)
    except OSError as error:
        raise RunError(f"{place}: the source of {spec} cannot be copied: {error.strerror}; check the disk") from None


def kept_spec(folder: Path, spec: str, digest: str) -> str:
    """The spec of the copy with ``digest`` in the run's ``folder``; ``spec`` itself if there is none."""
    place, _, name = spec.rpartition(":")
    copy = folder / CODE / digest / Path(place).name
    if not digest or not place.endswith(".py") or not copy.is_file():
        return spec
    load_in_place_of(copy, Path(place))
    return f"{copy}:{name}"
