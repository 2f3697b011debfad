"""The layout of a tape as an SQLite file (tables, indexes, versions), and how to open it.

``events`` has a row per event: its place (``seq``), its type (a number in ``types``), our receive time (``ts``, ns
UTC), the searchable fields, and the complete event as JSON (``payload``). ``stream_version`` counts the events of one
stream from 1. ``correlation_id`` is NULL for market data that starts its own correlation, which is nearly all market
data. Its correlation id is then its own id, and indexing each would cost more than all other entries together.
``snapshots`` has the snapshots of each stream by version. ``blocks`` has the tape's digest (``tape.digest``) up to the
end of each block of 4,096 events; each commit writes the digest of all events to the last row. ``events_readable``
shows the same with names and times, for use with an SQL tool.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from zlib import crc32

from tickdeck.application.ports import Snapshot
from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape.faults import tape_error

__all__ = [
    "APPLICATION_ID",
    "COLUMNS",
    "DDL",
    "MIGRATIONS",
    "configure",
    "migrate",
    "open_for_reading",
    "open_for_writing",
    "shorten_log",
    "snapshot_checksum",
    "wal_path",
]

APPLICATION_ID = 0x5469636B
"""``Tick``, in the file's header: distinguishes a tape from other SQLite files."""

COLUMNS = 8
"""Values per row of ``events``."""

DDL = (
    """CREATE TABLE types (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        UNIQUE (name, version)
    )""",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        type_id INTEGER NOT NULL REFERENCES types (id),
        ts INTEGER NOT NULL,
        symbol TEXT,
        stream TEXT,
        stream_version INTEGER,
        correlation_id TEXT,
        payload TEXT NOT NULL
    )""",
    "CREATE INDEX events_by_time ON events (ts)",
    "CREATE INDEX events_by_type ON events (type_id)",
    "CREATE UNIQUE INDEX events_by_stream ON events (stream, stream_version) WHERE stream IS NOT NULL",
    "CREATE INDEX events_by_correlation ON events (correlation_id) WHERE correlation_id IS NOT NULL",
    """CREATE VIEW events_readable AS
        SELECT e.seq, t.name AS event_type, t.version,
            strftime('%Y-%m-%d %H:%M:%S', e.ts / 1000000000, 'unixepoch') || printf('.%09d', e.ts % 1000000000) AS time,
            e.symbol, e.stream, e.stream_version,
            coalesce(e.correlation_id, json_extract(e.payload, '$.correlation_id')) AS correlation_id, e.payload
        FROM events e JOIN types t ON t.id = e.type_id""",
)
"""The schema of version 1."""

SNAPSHOTS = ("CREATE TABLE snapshots (stream TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL)",)
"""Added by version 2."""

BLOCKS = (
    """CREATE TABLE blocks (
        number INTEGER PRIMARY KEY,
        events INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        digest TEXT NOT NULL
    )""",
    # The digest of a tape that an older version started is unknown. It stays marked as such.
    "INSERT INTO blocks SELECT 0, 0, 0, '' WHERE EXISTS (SELECT 1 FROM events)",
)
"""Added by version 3."""

SNAPSHOTS_BY_VERSION = (
    "ALTER TABLE snapshots RENAME TO last_snapshots",
    """CREATE TABLE snapshots (
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        state BLOB NOT NULL,
        checksum INTEGER,
        PRIMARY KEY (stream, version)
    )""",
    # The checksum of a snapshot that an older version wrote stays unknown.
    "INSERT INTO snapshots SELECT stream, version, state, NULL FROM last_snapshots",
    "DROP TABLE last_snapshots",
)
"""Added by version 4, which keeps all snapshots of a stream and not the last alone."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (DDL, SNAPSHOTS, BLOCKS, SNAPSHOTS_BY_VERSION)
"""The statements that lead from version n to n + 1, for each n from 0 (an empty file). Only append to it."""

SYNCHRONOUS = "FULL"
"""Each commit is synced before it returns. A test sets ``OFF`` to show that its crash simulator detects the loss."""
CHECKPOINT_PAGES = 4_000
"""The length of the write-ahead log (in pages of 4096 bytes) at which its content moves to the main file. A lower value
would write the indexes' pages more often (1,000: 7 % slower appends); a higher one would slow down readers and
recovery."""
LOG_BYTES = 64 * 1024 * 1024
"""A log that grew because of a long reader shrinks to this size when it is reused."""
CACHE_KIB = 16_384
BUSY_S = 5.0
"""How long to wait for another process that writes to the file, such as an SQL tool, before giving up."""
PATIENCE_MS = 50
"""How long to wait for readers that prevent restarting the log: many times their short transactions."""


