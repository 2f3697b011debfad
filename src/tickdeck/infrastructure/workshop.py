"""Temporary folders beside a file that is being made, which nothing outlives for long: not even a ``SIGKILL``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["workshop"]

_PREFIX = ".tickdeck-"
_LOCK = "lock"
_YOUNG_S = 3_600


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder in ``folder``, and removes it after the block.

    A process that is killed leaves its temporary folder behind, without the lock that it held on it. So each call first
    removes those in ``folder`` that nobody holds. Raises ``OSError`` when ``folder`` cannot be written.
    """
    _remove_stale(folder)
    place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    lock = -1
    try:
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks: what is left there stays
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _remove_stale(folder: Path) -> None:
    for place in folder.glob(f"{_PREFIX}*/"):
        with contextlib.suppress(OSError):  # another user's, or another process removes it
            if _is_stale(place):
                shutil.rmtree(place, ignore_errors=True)


def _is_stale(place: Path) -> bool:
    try:
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # its owner has just made it, or was killed then
        return time.time() - place.stat().st_mtime > _YOUNG_S
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
