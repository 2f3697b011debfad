"""Packs a run into a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import msgspec

from tickdeck.application.parameters import Parametrised
from tickdeck.application.strategies import BUILT_IN
from tickdeck.errors import RunError
from tickdeck.infrastructure.bundles.layout import (
    CONTENTS,
    MODULES,
    RUN,
    Contents,
    InputFile,
    Member,
    safe_name,
    with_places,
)
from tickdeck.infrastructure.bundles.secrets import without_secrets
from tickdeck.infrastructure.frame_segments import FOLDER, read_gone
from tickdeck.infrastructure.fresh_file import fresh_file
from tickdeck.infrastructure.runs import InputRecord, Manifest, StrategyRecord, overview, read_manifest
from tickdeck.infrastructure.runs.folder import MANIFEST
from tickdeck.infrastructure.runs.secrets import read_secrets
from tickdeck.infrastructure.strategies import load_signal_class, load_strategy_class, source_digest, source_files
from tickdeck.infrastructure.version import full_version

__all__ = ["Bundled", "pack"]

_OF_A_RUN = ("tape.db", "tape.db-wal", "tape/**/*", f"{FOLDER}/*", "code/**/*", "end.json", "log.jsonl")
"""The files of a run's folder that belong in a bundle, besides the manifest and archived market data. They are listed
one by one, because other files, such as a socket or a lock, belong to this machine."""
_NOT = (".lock", "-shm")
_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can store
_PACKED = (".gz", ".zst", ".parquet", ".zip")


class Bundled(msgspec.Struct, frozen=True, kw_only=True):
    """The result of packing: the ``run``, the file ``out`` and its size, the number of files, the unpacked size of
    the input files, what was redacted, and notes for the person who verifies."""

    run: str
    out: str
    bytes: int
    files: int
    input_bytes: int
    redacted: tuple[str, ...]
    notes: tuple[str, ...]


def pack(folder: Path, out: Path, *, inputs: bool = True) -> Bundled:
    """Write the run in ``folder`` to a new file ``out``. The same run always gives the same bytes.

    ``inputs=False`` leaves the input files out; the person who verifies must have them.

    Raises ``RunError`` if the run is still being written, or if a file that belongs in the bundle is missing or has
    changed since the run. Raises ``ConfigError`` if ``out`` exists or cannot be created.
    """
    manifest = read_manifest(folder)
    if overview(folder).status == "running":
        raise RunError(f"run {manifest.run_id} is running; stop it first, or bundle it when it has ended")
    with fresh_file(out) as place:
        with _Archive(place) as archive:
            for path in _files_of(folder):
                archive.add(f"{RUN}/{path.relative_to(folder).as_posix()}", path)
            for segment in read_gone(folder / FOLDER):
                if segment.place is not None and segment.is_within_reach:  # otherwise the proof reports what is missing
                    archive.add(f"{RUN}/{FOLDER}/{segment.name}", Path(segment.place))
            before = archive.bytes
            files = [_input(archive, index, record, inputs) for index, record in enumerate(manifest.inputs)]
            input_bytes = archive.bytes - before
            notes: list[str] = []
            sources: list[tuple[Callable[[str], type[Parametrised]], StrategyRecord]] = [
                *((load_strategy_class, record) for record in manifest.strategies),
                *((load_signal_class, record) for record in manifest.signals),
            ]
            specs = [_source(archive, n, load, record, notes) for n, (load, record) in enumerate(sources)]
            taken = archive.add_manifest(with_places(manifest, [file.name or str(file.path) for file in files], specs))
            for owner, secret in read_secrets(folder).items():  # those that the manifest itself lacks
                kind, _, which = owner.partition(".")
                at = f"config.{kind}[{which}]" if which.isdigit() else f"config.{owner}"
                taken += [redacted for name in secret if (redacted := f"{at}.parameters.{name}") not in taken]
            if taken:
                once = dict.fromkeys(place.removeprefix("config.") for place in taken)
                notes.append(f"removed from the configuration as secrets: {', '.join(once)}")
            archive.add_contents(
                Contents(
                    run=manifest.run_id,
                    tickdeck=full_version(),
                    files=tuple(archive.members),
                    inputs=tuple(files),
                    redacted=tuple(taken),
                    notes=tuple(notes),
                )
            )
        size = place.stat().st_size
    return Bundled(
        run=manifest.run_id,
        out=str(out),
        bytes=size,
        files=len(archive.members),
        input_bytes=input_bytes,
        redacted=tuple(taken),
        notes=tuple(notes),
    )


def _files_of(folder: Path) -> Iterator[Path]:
    found = {path for pattern in _OF_A_RUN for path in folder.glob(pattern)}
    for path in sorted(found):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(_NOT) and path.stat().st_size:
            yield path


def _input(archive: _Archive, index: int, record: InputRecord, wanted: bool) -> InputFile:
    path = Path(record.path)
    if not wanted:
        return InputFile(name=None, path=record.path, sha256=record.sha256)
    if not path.exists():
        raise RunError(
            f"the run's input {path} is gone; restore it to that place, or bundle the run with --without-inputs"
        )
    name = f"inputs/{index}/{safe_name(path.name)}"
    if path.is_dir():
        for part in sorted(path.rglob("*")):
            if part.is_file() and not part.name.endswith(_NOT):
                archive.add(f"{name}/{part.relative_to(path).as_posix()}", part)
    else:
        digest = archive.add(name, path)
        if record.format != "tickdeck" and digest != record.sha256:
            raise RunError(
                f"the run's input {path} has changed; restore the file that the run read, "
                "or bundle the run with --without-inputs"
            )
        log = path.with_name(path.name + "-wal")  # left by a writer that was killed
        if log.is_file() and log.stat().st_size:
            archive.add(f"{name}-wal", log)
    return InputFile(name=name, path=None, sha256=record.sha256)


def _source(
    archive: _Archive,
    index: int,
    load: Callable[[str], type[Parametrised]],
    record: StrategyRecord,
    notes: list[str],
) -> str:
    """Add the source of a strategy or signal, and its own modules that it imports. Returns its spec in the
    archive: that of a file, or the unchanged spec for a module in a package."""
    if record.spec in BUILT_IN:
        return record.spec
    cls = load(record.spec)
    files = source_files(cls)
    if not files:
        raise RunError(f"the source of {cls.kind} {record.spec!r} is gone; restore it")
    if source_digest(cls) != record.sha256:
        notes.append(f"the source of {cls.kind} {record.strategy_id} had changed since the run when it was bundled")
    depth = cls.__module__.count(".")
    root, folder = files[0].parents[depth], MODULES if depth else f"strategies/{index}"
    around = (parent / "__init__.py" for parent in files[0].parents[:depth])
    for file in dict.fromkeys((*files, *(init for init in around if init.is_file()))):
        archive.add(f"{folder}/{file.relative_to(root).as_posix()}", file)
    return record.spec if depth else f"{folder}/{files[0].name}:{record.spec.rpartition(':')[2]}"


class _Archive:
    """A zip file with the same bytes for the same content: no times, no owners, files in the order in which they are
    added."""

    def __init__(self, path: Path) -> None:
        self._zip = ZipFile(path, "w")
        self.members: list[Member] = []
        self.bytes = 0

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, name: str, path: Path) -> str:
        """Add a file, once per name. Returns its SHA-256."""
        for member in self.members:
            if member.name == name:
                return member.sha256
        try:
            file: BinaryIO = path.open("rb")
        except OSError as error:
            raise RunError(
                f"{path}: {error.strerror}; the bundle needs this file, so correct its permissions"
            ) from None
        with file:
            digest = hashlib.sha256()
            size = 0
            packed = name.endswith(_PACKED)
            with self._zip.open(_entry(name, path.stat().st_size, packed), "w") as entry:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    entry.write(chunk)
        self.members.append(Member(name=name, bytes=size, sha256=digest.hexdigest()))
        self.bytes += size
        return digest.hexdigest()

    def add_manifest(self, manifest: Manifest) -> list[str]:
        """Add the manifest without its secrets. Returns what was removed."""
        fields, taken = without_secrets(msgspec.to_builtins(manifest))
        data = msgspec.json.format(msgspec.json.encode(fields), indent=2)
        self._zip.writestr(_entry(f"{RUN}/{MANIFEST}", len(data)), data)
        self.members.append(Member(name=f"{RUN}/{MANIFEST}", bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
        return taken

    def add_contents(self, contents: Contents) -> None:
        data = msgspec.json.format(msgspec.json.encode(contents), indent=2)
        self._zip.writestr(_entry(CONTENTS, len(data)), data)


def _entry(name: str, size: int, packed: bool = False) -> ZipInfo:
    entry = ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix, whatever it is made on
    entry.external_attr = 0o644 << 16
    entry.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
    entry.file_size = size  # so that zipfile knows whether it needs 64-bit sizes
    return entry
