"""Putting files on the disk, as opposed to into the operating system's cache."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from tickdeck.errors import TapeError

__all__ = ["sync"]


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
