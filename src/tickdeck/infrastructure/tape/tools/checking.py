"""Checks a tape: everything that can be verified from the tape alone. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tickdeck.application.wording import counted
from tickdeck.domain.events import DomainEvent, RawEvent, decode_payload
from tickdeck.errors import EventError, EventSchemaError, TapeError, TapeVersionError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl import (
    JsonlTapeReader,
    SegmentFile,
    SegmentIndex,
    index_path,
    is_jsonl_tape,
    list_segments,
    load_index,
    read_groups,
    read_snapshots,
    records_of,
    streams_in,
    tail_size,
    types_in,
)
from tickdeck.infrastructure.tape.lock import writer_of
from tickdeck.infrastructure.tape.moved_streams import MovedStreams
from tickdeck.infrastructure.tape.opening import AnyReader, form_of
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.sqlite import SqliteTapeReader
from tickdeck.infrastructure.tape.tools.integrity import read_integrity

__all__ = ["CheckReport", "Problem", "check_tape", "integrity_faults", "is_index_fault"]

_MOST = 100
"""How many problems to report; the rest are only counted."""


class Problem(msgspec.Struct, frozen=True):
    """``where``: a file, a line, bytes, a seq. ``repairable``: ``repair`` can correct it."""

    where: str
    what: str
    repairable: bool = False


class CheckReport(msgspec.Struct, kw_only=True):
    """``ok``: nothing was found. ``checked``: descriptions of the checks. ``problems``: the first hundred that can be
    repaired and the first hundred that cannot; ``found``: the total number. ``digest``: of all events as they are now;
    ``None`` if the tape has none, because an older version started it, or if it is too damaged to read. ``gone``:
    the recorded market data of the tape's run that was archived or dropped, in words; for the caller to fill.
    """

    tape: str
    form: str
    ok: bool = True
    events: int = 0
    last_seq: int = 0
    streams: int = 0
    segments: int = 0
    groups: int = 0
    snapshots: int = 0
    digest: str | None = None
    found: int = 0
    gone: str = ""
    checked: list[str] = []
    problems: list[Problem] = []

    def add(self, where: str, what: str, *, repairable: bool = False) -> None:
        self.ok = False
        self.found += 1
        # Counted separately: missing indexes of a hundred segments must not hide damage that cannot be repaired.
        if sum(problem.repairable == repairable for problem in self.problems) < _MOST:
            self.problems.append(Problem(where, what, repairable))


def check_tape(path: Path) -> CheckReport:
    """Check the whole tape. Raises ``TapeError`` if there is no tape, ``TapeVersionError`` if it has a newer version. A
    tape that is being written is checked up to its current end."""
    report = CheckReport(tape=str(path), form=form_of(path))
    if report.form == "jsonl":
        _check_jsonl(path, report)
    else:
        _check_sqlite(path, report)
    return report


# -- JSON Lines -----------------------------------------------------------------------------------------------------


def _check_jsonl(path: Path, report: CheckReport) -> None:
    if not is_jsonl_tape(path):
        raise TapeError(f"{path}: there is no tape here; check the path")
    events = _Events(report)
    indexes = 0
    try:
        segments = list_segments(path)
    except TapeVersionError:
        raise
    except TapeError as error:
        where, what = _where_and_what(error)
        report.add(where, f"{what}; without it, the rest of the tape could not be checked")
        events.has_gap = True
        segments = []
    for segment in segments:
        indexes += _check_segment(segment, report, events, is_last=segment is segments[-1])
    if segments:
        _check_torn_file(path, segments, report)
    report.segments = len(segments)
    events.finish()
    try:
        for stream, snapshot in read_snapshots(path):
            report.snapshots += 1
            events.check_snapshot(stream, snapshot.version)
    except TapeError as error:
        report.add(*_where_and_what(error))
    if not events.has_gap:
        _check_digest(JsonlTapeReader(path), report)
    report.checked = [
        f"the checksums of {counted(report.events, 'event line')} and {counted(report.groups, 'committed group')}",
        f"the sequence of {counted(report.segments, 'segment')}, of which {indexes:,} with a valid index",
        _digest_checked(report),
        *events.checked,
    ]


def _check_segment(segment: SegmentFile, report: CheckReport, events: _Events, *, is_last: bool) -> int:
    """Returns 1 if the segment's index is valid, else 0."""
    if segment.head.after_seq != report.last_seq and not events.has_gap:
        what = f"begins after seq {segment.head.after_seq}, but the previous segment ends at {report.last_seq}"
        report.add(str(segment.path), what)
    index, line = SegmentIndex.begin(segment), 2
    try:
        with segment.path.open("rb", buffering=0) as file:
            for group in read_groups(file, segment.path, segment.body, segment.crc, is_last=is_last):
                if group.lines.count(b"\n") != group.commit.events:
                    report.add(
                        f"{segment.path}, line {line}", "its group does not have as many lines as were committed"
                    )
                events.begin_group()
                for record in records_of(segment.path, group, line):
                    events.check(record)
                line += group.commit.events + 1
                index.add(group, streams_in(group.lines).items(), types_in(group.lines))
                report.groups += 1
    except TapeError as error:
        where, what = _where_and_what(error)
        report.add(where, f"{what}; the rest of this file was not checked")
        events.has_gap = True
        return 0
    except OSError as error:
        raise tape_error(segment.path, "read the tape", error) from error
    return _check_rest(segment, index, report, is_last=is_last)


