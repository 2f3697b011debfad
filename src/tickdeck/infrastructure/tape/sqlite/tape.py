"""The tape on SQLite.

Each INSERT has many rows. While SQLite works on one, Python runs the kernel's thread. ``executemany`` would switch
threads at each row.
"""

from __future__ import annotations

import contextlib
import ctypes
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from tickdeck.application.ports import Snapshot, TapeQuery
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.digest import BLOCK, DigestWorker, TapeDigest, continued_digest
from tickdeck.infrastructure.tape.encoding import StreamVersions
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.group_commit import GroupCommitTape
from tickdeck.infrastructure.tape.lock import WriterLock
from tickdeck.infrastructure.tape.sqlite.reader import SqliteTapeReader
from tickdeck.infrastructure.tape.sqlite.rows import RowEncoder
from tickdeck.infrastructure.tape.sqlite.schema import (
    COLUMNS,
    open_for_writing,
    shorten_log,
    snapshot_checksum,
    wal_path,
)
from tickdeck.infrastructure.tape.sync import sync

__all__ = ["SqliteTape"]

_ROWS = 512
"""Rows per statement. The tape's thread waits for Python's lock before each statement. With 64 rows it fell behind a
kernel that handles 100,000 events a second. More rows make the kernel wait longer."""
_FEW = 16
"""Fewer rows than this are written by one statement."""
_INSERTS: dict[int, str] = {
    rows: "INSERT INTO events VALUES " + ", ".join(["(" + ", ".join("?" * COLUMNS) + ")"] * rows)  # noqa: S608
    for rows in (*range(1, _FEW), *(1 << power for power in range(_FEW.bit_length() - 1, _ROWS.bit_length())))
}
_SHORT = 128
"""How many events of a stream are read by the reader that stays open."""
_LOG_BYTES = 64 << 20
"""Readers that follow closely can stop the log from being restarted. At this size, the writer waits for them briefly,
and again each time the log has grown by this much."""


