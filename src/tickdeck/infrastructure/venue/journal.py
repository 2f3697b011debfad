"""The venue's own log: every command that changed the exchange, so that the venue survives its own ``kill -9``.

One JSON line per command, with a checksum. A line is written before a client gets an answer. The operating system keeps
written lines when the process dies. What ``sync`` waited for also survives a power cut.
"""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tickdeck.errors import ConfigError, InputError, TickdeckError
from tickdeck.infrastructure.venue.commands import Command

__all__ = ["Journal"]

_Entry = tuple[int, Command]
_BEGINNING = re.compile(rb"\x00*|[0-9a-f]{1,8}|[0-9a-f]{8} (\[.*)?", re.DOTALL)
"""What a journal may consist of if its first line was never finished; zeros are a write that was lost."""


class Journal:
    """The log in ``path``, which is created if it does not exist.

    Raises ``ConfigError`` if another venue has the file open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failed = False  # then memory is ahead of the file, and nothing more is acknowledged
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; name another file for the journal") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise ConfigError(f"{path}: another venue has this journal open; stop it, or name another file") from None
        self._encoder = msgspec.json.Encoder(decimal_format="string")

    def append(self, at: int, command: Command) -> None:
        """Write a command that was applied at ``at`` (ns UTC). Raises ``TickdeckError`` if that fails, and from then
        on.
        """
        body = self._encoder.encode((at, command))
        line = memoryview(b"%08x %b\n" % (zlib.crc32(body), body))
        if self._failed:
            raise TickdeckError(f"{self.path}: the journal could not be written before; start the venue again")
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            self._failed = True
            raise TickdeckError(f"{self.path}: cannot write the journal: {error.strerror}") from error

    def sync(self) -> None:
        """Return when everything that was appended is on disk. Raises ``TickdeckError``."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            self._failed = True
            raise TickdeckError(f"{self.path}: cannot write the journal: {error.strerror}") from error

    def size(self) -> int:
        """The length in bytes."""
        return os.fstat(self._file).st_size

    def mark(self, offset: int) -> int:
        """A checksum of the end of the first ``offset`` bytes. It distinguishes one journal from another."""
        start = max(0, offset - 4_096)
        return zlib.crc32(os.pread(self._file, offset - start, start))

    def read(self, offset: int = 0) -> Iterator[_Entry]:
        """The commands from ``offset`` (bytes) on, oldest first. An incomplete last line is cut off, because its
        command was never acknowledged.

        Raises ``InputError`` if an earlier line is damaged, or if the file is not a journal: it is left as it is.
        """
        decoder = msgspec.json.Decoder(_Entry)
        whole, number = offset, 0
        with self.path.open("rb") as file:
            file.seek(offset)
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    if not whole and not _BEGINNING.fullmatch(line):
                        raise InputError(f"{self.path}: this is not a journal of a venue; name another file")
                    break
                body = line[9:-1]
                try:
                    if int(line[:8], 16) != zlib.crc32(body):
                        raise ValueError("its checksum is wrong")
                    entry = decoder.decode(body)
                except (ValueError, msgspec.MsgspecError) as error:
                    where = f"{self.path}: at byte {whole}" if offset else f"{self.path}:{number}"
                    raise InputError(
                        f"{where}: the journal is damaged: {error}; move the file away to start from scratch"
                    ) from None
                yield entry
                whole += len(line)
        if whole != self.path.stat().st_size:
            os.ftruncate(self._file, whole)

    def close(self) -> None:
        """Close the file, so that another venue may open it."""
        os.close(self._file)
