"""One writer per tape: a lock that the operating system releases when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from tickdeck.errors import TapeError

__all__ = ["WriterLock", "writer_of"]


class WriterLock:
    """Held from creation until ``release``. Its file stays next to the tape or in the tape's folder, and names the
    process that holds or last held the lock.

    Raises ``TapeError`` if another writer, in this process or another, holds it.
    """

    def __init__(self, path: Path) -> None:
        lock = _lock_of(path)
        try:
            self._fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise TapeError(
                f"{path}: cannot open the tape for writing: {error.strerror} ({lock.name}); check the folder"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise TapeError(
                f"{path}: process {holder or '(unknown)'} is writing this tape; stop it first, or read the tape instead"
            ) from None
        except OSError as error:
            os.close(self._fd)
            raise TapeError(f"{path}: cannot lock the tape: {error.strerror}; put the data on a local disk") from error

    def release(self) -> None:
        """Release the lock. You may call this twice: after the first call, its descriptor's number may belong to
        another file.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


def writer_of(path: Path) -> int | None:
    """The id of the process that is writing the tape ``path``, ``None`` if there is none."""
    try:
        with _lock_of(path).open("rb") as lock:
            process = int(lock.read(32))
            with contextlib.suppress(PermissionError):  # it runs, as another user
                os.kill(process, 0)
            # The number alone is not enough, because it may be reused. The lock decides.
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return process
    except (OSError, ValueError):
        return None
    return None


def _lock_of(path: Path) -> Path:
    return path / "writer.lock" if path.is_dir() else path.with_name(path.name + ".lock")
