"""A summary of a run, from its manifest and the start and end of its tape."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tickdeck.application.ports import TapeQuery
from tickdeck.infrastructure.runs.folder import read_manifest
from tickdeck.infrastructure.tape.jsonl import is_jsonl_tape
from tickdeck.infrastructure.tape.lock import writer_of
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["RunOverview", "overview"]


class RunOverview(msgspec.Struct, frozen=True, kw_only=True):
    """``status``: ``running`` (a process writes it), ``completed``, ``interrupted`` (it can be resumed) or ``empty``.

    ``inputs`` and ``events`` count up to the tape's last event, including those of input files. ``tape``: its absolute
    path.
    """

    run: str
    created_at: str
    status: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    inputs: int
    events: int
    tape: str


def overview(folder: Path) -> RunOverview:
    """Raises ``RunError`` if the manifest cannot be read, ``TapeError`` if the tape cannot."""
    manifest = read_manifest(folder)
    path = tape_path(folder)
    inputs = events = 0
    status = "empty"
    if is_jsonl_tape(path) or (path.is_file() and path.stat().st_size):
        with open_reader(path) as tape:
            events = tape.last_seq
            for last in tape.read(TapeQuery(first_seq=events)):
                inputs = int(
                    last.event_id.partition("-")[0]
                )  # a derived event's id begins with the number of its input
                status = "interrupted"
            for _ in tape.read(TapeQuery(types=("run.stopped",), limit=1)):
                status = "completed"
    if writer_of(path) is not None:
        status = "running"
    return RunOverview(
        run=manifest.run_id,
        created_at=manifest.created_at,
        status=status,
        strategies=tuple(record.strategy_id for record in manifest.strategies),
        symbols=manifest.symbols,
        inputs=inputs,
        events=events,
        tape=str(path.resolve()),
    )
