"""The tape in JSON Lines: a folder of segments. The writer appends groups of lines, each with one sync.

``lines`` describes the lines, ``segments`` describes what a crash can leave behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

import msgspec

from tickdeck.application.arguments import check_stream, check_whole
from tickdeck.application.ports import Snapshot, TapeQuery
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.digest import DigestWorker, TapeDigest, continued_digest, event_head, stream_head
from tickdeck.infrastructure.tape.encoding import EventEncoder, Kind, StreamVersions
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.group_commit import GroupCommitTape
from tickdeck.infrastructure.tape.jsonl.lines import (
    FORMAT,
    HEAD_AT,
    Commit,
    SegmentHead,
    commit_line,
    event_line,
    parse_event_head,
    segment_line,
)
from tickdeck.infrastructure.tape.jsonl.reader import JsonlTapeReader
from tickdeck.infrastructure.tape.jsonl.segment_index import (
    SegmentIndex,
    load_index,
    scan_segment,
    store_index,
)
from tickdeck.infrastructure.tape.jsonl.segments import (
    Group,
    SegmentFile,
    file_name,
    is_jsonl_tape,
    list_segments,
    remove_merged,
    tail_size,
)
from tickdeck.infrastructure.tape.jsonl.snapshots import load_snapshot, save_snapshot
from tickdeck.infrastructure.tape.lock import WriterLock
from tickdeck.infrastructure.tape.records import Head, Record, decode_head
from tickdeck.infrastructure.tape.sync import sync, sync_content, write_at

__all__ = ["JsonlTape", "LineEncoder"]

_log = logging.getLogger(__name__)

_PER_EVENT = 4
"""Values per waiting event: its line, its time, its stream with the version (or ``None``), and the head of its type."""

_ENVELOPE = tuple(b'{"%b":' % name.encode() for name in DomainEvent.__struct_fields__)
"""The possible beginnings of a payload, so that it is not mistaken for a part of the line's head."""


class LineEncoder(EventEncoder[bytes]):
    """Encodes events as lines. The tape's representation of a type is the head of its lines."""

    def _type(self, name: str, version: int) -> bytes:
        return event_head(name, version)

    def _stored(
        self, event: DomainEvent, kind: Kind[bytes], payload: bytes, stream: str | None, version: int | None
    ) -> tuple[Any, ...]:
        head = of_type = kind[0]
        if stream is None or version is None:
            return event_line(head, payload), event.ts_ingress, None, of_type
        head += stream_head(stream, version)
        return event_line(head, payload), event.ts_ingress, (stream, version), of_type

    def _stored_record(self, record: Record, head: Head) -> tuple[Any, ...]:
        line_head = of_type = event_head(record.type, record.version)
        stream = None
        if record.stream is not None and record.stream_version is not None:
            stream = record.stream, record.stream_version
            line_head += stream_head(*stream)
        if not record.payload.startswith(_ENVELOPE) or not _is_as_written(record.payload):
            # Readers search for bytes such as "symbol":"BTCUSDT", and would miss it.
            what = "its JSON was edited by hand; put it on one line without spaces and escapes, event_id or seq first"
            raise TapeError(f"tape: {record.where}: {what}")
        return event_line(line_head, record.payload), head.ts_ingress, stream, of_type


def _is_as_written(payload: bytes) -> bool:
    try:
        return msgspec.json.encode(msgspec.json.decode(payload)) == payload
    except (msgspec.MsgspecError, OverflowError, ValueError):
        return False


