"""Removes runs permanently."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.tape.lock import WriterLock, writer_of
from tickdeck.infrastructure.tape.opening import tape_path

__all__ = ["remove_runs"]


def remove_runs(folders: Sequence[Path]) -> None:
    """Remove the folders of runs with everything in them.

    Each tape is locked first, so that no process can write it meanwhile. Raises ``RunError`` before anything is removed
    if a run is running. Also raises it if a folder cannot be removed.
    """
    with contextlib.ExitStack() as locks:
        for folder in folders:
            tape = tape_path(folder)
            try:
                locks.callback(WriterLock(tape).release)
            except TapeError as error:
                writer = writer_of(tape)
                if writer is None:
                    raise RunError(f"run {folder.name} cannot be removed: {error}") from None
                raise RunError(f"run {folder.name} is running, in process {writer}; stop it first") from None
        for folder in folders:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                why = f"{error.filename}: {error.strerror}"
                raise RunError(f"run {folder.name} is not removed completely: {why}; remove the rest by hand") from None
