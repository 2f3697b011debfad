"""Snapshots of a whole run, as files in its folder, from which it is resumed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.errors import RunError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["CoreState", "CoreStates"]

_FOLDER = "states"
_FORMAT = 1
_KEPT = 2


class CoreState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run after the event ``seq``. The last event on its tape was then ``tape_seq`` (0: none), with the
    digest ``tape_event``. ``code``: the digest of the code that can restore it."""

    format: int = _FORMAT
    seq: int
    tape_seq: int
    tape_event: str
    code: str
    state: dict[str, Any]


class CoreStates:
    """The newest two snapshots in the ``folder`` of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def write(self, state: CoreState) -> None:
        """Add a snapshot, and remove old ones. Raises ``RunError``."""
        content = msgspec.json.encode(state)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(state.seq), _digest(content) + b"\n" + content, durable=False, mode=0o600)
            for old in self._seqs()[_KEPT:]:
                self._path(old).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self._folder}: a snapshot cannot be written: {error.strerror}; check the disk") from None

    def newest_first(self) -> Iterator[tuple[int, CoreState | str]]:
        """Each snapshot with its ``seq``, or why it cannot be read."""
        for seq in self._seqs():
            try:
                digest, _, content = self._path(seq).read_bytes().partition(b"\n")
                if digest != _digest(content):
                    raise ValueError("it is damaged")
                state = msgspec.json.decode(content, type=CoreState)
                if state.format != _FORMAT:
                    raise ValueError(f"it has format {state.format}, and this version reads {_FORMAT}")
                yield seq, state
            except (OSError, ValueError) as error:
                yield seq, str(error)

    def forget(self, seq: int) -> None:
        """Remove the snapshot at ``seq``, if it is still there."""
        with contextlib.suppress(OSError):
            self._path(seq).unlink(missing_ok=True)

    def _seqs(self) -> list[int]:
        """The newest first."""
        return sorted((int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal()), reverse=True)

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq}.json"


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
