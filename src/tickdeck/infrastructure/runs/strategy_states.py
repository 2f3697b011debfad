"""Snapshots of the strategies of a run, as files in its folder, until other code needs them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tickdeck.errors import RunError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["StrategyStates"]

_FOLDER = "snapshots"
_KEPT = 3
"""The newest may be ahead of the tape when a process is killed."""


class StrategyStates:
    """The newest snapshots in the ``folder`` of a run, by the ``seq`` of the event after which they were taken. Each
    has a text for each strategy, by id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def write(self, seq: int, states: Mapping[str, str]) -> None:
        """Add a snapshot, and remove old ones. It survives a crash of the process; one that is damaged by a power cut
        is not read. Raises ``RunError``."""
        content = msgspec.json.encode(states)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(seq), _digest(content) + b"\n" + content, durable=False, mode=0o600)
            for old in self._seqs()[_KEPT:]:
                self._path(old).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self._folder}: a snapshot cannot be written: {error.strerror}; check the disk") from None

    def newest(self) -> dict[str, str]:
        """The newest snapshot that is not damaged; empty if there is none."""
        for seq in self._seqs():
            digest, _, content = self._path(seq).read_bytes().partition(b"\n")
            if digest == _digest(content):
                return msgspec.json.decode(content, type=dict[str, str])
        return {}

    def forget_after(self, seq: int) -> None:
        """Remove the snapshots of events after ``seq``, which a killed process did not bring to its tape."""
        for found in self._seqs():
            if found > seq:
                self._path(found).unlink(missing_ok=True)

    def _seqs(self) -> list[int]:
        """The newest first."""
        return sorted((int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal()), reverse=True)

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq}.json"


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
