"""Errors of tapes that cannot be opened, read or written: which tape, what failed, why, and what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from tickdeck.errors import TapeError, TapeVersionError

__all__ = ["tape_error"]

_FULL = "the disk is full: free some space, then resume"
_DISK = "the disk reports an error: check its health and free space, then resume"
_FORBIDDEN = "no permission to write the file or its folder: correct the permissions"

_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a copy",
    sqlite3.SQLITE_NOTADB: "the file is not a tape, or it is damaged",
    sqlite3.SQLITE_BUSY: "another process has locked it: close the tool that writes to it",
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists, and its permissions",
}
_OS_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EIO: _DISK,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
    errno.ENOENT: "check the path",
}


def tape_error(path: Path, doing: str, error: Exception) -> TapeError:
    """Turn an error of SQLite or the operating system into one clear line. ``doing`` completes "cannot ..."."""
    if isinstance(error, TapeError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte of an extended code is the primary code
    kind = TapeVersionError if code == sqlite3.SQLITE_NOTADB else TapeError
    hint, text = _SQLITE_HINTS.get(code), str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        text = "the process has no memory left"
    if isinstance(error, OSError):
        hint, text = _OS_HINTS.get(error.errno or 0), error.strerror or text
    return kind(f"{path}: cannot {doing}: {text}" + (f" ({hint})" if hint else ""))