def _where_and_what(error: TapeError) -> tuple[str, str]:
    where, _, what = str(error).partition(": ")
    return where, what


def _check_rest(segment: SegmentFile, index: SegmentIndex, report: CheckReport, *, is_last: bool) -> int:
    """Check what follows the groups: a torn tail, the index. Returns the number of valid indexes."""
    size = tail_size(segment.path, index.end)
    if size and is_last:
        if writer_of(segment.path.parent) is None:
            report.add(
                f"{segment.path}, byte {index.end}",
                f"{size} bytes follow that a writer did not commit; it never reported them as durable",
                repairable=True,
            )
        return 0
    stored = load_index(segment)
    if stored is not None and stored.is_of(index):
        return 1
    if not is_last or (stored is not None and stored.end == index.end):
        what = "is absent" if not index_path(segment.path).exists() else "does not fit"
        report.add(str(index_path(segment.path)), f"the index {what}", repairable=True)
    return 0


def _check_torn_file(path: Path, segments: list[SegmentFile], report: CheckReport) -> None:
    """A last segment whose creation was interrupted, or files that a compaction did not remove."""
    known = {segment.path.name for segment in segments}
    for found in sorted(path.glob("*.jsonl")):
        if found.name not in known and found.stem.isdigit() and writer_of(path) is None:
            report.add(str(found), "a segment whose creation or removal was interrupted", repairable=True)


# -- SQLite -----------------------------------------------------------------------------------------------------------


def _check_sqlite(path: Path, report: CheckReport) -> None:
    events = _Events(report)
    with SqliteTapeReader(path) as reader:
        try:
            for fault in integrity_faults(reader):
                report.add(str(path), fault, repairable=is_index_fault(fault))
            for record in reader.records():
                events.check(record)
            events.finish()
            _check_digest(reader, report)
            for stream, snapshot in reader.snapshots():
                report.snapshots += 1
                events.check_snapshot(stream, snapshot.version)
        except TapeError as error:
            report.add(*_where_and_what(error))
    report.checked = [
        f"the file's pages and indexes (SQLite's integrity check): {counted(report.events, 'row')}",
        "the columns of each row against its event",
        _digest_checked(report),
        *events.checked,
    ]


def integrity_faults(reader: SqliteTapeReader) -> list[str]:
    """The errors that SQLite finds in the file. Raises ``TapeError`` if it cannot check."""
    faults = [fault.decode(errors="replace") for (fault,) in reader.rows("PRAGMA integrity_check")]
    return [fault for fault in faults if fault != "ok"]


def is_index_fault(fault: str) -> bool:
    """True if only an index is wrong, which can be rebuilt from the table."""
    return " index " in fault and fault.startswith(("row ", "wrong # ", "non-unique "))


def _check_digest(reader: AnyReader, report: CheckReport) -> None:
    """Compares the events with the tape's digest."""
    try:
        found = read_integrity(reader)
    except TapeError as error:
        if report.ok:
            report.add(*_where_and_what(error))
        return
    report.digest = found.digest
    for where, what in found.problems:
        report.add(where, what)


def _digest_checked(report: CheckReport) -> str:
    if report.digest is None:
        return "no digest: an older version started this tape (a converted copy has one)"
    return f"the digest of all events: {report.digest}"


# -- events -----------------------------------------------------------------------------------------------------------


