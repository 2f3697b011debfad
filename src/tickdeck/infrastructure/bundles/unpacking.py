"""Unpacks bundles from unknown authors: everything is checked before it is trusted, and written only to a temporary
folder."""

from __future__ import annotations

import hashlib
import importlib
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

import msgspec

from tickdeck.errors import RunError
from tickdeck.infrastructure.bundles.layout import (
    CONTENTS,
    FORMAT,
    MODULES,
    RUN,
    Contents,
    InputFile,
    Member,
    is_safe,
    with_places,
)
from tickdeck.infrastructure.runs import Manifest, read_manifest
from tickdeck.infrastructure.runs.folder import MANIFEST

__all__ = ["Unpacked", "unpacked"]

_RUN_ID = re.compile(r"[A-Za-z0-9_-]+")
_CHUNK = 1 << 20
_MOST_CONTENTS = 16 << 20  # bytes of bundle.json
_DAMAGE = (BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)
"""What zipfile raises for an archive that is damaged, encrypted, or packed by an unknown method."""


class Unpacked(NamedTuple):
    """The folder of an unpacked run, and the notes of the person who packed it."""

    folder: Path
    notes: tuple[str, ...]


@contextmanager
def unpacked(bundle: Path) -> Iterator[Unpacked]:
    """The run in ``bundle``, unpacked to a temporary folder that is removed after the block. Its manifest names the
    unpacked input files and strategies. If the bundle has no inputs, they are taken from where the run read them, or
    from the folder of the bundle.

    Raises ``RunError`` if the file is not a bundle, is damaged or changed, or would write elsewhere, or if a missing
    input cannot be found.
    """
    with tempfile.TemporaryDirectory(prefix="tickdeck-bundle-") as name:
        root = Path(name) / "bundle"
        contents = _extract(bundle, root)
        folder = Path(name) / "runs" / contents.run
        folder.parent.mkdir()
        (root / RUN).rename(folder)
        places = [_place(bundle, root, file) for file in contents.inputs]
        manifest = read_manifest(folder)
        if len(places) != len(manifest.inputs):
            raise _foreign_bundle(bundle, f"{CONTENTS} and {MANIFEST} name different inputs")
        (folder / MANIFEST).write_bytes(msgspec.json.encode(_here(bundle, manifest, root, places)))
        with _importable(root / MODULES):
            yield Unpacked(folder, contents.notes)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the packages in ``folder`` importable, instead of others with the same names."""
    names = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
    set_aside = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] in names]:
            del sys.modules[name]
        sys.modules.update(set_aside)


def _extract(bundle: Path, root: Path) -> Contents:
    try:
        with ZipFile(bundle) as archive:
            contents = _contents(bundle, archive)
            needed, free = sum(member.bytes for member in contents.files), shutil.disk_usage(root.parent).free
            if needed > free:
                raise RunError(
                    f"{bundle}: unpacking needs {needed:,} bytes, but {root.parent} has {free:,}; free some space there"
                )
            for member in contents.files:
                _write(bundle, archive, member, root / member.name)
    except FileNotFoundError:
        raise RunError(f"{bundle}: there is no such file; give the path of a bundle") from None
    except _DAMAGE as error:
        raise RunError(f"{bundle}: not a bundle, or damaged: {error}; copy it again, or make a new one") from None
    return contents


def _contents(bundle: Path, archive: ZipFile) -> Contents:
    """Read the archive's table of contents, which must match its content."""
    names = [entry.filename for entry in archive.infolist()]
    if CONTENTS not in names:
        raise _foreign_bundle(bundle, f"it has no {CONTENTS}")
    if archive.getinfo(CONTENTS).file_size > _MOST_CONTENTS:
        raise _foreign_bundle(bundle, f"its {CONTENTS} is too large")
    try:
        contents = msgspec.json.decode(archive.read(CONTENTS), type=Contents)
    except msgspec.MsgspecError as error:
        raise _foreign_bundle(bundle, f"its {CONTENTS} is damaged: {error}") from None
    if contents.format > FORMAT:
        raise RunError(f"{bundle}: format {contents.format} is newer than this Tickdeck; update it to read this bundle")
    if not _RUN_ID.fullmatch(contents.run):
        raise _foreign_bundle(bundle, f"{contents.run!r} is not a run id")
    for name in (*names, *(file.name for file in contents.inputs if file.name)):
        if name != CONTENTS and not is_safe(name):
            raise _foreign_bundle(bundle, f"the name {name!r} points outside the bundle")
    listed = [member.name for member in contents.files]
    if sorted([*listed, CONTENTS]) != sorted(names) or f"{RUN}/{MANIFEST}" not in listed:
        raise _foreign_bundle(bundle, f"its files are not those that {CONTENTS} lists")
    return contents


def _write(bundle: Path, archive: ZipFile, member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    left = member.bytes
    with archive.open(member.name) as packed, path.open("xb") as file:
        while chunk := packed.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            file.write(chunk)
    if left or digest.hexdigest() != member.sha256:
        raise RunError(
            f"{bundle}: {member.name} was changed since the bundle was made; copy the bundle again, or make a new one"
        )


def _place(bundle: Path, root: Path, file: InputFile) -> str:
    """The current path of an input."""
    if file.name is not None:
        return str(root / file.name)
    path = Path(str(file.path))
    for place in (path, bundle.resolve().parent / path.name):
        if place.exists():
            return str(place)
    raise RunError(
        f"{bundle}: it has no inputs, and {path} does not exist; put {path.name} (SHA-256 {file.sha256}) next to it"
    )


def _here(bundle: Path, manifest: Manifest, root: Path, inputs: list[str]) -> Manifest:
    """The manifest with places in ``root`` instead of those in the archive."""
    specs = []
    for record in (*manifest.strategies, *manifest.signals):
        place, _, name = record.spec.rpartition(":")
        inside = place.startswith("strategies/") and place.endswith(".py")
        if place.endswith(".py") and not (inside and is_safe(place)):
            raise _foreign_bundle(bundle, f"strategy {record.spec!r} points outside the bundle")
        specs.append(f"{root / place}:{name}" if inside else record.spec)
    try:
        return with_places(manifest, inputs, specs)
    except (ValueError, TypeError) as error:
        raise _foreign_bundle(bundle, f"its {MANIFEST} is not consistent: {error}") from None


def _foreign_bundle(bundle: Path, why: str) -> RunError:
    return RunError(f"{bundle}: Tickdeck did not make this bundle: {why}; ask for another copy")
