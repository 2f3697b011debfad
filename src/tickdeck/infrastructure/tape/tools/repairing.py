"""Repairs a tape without touching committed data: cuts off a torn tail and rebuilds indexes."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl import (
    JsonlTape,
    TapeDamaged,
    list_segments,
    load_index,
    scan_segment,
    store_index,
)
from tickdeck.infrastructure.tape.lock import WriterLock
from tickdeck.infrastructure.tape.opening import form_of
from tickdeck.infrastructure.tape.sqlite import SqliteTape, SqliteTapeReader, open_for_writing
from tickdeck.infrastructure.tape.tools.checking import Problem, check_tape, integrity_faults, is_index_fault

__all__ = ["RepairReport", "repair_tape"]


class RepairReport(msgspec.Struct, kw_only=True):
    """``done``: what was repaired (or would be, with ``dry_run``). ``problems``: what remains and needs a copy; ``ok``
    if nothing does.
    """

    tape: str
    form: str
    dry_run: bool
    ok: bool
    done: list[Problem]
    problems: list[Problem]


def repair_tape(path: Path, *, dry_run: bool = False) -> RepairReport:
    """Repair what can be repaired. Raises ``TapeError`` if there is no tape or it has a writer."""
    found = check_tape(path).problems
    if dry_run:
        left = [problem for problem in found if not problem.repairable]
    else:
        if form_of(path) == "jsonl":
            _repair_jsonl(path)
        else:
            _repair_sqlite(path)
        left = check_tape(path).problems
    return RepairReport(
        tape=str(path),
        form=form_of(path),
        dry_run=dry_run,
        ok=not left,
        done=[problem for problem in found if problem not in left],
        problems=left,
    )


def _repair_jsonl(path: Path) -> None:
    lock = WriterLock(path)
    try:
        segments = []
        with contextlib.suppress(TapeDamaged):  # the check below reports it
            segments = list_segments(path)
        for segment in segments:
            with contextlib.suppress(TapeDamaged):
                index = scan_segment(segment, is_last=segment is segments[-1])
                if load_index(segment) != index:
                    store_index(segment.path, index)
    except OSError as error:
        raise tape_error(path, "repair the tape", error) from error
    finally:
        lock.release()
    with contextlib.suppress(TapeDamaged):
        JsonlTape(path).close()  # a writer first cuts off a torn tail


def _repair_sqlite(path: Path) -> None:
    lock = WriterLock(path)
    try:
        faults: list[str] = []
        with SqliteTapeReader(path) as reader, contextlib.suppress(TapeError):  # the check below reports it
            faults = integrity_faults(reader)
        if any(map(is_index_fault, faults)):
            with contextlib.closing(open_for_writing(path)) as connection:
                connection.execute("REINDEX")
    except sqlite3.Error as error:
        raise tape_error(path, "repair the tape", error) from error
    finally:
        lock.release()
    with contextlib.suppress(TapeError):  # the check below reports it
        SqliteTape(path).close()  # moves what a killed writer left in the log to the main file