class JsonlTape(GroupCommitTape):
    """A tape in the folder ``path``, open for writing. It is created if the folder is empty or does not exist; the
    parent folder must exist.

    ``segment_bytes``: when a segment has this length, the next one begins. For everything else, including the other
    options, see ``GroupCommitTape``. The versions of all streams are in memory. A torn tail of a killed writer is cut
    off, reported as a warning, and counted in ``statistics().repaired``.

    Raises ``TapeError`` if the folder cannot be written, has a writer, contains other files but no tape, or is damaged
    in its last segment. Earlier segments are not read if their indexes exist; ``check_tape`` reads them. Raises
    ``TapeVersionError`` if the tape has a newer version.
    """

    group: ClassVar[int] = 1_024
    _encoder: LineEncoder

    def __init__(
        self, path: Path | str, *, linger_ms: float = 5.0, max_waiting: int = 32_768, segment_bytes: int = 64 << 20
    ) -> None:
        path = Path(path)
        try:
            if not path.is_dir():
                path.mkdir()
            elif not is_jsonl_tape(path) and any(found.name != "writer.lock" for found in path.iterdir()):
                raise TapeError(f"{path}: the folder contains other files but no tape; name an empty or new folder")
            sync(path.parent)  # always: whoever created the folder may have been stopped before syncing it
        except OSError as error:
            raise tape_error(path, "open the tape for writing", error) from error
        lock = WriterLock(path)
        super().__init__(path, lock, linger_ms=linger_ms, max_waiting=max_waiting)
        self._segment_bytes = segment_bytes
        self._fd = -1
        self._worker = DigestWorker()
        self._digest: TapeDigest | None = None  # of everything on the disk; a tape in format 1 has none
        self._next_digest: TapeDigest | None = None  # the same, including the last written group
        self._past: JsonlTapeReader | None = None  # of the tape as it was when it was opened
        self._earlier: list[dict[str, int]] = []  # the streams of complete segments, with their versions
        try:
            self._encoder = LineEncoder(StreamVersions(self._stored_version))
            self._open()
        except BaseException as error:
            self._close_file()
            lock.release()
            if isinstance(error, OSError):
                raise tape_error(path, "open the tape for writing", error) from error
            raise
        last_seq = self._index.last_seq or self._after_seq
        if last_seq:
            self._past = JsonlTapeReader(path, visible=lambda: last_seq)
        self._start(last_seq)

    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        return self.open_reader(self._path, visible=lambda: self._durable_seq)._events(query)

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        check_stream("load_snapshot", stream)
        check_whole("load_snapshot", "upto", upto, optional=True)
        return load_snapshot(self._path, stream, upto)

    open_reader = JsonlTapeReader
    """Open a tape for reading; see ``JsonlTapeReader``."""

    # -- opening ------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        segments = list_segments(self._path)
        remove_merged(self._path, segments)
        for segment in segments[:-1]:
            index = load_index(segment)
            if index is None:
                index = scan_segment(segment, is_last=False)
                store_index(segment.path, index)
            self._earlier.append(index.streams)
        if segments:
            last = segments[-1]
            self._fd = os.open(last.path, os.O_RDWR)
            self._index = scan_segment(last, is_last=True)  # the whole segment: nothing may be written after damage
            self._after_seq = last.head.after_seq
            self._cut_tail(last)
            # A writer that was killed between writing and syncing leaves a group only in the page cache. Readers
            # treat it as durable, so sync it now.
            sync(last.path)
            sync(self._path)
        next_number = segments[-1].head.through + 1 if segments else 1
        leftover = self._path / file_name(next_number)
        if leftover.exists():  # its creation was interrupted, so it has no events
            self._log_cut(leftover, leftover.stat().st_size, 0)
            leftover.unlink()
            sync(self._path)
        if not segments:
            head = self._create(SegmentHead(1, 1, 0))
            sync_content(self._fd)
            sync(self._path)
            self._index, self._after_seq = SegmentIndex(1, 1, len(head), crc32(head), types={}), 0
        self._format = segments[0].head.format if segments else FORMAT
        if self._format > 1:
            reader = JsonlTapeReader(self._path)
            self._digest = self._next_digest = continued_digest(self._path, reader.mark(), reader.records)

    def _cut_tail(self, last: SegmentFile) -> None:
        size = tail_size(last.path, self._index.end)
        if size:
            self._log_cut(last.path, size, self._index.end)
            os.ftruncate(self._fd, self._index.end)

    def _log_cut(self, path: Path, size: int, end: int) -> None:
        self._repaired += size
        _log.warning(
            "%s: cut off %d bytes after byte %d: a writer ended before it committed them; it never reported them as "
            "durable",
            path,
            size,
            end,
        )

    def _forget_streams(self, durable_seq: int) -> None:
        self._encoder.versions.forget(durable_seq, self._stored_version)

    def _stored_version(self, stream: str) -> int:
        """The version of a stream whose events are all durable."""
        for streams in (self._index.streams, *reversed(self._earlier)):
            if stream in streams:
                return streams[stream]
        return 0 if self._past is None else self._past.moved_version(stream)

    # -- committing ---------------------------------------------------------------------------------------------------

    def _write(self, values: list[Any], last_seq: int) -> None:
        if self._index.end >= self._segment_bytes and self._index.groups:
            self._rotate()
        index = self._index
        digest, lines = self._digest, _GroupLines(values)
        computed = None if digest is None else self._worker.after(digest, lines)
        group, times = b"".join(values[0::_PER_EVENT]), values[1::_PER_EVENT]
        so_far = crc32(group, index.crc)
        commit = Commit(len(times), lines.seq(0), last_seq, min(times), max(times), index.end, so_far)
        try:
            if computed is not None:
                digest = computed()
                commit = commit._replace(mark=digest.mark())
            line = commit_line(commit, index.end + len(group))
            # One write. After two, a power cut could leave their common sector in its state between them, which does
            # not look like a lost sector.
            write_at(self._fd, group + line, index.end)
            sync_content(self._fd)
        except BaseException:
            # Remove the unacknowledged group if the disk allows it. Otherwise, the next writer cuts it off.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, index.end)
            raise
        written = Group(index.end, b"", commit, index.end + len(group) + len(line), crc32(line, commit.so_far))
        self._next_digest = digest
        types = (parse_event_head(head)[0] for head in sorted(set(values[3::_PER_EVENT])))
        index.add(written, filter(None, values[2::_PER_EVENT]), types)
        self._digest = digest

    def _rotate(self) -> None:
        """Begin the next segment. The previous one is already synced."""
        done, folder = self._index, self._path
        self._earlier.append(done.streams)
        with contextlib.suppress(OSError):  # a missing index is rebuilt
            store_index(folder / file_name(done.number), done)
        number = done.through + 1
        self._close_file()
        head = self._create(SegmentHead(number, number, done.last_seq, self._format))
        sync_content(self._fd)
        sync(folder)
        self._index, self._after_seq = SegmentIndex(number, number, len(head), crc32(head), types={}), done.last_seq

    def _create(self, head: SegmentHead) -> bytes:
        line = segment_line(head)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        self._fd = os.open(self._path / file_name(head.number), flags, 0o644)
        write_at(self._fd, line, 0)
        return line

    def _has_written(self, last_seq: int) -> bool:
        if self._index.last_seq != last_seq:
            return False  # the same bytes are written to the same place again
        self._digest = self._next_digest
        return True

    def _write_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        save_snapshot(self._path, stream, snapshot)

    def _close_files(self) -> None:
        if not self._failure:
            with contextlib.suppress(OSError):  # a missing index is rebuilt
                store_index(self._path / file_name(self._index.number), self._index)
        self._close_file()
        self._worker.close()

    def _close_file(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1  # never close it twice, whatever Ctrl-C interrupts
            os.close(fd)


class _GroupLines:
    """The digest's lines of the waiting events."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values) // _PER_EVENT

    def joined(self, start: int, stop: int) -> bytes:
        return b"".join([line[HEAD_AT:] for line in self._values[start * _PER_EVENT : stop * _PER_EVENT : _PER_EVENT]])

    def seq(self, place: int) -> int:
        return decode_head(b"{" + self._values[place * _PER_EVENT][HEAD_AT:]).seq