class _Events:
    """Checks the events of a tape, one after the other."""

    def __init__(self, report: CheckReport) -> None:
        self._report = report
        self._versions: dict[str, int] = {}
        self._moved: MovedStreams = {}
        self._old: dict[str, int] = {}  # the lowest version of each type that is in a stream
        self.has_gap = False
        """Something was not checked, so missing stream versions prove nothing."""
        self._cascade = _Cascade()

    def begin_group(self) -> None:
        self._cascade.end_group()

    def check(self, record: Record) -> None:
        report, where = self._report, record.where
        report.events += 1
        if not record.type:
            report.add(where, "has a type number that the tape does not define")
            return
        try:
            event = decode_payload(record.type, record.payload, record.version)
        except EventSchemaError as error:  # the bytes are intact, but this process's class does not match them
            report.add(where, f"cannot be read by this process: {error}")
            self.has_gap = True
            return
        except (EventError, TypeError) as error:
            report.add(where, f"does not decode: {error}")
            return
        if event.seq <= report.last_seq:
            report.add(where, f"has seq {event.seq}, after seq {report.last_seq}")
        report.last_seq = event.seq
        # An event keeps the stream in which it was stored, even if an upcast changes its fields.
        same_class = record.version == event.version and not isinstance(event, RawEvent)
        if same_class and event.stream != record.stream:
            report.add(where, f"is stored in stream {record.stream!r}, but belongs to {event.stream!r}")
        if record.stream is not None:
            version = self._version_before(record, event) + 1
            if self.has_gap and record.stream_version is not None:
                version = max(version, record.stream_version)
            if record.stream_version != version:
                report.add(where, f"has version {record.stream_version} of stream {record.stream!r}, not {version}")
            self._versions[record.stream] = version
            if not same_class and event.stream is not None and event.stream != record.stream:
                self._moved.setdefault(event.stream, {})[record.stream] = version
        for what in self._cascade.check(event.event_id, event.causation_id, halts=record.type == "trading.halted"):
            report.add(where, what)

    def _version_before(self, record: Record, event: DomainEvent) -> int:
        """The version of the stream before this event."""
        stream = record.stream
        assert stream is not None
        oldest = self._old.setdefault(record.type, record.version)
        if stream in self._versions:
            return self._versions[stream]
        moved = max(self._moved.get(stream, {}).values(), default=0)
        if isinstance(event, RawEvent) and record.version > oldest and record.stream_version is not None:
            return record.stream_version - 1  # its unknown class may have moved it
        return moved

    def finish(self) -> None:
        self._report.streams = len(self._versions)

    def check_snapshot(self, stream: str, version: int) -> None:
        has = self._versions.get(stream) or max(self._moved.get(stream, {}).values(), default=0)
        if version > has and not self.has_gap:
            self._report.add(f"snapshot of {stream!r}", f"has version {version}, but the stream has {has} events")

    @property
    def checked(self) -> list[str]:
        return [
            "every event decodes, and the order of seq",
            "cascades are complete: no cause and no sibling is missing",
            f"the versions of {counted(self._report.streams, 'stream')}: none is missing",
            counted(self._report.snapshots, "snapshot"),
        ]


class _Cascade:
    """Checks that a cascade is complete. The ids that a kernel gave show which events must precede an event; other ids
    do not.
    """

    def __init__(self) -> None:
        self._input = ""
        self._ids: set[str] = set()
        self._complete = False

    def end_group(self) -> None:
        """A group ends here, and a cascade must not continue in the next one."""
        self._complete = True

    def check(self, event_id: str, causation_id: str, *, halts: bool) -> Iterator[str]:
        """``halts``: it may have replaced siblings that were discarded."""
        parent, dash, child = event_id.rpartition("-")
        if not (event_id.isdecimal() or (dash and child.isdecimal() and causation_id == parent)):
            return  # not an id of a kernel
        number = event_id.partition("-")[0]
        if number != self._input:
            self._input, self._ids = number, set()
        elif self._complete:
            yield f"{event_id} belongs to the cascade of the previous group, so a commit divides it"
        self._complete = False
        if "-" in parent and parent not in self._ids:
            yield f"{event_id} exists, but its cause {parent} does not"
        if dash and int(child) > 1 and not halts and f"{parent}-{int(child) - 1}" not in self._ids:
            yield f"{event_id} exists, but {parent}-{int(child) - 1} before it does not"
        self._ids.add(event_id)