class SqliteTape(GroupCommitTape):
    """A tape in the file ``path``, open for writing. It is created if it does not exist; its folder must exist.

    See ``GroupCommitTape`` for the options. Raises ``TapeError`` if the file cannot be written or has a writer,
    ``TapeVersionError`` if it is not a tape or has a newer version.
    """

    group: ClassVar[int] = 4_096
    _encoder: RowEncoder

    def __init__(self, path: Path | str, *, linger_ms: float = 5.0, max_waiting: int = 32_768) -> None:
        path = Path(path)
        lock = WriterLock(path)
        super().__init__(path, lock, linger_ms=linger_ms, max_waiting=max_waiting)
        self._reader: SqliteTapeReader | None = None
        self._stored_types = 0  # how many of the encoder's new types are stored
        self._worker = DigestWorker()
        self._log, self._log_limit = wal_path(path), _LOG_BYTES
        try:
            if self._log.exists():
                # A writer that was killed between writing and syncing leaves a commit only in the page cache. Readers
                # treat it as durable, so sync it now.
                sync(self._log)
            self._connection = open_for_writing(path)
            try:
                sync(path.parent)  # the name of a new file
                self._rows = _rows_per_statement(self._connection)
                last_seq = self._find_last_seq()
                versions = StreamVersions(self._stored_version if last_seq else None)
                self._encoder = RowEncoder(self._connection, versions)
                self._digest = self._next_digest = self._continued_digest()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            lock.release()
            raise tape_error(path, "open the tape", error) from error
        except BaseException:
            lock.release()
            raise
        self._start(last_seq)

    def _events(self, query: TapeQuery) -> Iterator[DomainEvent]:
        if query.stream is not None:
            wanted = _SHORT if query.limit is None else min(query.limit, _SHORT)
            begin = self._beginning_of(msgspec.structs.replace(query, limit=wanted))
            if begin is not None:
                yield from begin
                if len(begin) < wanted or not begin:
                    return
                left = None if query.limit is None else query.limit - wanted
                query = msgspec.structs.replace(query, first_seq=begin[-1].seq + 1, from_id=None, limit=left)
        with SqliteTapeReader(self._path) as reader:
            yield from reader._events(query)

    def _beginning_of(self, query: TapeQuery) -> list[DomainEvent] | None:
        """The first events of a stream, read by the reader that stays open: opening one takes longer than reading most
        streams. ``None`` if they cannot be read this way."""
        with self._lock:
            if not self._accepts_events:
                return None
            try:
                return list(self._open_reader()._events(query))
            except TapeError:
                return None  # it is read again, up to the event that cannot be read

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        with self._lock:
            if self._accepts_events:
                return self._open_reader().load_snapshot(stream, upto)
        with SqliteTapeReader(self._path) as reader:
            return reader.load_snapshot(stream, upto)

    @staticmethod
    def open_reader(path: Path) -> SqliteTapeReader:
        """Open a tape for reading; see ``SqliteTapeReader``."""
        return SqliteTapeReader(path)

    def leave_to_parent(self) -> None:
        super().leave_to_parent()
        # SQLite forbids closing a connection after a fork. Without this, the child would close it when it ends.
        for connection in (self._connection, self._reader):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))

    # -- committing -----------------------------------------------------------------------------------------------

    def _write(self, values: list[Any], last_seq: int) -> None:
        connection, types = self._connection, self._encoder.new_types
        known = len(types)  # more may be added meanwhile
        digest = self._digest
        computed = None if digest is None else self._worker.after(digest, self._encoder.digest_lines(values))
        with self._transaction():
            if known > self._stored_types:  # they may be stored: Ctrl-C may have come after COMMIT
                connection.executemany(
                    "INSERT OR IGNORE INTO types (id, name, version) VALUES (?, ?, ?)",
                    types[self._stored_types : known],
                )
            at, size, rows = 0, len(values), self._rows
            while at < size:
                left = (size - at) // COLUMNS
                while rows > left:
                    rows = left if left < _FEW else rows // 2
                upto = at + rows * COLUMNS
                connection.execute(_INSERTS[rows], values[at:upto])
                at = upto
            if computed is not None:
                digest = computed()
                self._store_digest(digest, last_seq)
            self._next_digest = digest
        self._digest = digest
        self._stored_types = known

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    def _after_commit(self) -> None:
        """Limit the log."""
        try:
            size = self._log.stat().st_size
        except OSError:
            return  # if the log was removed, the next commit fails
        if size < _LOG_BYTES:
            self._log_limit = _LOG_BYTES
        elif size >= self._log_limit:
            with contextlib.suppress(sqlite3.Error):  # the group is on the disk; the next commit reports errors
                shorten_log(self._connection)
            self._log_limit = size + _LOG_BYTES

    def _has_written(self, last_seq: int) -> bool:
        if self._find_last_seq() != last_seq:
            return False
        self._digest = self._next_digest
        return True

    def _store_digest(self, digest: TapeDigest, last_seq: int) -> None:
        rows = [(events // BLOCK, events, seq, of_block) for events, seq, of_block in digest.filled]
        rows.append((digest.events // BLOCK + 1, digest.events, last_seq, digest.hexdigest()))
        self._connection.executemany(
            "INSERT OR REPLACE INTO blocks (number, events, last_seq, digest) VALUES (?, ?, ?, ?)", rows
        )

    def _continued_digest(self) -> TapeDigest | None:
        with SqliteTapeReader(self._path) as reader:
            if not reader.has_digest:
                return None
            return continued_digest(self._path, reader.mark(), reader.records)

    def _write_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO snapshots (stream, version, state, checksum) VALUES (?, ?, ?, ?)",
                (stream, *snapshot, snapshot_checksum(stream, snapshot)),
            )

    def _close_files(self) -> None:
        with self._lock:  # another thread may be asking for a stream's version
            if self._reader is not None:
                self._reader.close()
        # Move the log's content to the main file. If a reader prevents it, the content stays in the log, just as
        # durable.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._worker.close()

    # -- looking up -----------------------------------------------------------------------------------------------

    def _find_last_seq(self) -> int:
        seq: int | None = self._connection.execute("SELECT max(seq) FROM events").fetchone()[0]
        return seq or 0

    def _forget_streams(self, durable_seq: int) -> None:
        self._encoder.versions.forget(durable_seq, self._stored_version)

    def _stored_version(self, stream: str) -> int:
        """The version of a stream whose events are all durable. ``_lock`` is held."""
        return self._open_reader().stream_version(stream)

    def _open_reader(self) -> SqliteTapeReader:
        """The reader that stays open. ``_lock`` is held."""
        if self._reader is None:
            self._reader = SqliteTapeReader(self._path)
        return self._reader


def _rows_per_statement(connection: sqlite3.Connection) -> int:
    """``_ROWS``, or fewer if an older SQLite does not support that many parameters."""
    parameters = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return max(rows for rows in _INSERTS if rows * COLUMNS <= parameters)
