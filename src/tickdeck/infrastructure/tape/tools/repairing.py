"""Mending a tape without touching what is committed: a torn tail is cut off, indexes are made anew."""

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
    """``done``: what was mended (with ``dry_run``: would be). ``problems``: what is left, since only a copy mends it;
    ``ok`` where nothing is."""

    tape: str
    form: str
    dry_run: bool
    ok: bool
    done: list[Problem]
    problems: list[Problem]


def repair_tape(path: Path, *, dry_run: bool = False) -> RepairReport:
    """Mend what can be mended. Raises ``TapeError`` where there is no tape or it has a writer."""
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
        with contextlib.suppress(TapeDamaged):  # which is told by the check that follows
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
        JsonlTape(path).close()  # whoever writes cuts a torn tail first


def _repair_sqlite(path: Path) -> None:
    lock = WriterLock(path)
    try:
        faults: list[str] = []
        with SqliteTapeReader(path) as reader, contextlib.suppress(TapeError):  # it is told by the check that follows
            faults = integrity_faults(reader)
        if any(map(is_index_fault, faults)):
            with contextlib.closing(open_for_writing(path)) as connection:
                connection.execute("REINDEX")
    except sqlite3.Error as error:
        raise tape_error(path, "repair the tape", error) from error
    finally:
        lock.release()
    with contextlib.suppress(TapeError):  # which is told by the check that follows
        SqliteTape(path).close()  # what a killed writer left in the log moves to the file
