"""Copies a tape while a process may be writing it, and checks the copy.

What refers to events (snapshots, the cursors of async handlers) is copied before the events, so the copy never refers
to events that it lacks.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import msgspec

from tickdeck.errors import ConfigError, TapeError
from tickdeck.infrastructure.fresh_file import fresh_file
from tickdeck.infrastructure.tape.cursors import cursor_path
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl.segment_index import current_index, index_path
from tickdeck.infrastructure.tape.jsonl.segments import SegmentFile, list_segments
from tickdeck.infrastructure.tape.opening import form_of, is_tape
from tickdeck.infrastructure.tape.sqlite.schema import open_for_reading
from tickdeck.infrastructure.tape.sync import replace_file, sync
from tickdeck.infrastructure.tape.tools.checking import check_tape

__all__ = ["TapeBackup", "backup_tape", "copy_tape"]

_CHUNK = 1 << 20
_LOCK = "writer.lock"


class TapeBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a tape that was read from its first to its last event and is intact. ``digest`` is that of its events;
    ``None`` if the tape has none, because an older version started it.
    """

    tape: str
    out: str
    form: str
    events: int
    last_seq: int
    digest: str | None
    bytes: int


def backup_tape(path: Path, out: Path) -> TapeBackup:
    """Copy the tape ``path`` to the new file or folder ``out``, which appears complete or not at all.

    Raises ``ConfigError`` if ``out`` exists or cannot be created, ``TapeError`` if the tape or the copy is damaged.
    """
    if not is_tape(path):
        raise TapeError(f"{path}: there is no tape here; check the path")
    if form_of(path) == "sqlite" and out.suffix != ".db":
        raise ConfigError(f"{out}: the name of a tape on SQLite ends in .db; name it {out.name}.db")
    with fresh_file(out, mend="name another place") as place:
        cursors = _read_if_there(cursor_path(path))
        done = copy_tape(path, place)
        if cursors is not None and done.form == "sqlite":
            # In its final place before the tape: without it, async handlers would miss what they have not handled.
            replace_file(out.with_name(cursor_path(place).name), cursors, durable=True)
    sync(out.absolute().parent)
    return msgspec.structs.replace(done, out=str(out))


def copy_tape(path: Path, out: Path) -> TapeBackup:
    """Copy the tape ``path`` to ``out``, up to a commit that was made before this returns. Sync and check the copy.

    Raises ``TapeError`` if the tape or the copy is damaged.
    """
    form = form_of(path)
    try:
        if form == "sqlite":
            _copy_sqlite(path, out)
        else:
            _copy_jsonl(path, out)
    except sqlite3.Error as error:
        raise tape_error(path, "copy the tape", error) from error
    except FileNotFoundError as error:
        raise TapeError(f"{error.filename}: removed while the tape was copied; copy it again") from None
    report = check_tape(out)
    damage = [problem for problem in report.problems if not problem.repairable]
    if damage:
        raise TapeError(
            f"the copy is not sound: {damage[0].where}: {damage[0].what}; `tickdeck tape check` shows whether the tape "
            "itself is"
        )
    return TapeBackup(
        tape=str(path),
        out=str(out),
        form=form,
        events=report.events,
        last_seq=report.last_seq,
        digest=report.digest,
        bytes=sum(file.stat().st_size for file in ([out] if out.is_file() else out.rglob("*")) if file.is_file()),
    )


def _copy_sqlite(path: Path, out: Path) -> None:
    """With SQLite's own backup, which takes what is still in the log. One step: it reads one state of the tape, and the
    writer goes on."""
    with contextlib.closing(open_for_reading(path)) as source, contextlib.closing(sqlite3.connect(out)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, also for readers; a writer turns its log on again
    sync(out)
    sync(out.parent)


def _copy_jsonl(path: Path, out: Path) -> None:
    out.mkdir()
    for file in sorted(path.rglob("*")):
        to = out / file.relative_to(path)
        if file.is_dir():
            to.mkdir(exist_ok=True)
        elif file.suffix not in (".part", ".index", ".jsonl") and file.name != _LOCK:
            copied = _read_if_there(file)
            if copied is not None:  # replaced or removed meanwhile
                replace_file(to, copied, durable=True)
    found = list_segments(path)
    for segment in found:
        _copy_segment(segment, out, is_last=segment is found[-1])
    sync(out)


def _copy_segment(segment: SegmentFile, out: Path, *, is_last: bool) -> None:
    """Copy it up to its last complete commit."""
    end = current_index(segment, is_last=is_last).end
    with segment.path.open("rb") as file, (out / segment.path.name).open("xb") as copy:
        while end and (data := file.read(min(end, _CHUNK))):
            copy.write(data)
            end -= len(data)
    sync(out / segment.path.name)
    if not is_last:
        with contextlib.suppress(FileNotFoundError):  # it is rebuilt
            shutil.copyfile(index_path(segment.path), index_path(out / segment.path.name))


def _read_if_there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
