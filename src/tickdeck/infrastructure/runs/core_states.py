"""Snapshots of a whole run, as files in its folder, from which it is resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.infrastructure.runs.snapshot_files import SnapshotFiles

__all__ = ["CoreState", "CoreStates"]

_FOLDER = "states"
_FORMAT = 2
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
        self._files = SnapshotFiles(folder / _FOLDER, _KEPT)

    def write(self, state: CoreState) -> None:
        """Add a snapshot, and remove old ones. Raises ``RunError``."""
        self._files.write(state.seq, msgspec.json.encode(state))

    def newest_first(self) -> Iterator[tuple[int, CoreState | str]]:
        """Each snapshot with its ``seq``, or why it cannot be read."""
        for seq in self._files.seqs():
            try:
                state = msgspec.json.decode(self._files.read(seq), type=CoreState)
                if state.format != _FORMAT:
                    raise ValueError(f"it has format {state.format}, and this version reads {_FORMAT}")
                yield seq, state
            except OSError as error:
                yield seq, f"it cannot be read: {error.strerror}"
            except ValueError as error:
                yield seq, str(error)

    def forget(self, seq: int) -> None:
        """Remove the snapshot at ``seq``, if it is still there."""
        with contextlib.suppress(OSError):
            self._files.remove(seq)
