"""The tape on SQLite: cascades wait in memory and are committed in groups, each with one sync of the log.

Whoever waits for durability commits the group that waits (its own cascade and all that gathered before it), with no
change of threads. Where nobody waits, a thread commits after ``linger_ms``. Rows go in by statements of many rows, so
that SQLite works in long pieces during which Python runs the kernel's thread: ``executemany`` would change hands at
each row.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tickdeck.application.ports import TapeQuery, TapeStatistics
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.encoding import RowEncoder, StreamVersions
from tickdeck.infrastructure.tape.lock import WriterLock
from tickdeck.infrastructure.tape.reader import EVERYTHING, SqliteTapeReader
from tickdeck.infrastructure.tape.schema import COLUMNS, open_for_writing, tape_error, wal_path
from tickdeck.infrastructure.tape.sync import sync

__all__ = ["SqliteTape"]

_GROUP = 4_096
"""So many waiting events are committed without lingering."""
_ROWS = 64
"""Rows a statement. 128 and 256 were no faster, and 64 keep within the 999 parameters of every SQLite."""
_INSERTS = {
    rows: "INSERT INTO events VALUES " + ", ".join(["(" + ", ".join("?" * COLUMNS) + ")"] * rows)  # noqa: S608
    for rows in (1, 2, 4, 8, 16, 32, _ROWS)
}

_Waiter = tuple[int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class _Group(NamedTuple):
    """What is committed together. ``appended``: events since opening, up to and with the group's last."""

    types: list[tuple[int, str, int]]
    values: list[Any]
    last_seq: int
    appended: int


