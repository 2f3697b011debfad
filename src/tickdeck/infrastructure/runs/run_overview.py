"""A summary of a run, from its manifest and the start and end of its tape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tickdeck.application.ports import TapeQuery, TapeReader
from tickdeck.domain.events import OrderEvent
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import RunError
from tickdeck.infrastructure.runs.ending import RunFigures, read_end
from tickdeck.infrastructure.runs.folder import read_manifest
from tickdeck.infrastructure.tape.jsonl import is_jsonl_tape
from tickdeck.infrastructure.tape.lock import writer_of
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["RunOverview", "overview"]


class RunOverview(msgspec.Struct, frozen=True, kw_only=True):
    """``status``: ``running`` (a process writes it), ``completed``, ``interrupted`` (it can be resumed) or ``empty``.

    ``parameters``: those of its strategies, by id. ``figures``: at its end, ``None`` for a run that is running or was
    killed. ``in_doubt``: the ids of a live run's orders that are ``unknown`` on its tape. ``inputs`` and ``events``
    count up to the tape's last event, including those of input files. ``tape``: its absolute path.

    ``overview`` asks no other process. Who asks a running run puts its current figures and parameters here, and in
    ``halted`` why its trading is halted.
    """

    run: str
    created_at: str
    status: str
    strategies: tuple[str, ...]
    parameters: dict[str, dict[str, Any]]
    symbols: tuple[str, ...]
    inputs: int
    events: int
    in_doubt: tuple[str, ...]
    figures: RunFigures | None
    halted: str | None = None
    tape: str


def overview(folder: Path) -> RunOverview:
    """Raises ``RunError`` if the manifest cannot be read, ``TapeError`` if the tape cannot."""
    manifest = read_manifest(folder)
    path = tape_path(folder)
    inputs = events = last_seq = 0
    in_doubt: tuple[str, ...] = ()
    status = "empty"
    if is_jsonl_tape(path) or (path.is_file() and path.stat().st_size):
        with open_reader(path) as tape:
            events = last_seq = tape.last_seq
            for last in tape.read(TapeQuery(first_seq=last_seq)):
                inputs = int(
                    last.event_id.partition("-")[0]
                )  # a derived event's id begins with the number of its input
                status = "interrupted"
            for _ in tape.read(TapeQuery(types=("run.stopped",), limit=1)):
                status = "completed"
            after = _end_of(folder, events) - events  # all inputs: what follows from them would be on the tape
            inputs, events = inputs + after, events + after
            if manifest.is_live:
                in_doubt = _in_doubt(tape)
    if writer_of(path) is not None:
        status = "running"
    return RunOverview(
        run=manifest.run_id,
        created_at=manifest.created_at,
        status=status,
        strategies=tuple(record.strategy_id for record in manifest.strategies),
        parameters={record.strategy_id: record.parameters for record in manifest.strategies},
        symbols=manifest.symbols,
        inputs=inputs,
        events=events,
        in_doubt=in_doubt,
        figures=_figures(folder, last_seq) if status in ("completed", "interrupted") else None,
        tape=str(path.resolve()),
    )


def _in_doubt(tape: TapeReader) -> tuple[str, ...]:
    found: list[str] = []
    for stream in dict.fromkeys(event.stream for event in tape.read(TapeQuery(types=("order.unknown",)))):
        last = None
        for event in tape.read(TapeQuery(types=(OrderEvent,), stream=stream)):
            if isinstance(event, OrderEvent) and event.status is not None:
                last = event
        if last is not None and last.status is OrderStatus.UNKNOWN:
            found.append(last.order_id)
    return tuple(found)


def _end_of(folder: Path, last_seq: int) -> int:
    try:
        end = read_end(folder)
    except RunError:
        return last_seq  # as below
    return end.end_of(last_seq) if end is not None else last_seq


def _figures(folder: Path, last_seq: int) -> RunFigures | None:
    try:
        end = read_end(folder)
    except RunError:
        return None  # not an error in a list of runs; `verify` reports the damaged file
    return end.figures_at(last_seq) if end is not None else None
