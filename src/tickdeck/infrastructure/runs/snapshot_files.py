"""Snapshots as files of a run's folder, each with a digest in its first line."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tickdeck.errors import RunError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["SnapshotFiles"]


class SnapshotFiles:
    """The newest ``kept`` snapshots in ``folder``, by the ``seq`` of the event after which they were taken. They
    survive a crash of the process; one that is damaged by a power cut is not read."""

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder, self._kept = folder, kept

    def write(self, seq: int, content: bytes) -> None:
        """Add a snapshot, and remove old ones. Raises ``RunError``."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(seq), _digest(content) + b"\n" + content, durable=False, mode=0o600)
            for old in self.seqs()[self._kept :]:
                self.remove(old)
        except OSError as error:
            raise RunError(f"{self._folder}: a snapshot cannot be written: {error.strerror}; check the disk") from None

    def read(self, seq: int) -> bytes:
        """The content of a snapshot. Raises ``OSError``, and ``ValueError`` if it is damaged."""
        digest, _, content = self._path(seq).read_bytes().partition(b"\n")
        if digest != _digest(content):
            raise ValueError("it is damaged")
        return content

    def remove(self, seq: int) -> None:
        """Remove a snapshot, if it is still there. Raises ``OSError``."""
        self._path(seq).unlink(missing_ok=True)

    def seqs(self) -> list[int]:
        """The newest first."""
        return sorted((int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal()), reverse=True)

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq}.json"


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