def snapshot_checksum(stream: str, snapshot: Snapshot) -> int:
    """The CRC-32 of a snapshot with its stream and version."""
    return crc32(snapshot.state, crc32(f"{snapshot.version} {stream} ".encode()))


def wal_path(path: Path) -> Path:
    """The path of a tape's write-ahead log."""
    return path.with_name(path.name + "-wal")


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection for one thread at a time, to a tape that is created or migrated as needed.

    Raises ``TapeError`` if it cannot be opened, ``TapeVersionError`` if it is not a tape or a newer one.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise tape_error(path, "open the tape", error) from error
    try:
        _check(connection, path, may_be_empty=True)
        configure(connection)
        migrate(connection, MIGRATIONS)
    except sqlite3.Error as error:
        connection.close()
        raise tape_error(path, "open the tape", error) from error
    except TapeError:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection, for any process at any time, even while the tape is being written.

    Tapes of older versions are read without migration. Raises ``TapeError`` if there is no tape, ``TapeVersionError``
    if the file is not a tape or has a newer version.
    """
    if not path.is_file():
        raise TapeError(f"{path}: there is no tape here; check the path")
    address = path.absolute().as_uri() + "?mode=ro"
    try:
        return _connect_reading(address, path)
    except sqlite3.OperationalError as error:
        wal = wal_path(path)
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise tape_error(path, "read the tape", error) from error
        if not path.exists():  # it was there a moment ago
            raise TapeError(f"{path}: the tape was deleted or moved; put it back, or begin another") from error
        # Readers share an index of the log in a file next to it, which cannot be created in a read-only folder.
        # Without a log there is nothing to index, and no process can write one.
        if wal.exists() and wal.stat().st_size:
            raise TapeError(
                f"{path}: its writer was killed and its folder is read-only; copy {path.name} and {wal.name} "
                "to a folder that you can write"
            ) from error
    except sqlite3.Error as error:
        raise tape_error(path, "read the tape", error) from error
    try:
        return _connect_reading(address + "&immutable=1", path)
    except sqlite3.Error as error:
        raise tape_error(path, "read the tape", error) from error


def _connect_reading(address: str, path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _check(connection, path, may_be_empty=False)
    except (sqlite3.Error, TapeError):
        connection.close()
        raise
    # The event's decoder then reports damaged UTF-8, with its seq.
    connection.text_factory = bytes
    return connection


def _check(connection: sqlite3.Connection, path: Path, *, may_be_empty: bool) -> None:
    application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = len(MIGRATIONS)
    if application_id != APPLICATION_ID:
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if may_be_empty and not (application_id or version or tables):
            return
        raise TapeVersionError(f"{path}: this is not a Tickdeck tape; check the path")
    if version > newest:
        raise TapeVersionError(
            f"{path}: the tape has version {version}; this Tickdeck supports up to {newest}; install a newer one"
        )


def configure(connection: sqlite3.Connection) -> None:
    """A writer's settings: a log with synced commits, checkpointed before it grows long."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if isinstance(mode, bytes):  # the connection returns bytes; `python -bb` refuses to compare them with a str
        mode = mode.decode()
    if mode != "wal":
        raise TapeError("tape: this file system does not support a write-ahead log; put the data on a local disk")
    for pragma in (
        f"synchronous = {SYNCHRONOUS}",
        "fullfsync = ON",  # macOS: fsync alone leaves the data in the drive's cache
        "checkpoint_fullfsync = ON",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        f"journal_size_limit = {LOG_BYTES}",
        f"cache_size = -{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def shorten_log(connection: sqlite3.Connection) -> None:
    """Move the log's content to the main file and restart the log. Waits briefly for readers in a transaction; readers
    that start meanwhile do not need the log. If a reader stays, the log stays."""
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...]) -> None:
    """Migrate the file to the newest version in one transaction: a crash leaves the old version or the new."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < len(migrations):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
