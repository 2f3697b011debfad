"""What to tell people when a tape cannot be opened, read or written: which one, what for, why, what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from tickdeck.errors import TapeError, TapeVersionError

__all__ = ["tape_error"]

_FULL = "the disk is full: make room, then resume"
_DISK = "the disk refused: look at its health and free space, then resume"
_FORBIDDEN = "the file or its folder may not be written: mend its permissions"

_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a copy",
    sqlite3.SQLITE_NOTADB: "the file is no tape, or damaged",
    sqlite3.SQLITE_BUSY: "another process holds it: close the tool that writes to it",
    sqlite3.SQLITE_CANTOPEN: "look at the folder's existence and permissions",
}
_OS_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EIO: _DISK,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
    errno.ENOENT: "look at the path",
}


def tape_error(path: Path, doing: str, error: Exception) -> TapeError:
    """One clear line for what SQLite or the operating system said."""
    if isinstance(error, TapeError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the extended code's low byte is the primary one
    kind = TapeVersionError if code == sqlite3.SQLITE_NOTADB else TapeError
    hint, text = _SQLITE_HINTS.get(code), str(error)
    if isinstance(error, OSError):
        hint, text = _OS_HINTS.get(error.errno or 0), error.strerror or text
    return kind(f"{path}: cannot {doing}: {text}" + (f" ({hint})" if hint else ""))
