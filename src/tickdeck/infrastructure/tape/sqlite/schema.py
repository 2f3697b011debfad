"""What a tape looks like as an SQLite file: tables, indexes, versions, and how such a file is opened.

``events`` holds a row an event: its place (``seq``), its type (``types`` names it), our receive time (``ts``, ns UTC),
what is searched for, and the whole event as JSON (``payload``). ``stream_version`` counts the events of one stream from
1. ``correlation_id`` is NULL where an event of market data begins its own story, that is for nearly all market data:
its correlation is its own id, and an index entry for each would cost more than all the others together. ``snapshots``
holds what was saved last for a stream. ``blocks`` holds the tape's digest (``tape.digest``) up to the end of each block
of 4,096 events; each commit puts that of all events into the last row.
``events_readable`` is the same with names and times, for people with an SQL tool.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

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
    "wal_path",
]

APPLICATION_ID = 0x5469636B
"""``Tick``, in the file's header: tells a tape from any other SQLite file."""

COLUMNS = 8
"""Values in a row of ``events``."""

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
    # Of a tape that an older version began the digest is not known. It says so, and never gets one.
    "INSERT INTO blocks SELECT 0, 0, 0, '' WHERE EXISTS (SELECT 1 FROM events)",
)
"""Added by version 3."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (DDL, SNAPSHOTS, BLOCKS)
"""The statements that lead from version n to n + 1, for each n from 0 (an empty file) on. Only ever added to."""

SYNCHRONOUS = "FULL"
"""Each commit is synced before it returns. A test sets ``OFF`` to see that its crash simulator finds the loss."""
CHECKPOINT_PAGES = 4_000
"""How long the write-ahead log gets (in pages of 4096 bytes) before its content moves to the main file. Fewer would
write the indexes' pages more often (1,000: 7 % slower appends), more would make readers and recovery slower."""
LOG_BYTES = 64 * 1024 * 1024
"""A log that a long reader has kept from being reused shrinks to this when it is."""
CACHE_KIB = 16_384
BUSY_S = 5.0
"""How long to wait for another process that writes to the file, such as an SQL tool, before giving up."""
PATIENCE_MS = 50
"""How long to wait for readers that keep the log from being begun anew: many times their short transactions."""


def wal_path(path: Path) -> Path:
    """Where SQLite keeps the write-ahead log of a tape."""
    return path.with_name(path.name + "-wal")


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection that may be used by one thread at a time, to a tape that is created or migrated as needed.

    Raises ``TapeError`` where it cannot be opened, ``TapeVersionError`` where it is no tape or a newer one.
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
    """A connection that never writes, for any process at any time, also while the tape is being written.

    Tapes of older versions are read as they are. Raises ``TapeError`` where there is no tape, ``TapeVersionError``
    where the file is none or of a newer version.
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
        # Readers share an index of the log in a file next to it, which cannot be made in a folder that may not be
        # written. Without a log there is nothing to index, and nobody who could write one.
        if wal.exists() and wal.stat().st_size:
            raise TapeError(
                f"{path}: its writer was killed and its folder may not be written; copy {path.name} and {wal.name} "
                "to a folder that may"
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
    # Damaged UTF-8 is then reported by the event's decoder, with its seq.
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
        raise TapeVersionError(f"{path}: this is no tape of Tickdeck; check the path")
    if version > newest:
        raise TapeVersionError(
            f"{path}: the tape has version {version}, this Tickdeck knows up to {newest}; install a newer Tickdeck"
        )


def configure(connection: sqlite3.Connection) -> None:
    """How a writer writes: a log with a synced commit, checkpointed before it grows long."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if isinstance(mode, bytes):  # the connection's texts are bytes; `python -bb` refuses to compare them with a str
        mode = mode.decode()
    if mode != "wal":
        raise TapeError("tape: this file system cannot hold a write-ahead log; put the data on a local disk")
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
    """Move the log's content to the main file and begin the log anew. Waits a moment for readers in a transaction;
    those that begin meanwhile do not need the log. Where a reader stays, the log stays as it is."""
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...]) -> None:
    """Bring the file from its version to the newest, in one transaction: a crash leaves the old version or the new."""
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
