"""Writes files to the disk, not only to the operating system's cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tickdeck.errors import TapeError

__all__ = ["replace_file", "replacing", "sync", "sync_content", "write_at"]


def sync(path: Path) -> None:
    """Sync a file's content, or the names in a folder, to the disk. Raises ``TapeError`` if that fails."""
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            if sys.platform == "darwin":  # on systems where fsync leaves the data in the drive's cache
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            else:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise TapeError(f"{path}: cannot sync it: {error.strerror}; check its permissions and the disk") from error


def sync_content(fd: int) -> None:
    """Sync an open file's bytes and length to the disk, but not its times. Raises ``OSError``."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def write_at(fd: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of ``data``, even if the system accepts it in parts. Raises ``OSError``."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, data[written:], offset + written)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[int]:
    """Yields an open file with ``mode``, which replaces ``path`` at the end of the block and is removed if the block
    raises. Raises ``OSError``."""
    part = path.with_name(path.name + ".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        try:
            yield fd
        finally:
            os.close(fd)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk needs the space
            part.unlink()
        raise


def replace_file(path: Path, data: bytes, *, durable: bool, mode: int = 0o644) -> None:
    """Replace a file's content with ``data`` atomically: readers see the old or the new content. With ``durable``, so
    does a crash. Raises ``OSError``."""
    with replacing(path, mode=mode) as fd:
        write_at(fd, data, 0)
        if durable:
            sync_content(fd)
    if durable:
        sync(path.parent)
