"""Temporary folders next to a file that is being created. They are cleaned up later even after a ``SIGKILL``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["temporary_folder"]

_PREFIX = ".tickdeck-"
_LOCK = "lock"
_YOUNG_S = 3_600


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder in ``folder``, and removes it after the block.

    A killed process leaves its temporary folder behind, but loses its lock. So each call first removes the unlocked
    ones in ``folder``. Raises ``OSError`` if ``folder`` cannot be written.
    """
    _remove_stale(folder)
    place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    lock = -1
    try:
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks: leftovers stay
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _remove_stale(folder: Path) -> None:
    for place in folder.glob(f"{_PREFIX}*/"):
        with contextlib.suppress(OSError):  # it belongs to another user, or another process is removing it
            if _is_stale(place):
                shutil.rmtree(place, ignore_errors=True)


def _is_stale(place: Path) -> bool:
    try:
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # its owner has just created it, or was killed then
        return time.time() - place.stat().st_mtime > _YOUNG_S
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
