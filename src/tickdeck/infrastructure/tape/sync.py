"""Putting files on the disk, as opposed to into the operating system's cache."""

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
    """Put a file's content, or the names in a folder, on the disk. Raises ``TapeError`` where that fails."""
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            if sys.platform == "darwin":  # where fsync leaves the data in the drive's cache
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            else:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise TapeError(f"{path}: cannot sync it: {error.strerror}; look at its permissions and the disk") from error


def sync_content(fd: int) -> None:
    """Put an open file's bytes and its length on the disk, not its times. Raises ``OSError``."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def write_at(fd: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of ``data``, which the system may take in parts. Raises ``OSError``."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, data[written:], offset + written)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[int]:
    """An open file with ``mode`` that takes the place of ``path`` at the end of the block, and is removed if the block
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
        with contextlib.suppress(OSError):  # a disk that is full needs the room
            part.unlink()
        raise


def replace_file(path: Path, data: bytes, *, durable: bool, mode: int = 0o644) -> None:
    """Put ``data`` in the place of a file's content: whoever reads sees the one or the other, and so does a crash where
    ``durable``. Raises ``OSError``."""
    with replacing(path, mode=mode) as fd:
        write_at(fd, data, 0)
        if durable:
            sync_content(fd)
    if durable:
        sync(path.parent)
