"""Copies the folder of a run, even while the run works."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.frames import FOLDER, copy_frames
from tickdeck.infrastructure.fresh_file import fresh_file
from tickdeck.infrastructure.runs.folder import MANIFEST, TRADES, read_manifest
from tickdeck.infrastructure.tape.opening import IN_A_RUN, tape_path
from tickdeck.infrastructure.tape.sync import sync
from tickdeck.infrastructure.tape.tools import copy_tape

__all__ = ["RunBackup", "backup_run"]

_OF_THIS_MACHINE = (".lock", ".part", "-shm", "-wal")


class RunBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a run's folder. Its tape was read from the first to the last event and is intact, and so are its
    ``frames``, the recorded messages of a live run. ``digest`` is as in ``TapeBackup``. ``bytes`` counts all files.
    """

    run: str
    out: str
    form: str
    events: int
    last_seq: int
    digest: str | None
    frames: int
    bytes: int


def backup_run(folder: Path, out: Path) -> RunBackup:
    """Copy the run in ``folder`` to the new folder ``out``, which appears complete or not at all. It can be verified,
    listed and resumed like the run. Input files stay where they are.

    Files that refer to events are copied before the tape, and frames after it: the copy has every frame that its events
    come from, as after a kill.

    Raises ``ConfigError`` if ``out`` exists or cannot be created, ``TapeError`` if the run or the copy is damaged.
    """
    manifest = read_manifest(folder)
    tape = tape_path(folder)
    if not tape.exists():
        raise TapeError(f"run {folder.name} has no tape; there is nothing to back up")
    with fresh_file(out, mend="name another place") as place:
        place.mkdir(mode=0o700)
        _copy_rest(folder, place)
        copied = copy_tape(tape, place / tape.name)
        frames = copy_frames(folder / FOLDER, place / FOLDER) if (folder / FOLDER).is_dir() else 0
        shutil.copyfile(folder / MANIFEST, place / MANIFEST)  # last: without it the folder is not a run
        (place / MANIFEST).chmod(0o600)
        sync(place / MANIFEST)
        sync(place)
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    sync(out.absolute().parent)
    return RunBackup(
        run=manifest.run_id,
        out=str(out),
        form=copied.form,
        events=copied.events,
        last_seq=copied.last_seq,
        digest=copied.digest,
        frames=frames,
        bytes=size,
    )


def _copy_rest(folder: Path, out: Path) -> None:
    """Everything except the tape, the frames, the manifest, the file of trades, which may be half written and is made
    again, and what belongs to this machine alone."""
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        elsewhere = inner.parts[0] in (FOLDER, MANIFEST, *IN_A_RUN.values())
        if elsewhere or inner.parts[0].startswith(TRADES) or file.name.endswith(_OF_THIS_MACHINE):
            continue
        if file.is_dir():
            (out / inner).mkdir(exist_ok=True)
        elif file.is_file():
            try:
                shutil.copy2(file, out / inner)  # with its mode: secrets are for the user only
            except FileNotFoundError:
                continue  # replaced or removed meanwhile
            sync(out / inner)