class SqliteTape:
    """A tape in the file ``path``, open for writing: created where there is none (its folder must exist).

    ``linger_ms``: how long events may wait for others before they are committed, where nobody asks for them sooner.
    ``max_waiting``: ``append`` blocks while so many events are not durable yet; none is ever dropped.

    ``append`` belongs to one thread, the kernel's; all else may be called from any. After a failed write (disk full,
    I/O error) the tape takes nothing more: ``append`` and waiting raise ``TapeError``, and what was durable stays
    readable.

    Raises ``TapeError`` where the file cannot be written or has a writer, ``TapeVersionError`` where it is no tape or
    one of a newer version.
    """

    keeps_events: ClassVar[bool] = True
    """What is durable is read back, also by later processes."""

    def __init__(self, path: Path, *, linger_ms: float = 5.0, max_waiting: int = 16_384) -> None:
        self._path = path
        self._linger_s = linger_ms / 1000
        self._max_waiting = max_waiting
        self._reader: SqliteTapeReader | None = None
        self._writer_lock = WriterLock(path)
        try:
            if wal_path(path).exists():
                # A writer that was killed between writing and syncing leaves a commit in the page cache alone: what
                # will be read must be as durable as it looks.
                sync(wal_path(path))
            self._connection = open_for_writing(path)
            try:
                sync(path.parent)  # the name of a new file
                self._last_seq = self._find_last_seq()
                versions = StreamVersions(self._stream_version if self._last_seq else None)
                self._encoder = RowEncoder(self._connection, versions)
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            self._writer_lock.release()
            raise tape_error(path, "open the tape", error) from error
        except BaseException:
            self._writer_lock.release()
            raise
        self._durable_seq = self._last_seq
        self._appended = self._durable = self._commits = 0
        self._values: list[Any] = []  # of rows that wait, COLUMNS each
        self._group: _Group | None = None  # what is being committed
        self._failure = ""
        self._closed = False
        self._urgent = False  # commit now, do not linger
        self._idle = False  # the thread sleeps until there is work
        self._waiters: list[_Waiter] = []
        self._lock = threading.Lock()  # guards the fields above; held briefly
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._commit_lock = threading.Lock()  # guards the connection; held while a group is committed
        self._thread = threading.Thread(target=self._commit_when_due, name=f"tape {path.name}", daemon=True)
        self._thread.start()

    # -- the port -------------------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def durable_seq(self) -> int:
        return self._durable_seq

    def append(self, cascade: Sequence[DomainEvent]) -> None:
        if not cascade:
            return
        with self._lock:
            self._refuse_if_unusable()
            while self._appended - self._durable >= self._max_waiting:
                self._hurry()
                self._room.wait()
                self._refuse_if_unusable()
            values = self._encoder.encode(cascade, self._last_seq)
            last_seq, count = cascade[-1].seq, len(cascade)
            # No call in these three lines, hence no Ctrl-C between them.
            self._values += values
            self._last_seq = last_seq
            self._appended += count
            if self._appended - self._durable >= _GROUP:
                self._hurry()
            elif self._idle:
                self._work.notify()

    def wait_durable(self, seq: int) -> None:
        seq = min(seq, self._last_seq)  # a hole after the last event has nothing to wait for
        while self._durable_seq < seq:
            with self._commit_lock:
                if self._durable_seq < seq:
                    self._commit_waiting()
            if self._failure and self._durable_seq < seq:
                raise TapeError(self._failure)

    async def wait_durable_async(self, seq: int) -> None:
        seq = min(seq, self._last_seq)
        if self._durable_seq >= seq:
            return
        with self._lock:
            if self._durable_seq >= seq:
                return
            if self._failure:
                raise TapeError(self._failure)
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((seq, loop, future))
            self._hurry()
        await future

    def read(self, query: TapeQuery = EVERYTHING) -> Iterator[DomainEvent]:
        with SqliteTapeReader(self._path) as reader:
            yield from reader.read(query)

    def statistics(self) -> TapeStatistics:
        with self._lock:
            return TapeStatistics(
                appended=self._appended,
                durable=self._durable,
                commits=self._commits,
                waiting=self._appended - self._durable,
            )

    def close(self) -> None:
        """Make everything durable and let go of the files. Closing twice is harmless.

        Raises ``TapeError`` where events were lost because a write failed; the files are let go of all the same.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._work.notify()
            self._room.notify_all()
        self._thread.join()
        with self._commit_lock:
            self._commit_waiting()
            if self._reader is not None:
                self._reader.close()
            # The log's content moves to the main file. Where a reader is in the way it stays in the log, as durable.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
        self._writer_lock.release()
        if self._durable < self._appended:
            raise TapeError(self._failure)

    @staticmethod
    def open_reader(path: Path) -> SqliteTapeReader:
        """Open a tape for reading alone; see ``SqliteTapeReader``."""
        return SqliteTapeReader(path)

    def __enter__(self) -> SqliteTape:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- committing -----------------------------------------------------------------------------------------------

    def _commit_when_due(self) -> None:
        """The thread: sleep until events wait, let others join them for a while, commit."""
        while True:
            with self._lock:
                while not (self._values or self._urgent or self._closed):
                    self._idle = True
                    self._work.wait()
                    self._idle = False
                if not (self._urgent or self._closed):
                    self._work.wait_for(lambda: self._urgent or self._closed, self._linger_s)
                if self._closed:
                    return
                self._urgent = False
            with self._commit_lock:
                self._commit_waiting()

    def _hurry(self) -> None:
        """Have the thread commit now. ``_lock`` is held."""
        if not self._urgent:
            self._urgent = True
            self._work.notify()

    def _commit_waiting(self) -> None:
        """Commit all that waits as one group. ``_commit_lock`` is held; a failure is kept for those who wait."""
        with self._lock:
            if self._failure or not (self._values or self._group):
                return
            group = self._group
            interrupted = group is not None  # a Ctrl-C left it, perhaps after its commit
            if group is None:
                group = _Group(self._encoder.new_types, self._values, self._last_seq, self._appended)
                self._group, self._values, self._encoder.new_types = group, [], []
        failure = ""
        try:
            if not (interrupted and self._find_last_seq() == group.last_seq):
                self._write(group.types, group.values)
        except Exception as error:  # noqa: BLE001 whatever it was, the group is not on disk, and those who wait must hear of it
            failure = str(tape_error(self._path, f"write the tape after seq {self._durable_seq}", error))
        with self._lock:
            if failure:
                self._failure = failure
                woken, self._waiters = self._waiters, []
            else:
                self._durable_seq, self._durable = group.last_seq, group.appended
                self._commits += 1
                woken = [waiter for waiter in self._waiters if waiter[0] <= group.last_seq]
                if woken:
                    self._waiters = [waiter for waiter in self._waiters if waiter[0] > group.last_seq]
                self._encoder.versions.forget(group.last_seq, self._stream_version)
            self._group = None
            self._room.notify_all()
        _wake(woken, failure)

    def _write(self, types: list[tuple[int, str, int]], values: list[Any]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if types:
                connection.executemany("INSERT INTO types (id, name, version) VALUES (?, ?, ?)", types)
            at, size, rows = 0, len(values), _ROWS
            while at < size:
                while size - at < rows * COLUMNS:
                    rows //= 2
                upto = at + rows * COLUMNS
                connection.execute(_INSERTS[rows], values[at:upto])
                at = upto
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    def _refuse_if_unusable(self) -> None:
        if self._failure:
            raise TapeError(self._failure)
        if self._closed:
            raise TapeError(f"{self._path}: the tape is closed; open it again to append")

    # -- looking up -----------------------------------------------------------------------------------------------

    def _find_last_seq(self) -> int:
        seq: int | None = self._connection.execute("SELECT max(seq) FROM events").fetchone()[0]
        return seq or 0

    def _stream_version(self, stream: str) -> int:
        """Version of a stream all of whose events are durable. ``_lock`` is held."""
        if self._reader is None:
            self._reader = SqliteTapeReader(self._path)
        return self._reader.stream_version(stream)


def _wake(waiters: list[_Waiter], failure: str) -> None:
    """Tell coroutines, each in its own event loop, how the write went."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, loop, future in waiters:
        by_loop.setdefault(loop, []).append(future)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, futures, failure)


def _settle(futures: list[asyncio.Future[None]], failure: str) -> None:
    for future in futures:
        if future.done():
            continue  # cancelled
        if failure:
            future.set_exception(TapeError(failure))
        else:
            future.set_result(None)
