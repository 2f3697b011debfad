"""Snapshots of the strategies of a run, as files in its folder, until other code needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tickdeck.infrastructure.runs.snapshot_files import SnapshotFiles

__all__ = ["StrategyStates"]

_FOLDER = "snapshots"
_KEPT = 3
"""The newest may be ahead of the tape when a process is killed."""


class StrategyStates:
    """The newest snapshots in the ``folder`` of a run, by the ``seq`` of the event after which they were taken. Each
    has a text for each strategy, by id."""

    def __init__(self, folder: Path) -> None:
        self._files = SnapshotFiles(folder / _FOLDER, _KEPT)

    def write(self, seq: int, states: Mapping[str, str]) -> None:
        """Add a snapshot, and remove old ones. Raises ``RunError``."""
        self._files.write(seq, msgspec.json.encode(states))

    def newest(self) -> dict[str, str]:
        """The newest snapshot that is not damaged; empty if there is none."""
        for seq in self._files.seqs():
            with contextlib.suppress(ValueError):
                return msgspec.json.decode(self._files.read(seq), type=dict[str, str])
        return {}

    def forget_after(self, seq: int) -> None:
        """Remove the snapshots of events after ``seq``, which a killed process did not bring to its tape."""
        for found in self._files.seqs():
            if found > seq:
                self._files.remove(found)
