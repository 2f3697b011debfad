"""Tapes on SQLite of older and newer versions, and their migration."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_tapes import query, seqs, write
from tape_events import order, trade

from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.sqlite import schema


def test_a_newer_tape_is_refused(path: Path) -> None:
    write(path, 1)
    query(path, "PRAGMA user_version = 99")

    for opener in (SqliteTape, SqliteTapeReader):
        with pytest.raises(TapeVersionError, match=r"version 99.*supports up to 4; install a newer one"):
            opener(path)


def test_an_older_tape_is_read_without_migration_and_migrated_by_its_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 3)
    newest = (*schema.MIGRATIONS, ("CREATE TABLE notes (text)",), ("DROP TABLE notes",))
    monkeypatch.setattr(schema, "MIGRATIONS", newest)

    assert seqs(path) == [1, 2, 3]
    write(path, 1)

    assert seqs(path) == [1, 2, 3, 4]
    assert query(path, "PRAGMA user_version") == [(len(newest),)]


VERSION_1 = """
CREATE TABLE types (id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, UNIQUE (name, version));
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    type_id INTEGER NOT NULL REFERENCES types (id),
    ts INTEGER NOT NULL,
    symbol TEXT,
    stream TEXT,
    stream_version INTEGER,
    correlation_id TEXT,
    payload TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (ts);
CREATE INDEX events_by_type ON events (type_id);
CREATE UNIQUE INDEX events_by_stream ON events (stream, stream_version) WHERE stream IS NOT NULL;
CREATE INDEX events_by_correlation ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE VIEW events_readable AS
    SELECT e.seq, t.name AS event_type, t.version,
        strftime('%Y-%m-%d %H:%M:%S', e.ts / 1000000000, 'unixepoch') || printf('.%09d', e.ts % 1000000000) AS time,
        e.symbol, e.stream, e.stream_version,
        coalesce(e.correlation_id, json_extract(e.payload, '$.correlation_id')) AS correlation_id, e.payload
    FROM events e JOIN types t ON t.id = e.type_id;
INSERT INTO types VALUES (1, 'market.trade', 1), (2, 'order.accepted', 1);
INSERT INTO events VALUES
    (1, 1, 1, 'BTCUSDT', NULL, NULL, NULL, '{"event_id":"1","correlation_id":"1","causation_id":"","seq":1,"ts":0,'
        || '"ts_ingress":1,"source":"","metadata":{},"symbol":"BTCUSDT","price":"1","quantity":"1","side":"buy"}'),
    (2, 2, 2, 'BTCUSDT', 'order/main/a', 1, '2', '{"event_id":"2-1","correlation_id":"2","causation_id":"","seq":2,'
        || '"ts":0,"ts_ingress":2,"source":"","metadata":{},"order_id":"a","symbol":"BTCUSDT"}');
PRAGMA application_id = 1416192875;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
"""A tape as the first version left it."""


def test_a_tape_of_the_first_version_is_read_and_migrated_completely(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    rows = query(path, "SELECT * FROM events")

    with SqliteTapeReader(path) as opened:
        before = list(opened.read())
        assert opened.load_snapshot("order/main/a") is None
        assert opened.stream_version("order/main/a") == 1
    assert before == [trade(1), order(2)]
    assert query(path, "PRAGMA user_version") == [(1,)]

    with SqliteTape(path) as tape:
        tape.append([order(3)], expected_version=1)
        tape.save_snapshot("order/main/a", 2, b"state")

    assert query(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert query(path, "SELECT * FROM events")[:2] == rows
    with SqliteTapeReader(path) as opened:
        assert list(opened.read()) == [*before, order(3)]
        assert opened.load_snapshot("order/main/a") == (2, b"state")


def test_a_snapshot_of_a_tape_of_the_third_version_is_read_before_and_after_the_migration(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:3])
    write(path, 3)
    query(path, "INSERT INTO snapshots VALUES ('order/main/a', 0, x'01')")
    with SqliteTapeReader(path) as opened:
        assert opened.load_snapshot("order/main/a") == (0, b"\x01")
        assert list(opened.snapshots()) == [("order/main/a", (0, b"\x01"))]

    monkeypatch.undo()
    with SqliteTape(path) as tape:
        assert tape.load_snapshot("order/main/a") == (0, b"\x01")


def test_a_migration_that_fails_leaves_the_older_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 3)
    failing = ("CREATE TABLE notes (text)", "SELECT no_such_function()")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, failing))

    with pytest.raises(TapeError, match="no_such_function"):
        SqliteTape(path)

    monkeypatch.undo()
    assert query(path, "SELECT name FROM sqlite_master WHERE name = 'notes'") == []
    assert seqs(path) == [1, 2, 3]


def test_every_version_from_the_first_on_opens(path: Path) -> None:
    for version in range(1, len(schema.MIGRATIONS) + 1):
        old = path.with_name(f"v{version}")
        with closing(sqlite3.connect(old, isolation_level=None)) as connection:
            schema.migrate(connection, schema.MIGRATIONS[:version])

        write(old, 2)

        assert seqs(old) == [1, 2]


def test_a_file_system_without_a_log_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(TapeError, match="local disk"):
        schema.configure(connection)
