"""The file of the tape on SQLite: what counts as a tape, versions, readers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from sqlite_tapes import query, seqs
from tape_events import NEVER, order, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import DomainEvent, RunStopped
from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.lock import writer_of
from tickdeck.infrastructure.tape.sqlite import reader, schema
from tickdeck.infrastructure.tape.sqlite import tape as sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.sqlite"


def write(path: Path, count: int, make: Callable[[int], DomainEvent] = trade) -> None:
    with SqliteTape(path) as tape:
        for seq in range(tape.last_seq + 1, tape.last_seq + count + 1):
            tape.append([make(seq)])


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_closed_tape_is_one_file_and_its_lock(path: Path) -> None:
    write(path, 3)

    assert sorted(p.name for p in path.parent.iterdir()) == ["tape.sqlite", "tape.sqlite.lock"]


def test_an_sql_tool_reads_events_by_name_and_time(path: Path) -> None:
    write(path, 1, lambda seq: trade(seq, ts_ingress=1_723_075_200_000_000_123))
    write(path, 1, order)

    rows = query(
        path, "SELECT seq, event_type, time, symbol, stream, stream_version, correlation_id FROM events_readable"
    )

    assert rows == [
        (1, "market.trade", "2024-08-08 00:00:00.000000123", "BTCUSDT", None, None, "1"),
        (2, "order.accepted", "1970-01-01 00:00:00.000000002", "BTCUSDT", "order/main/a", 1, "2"),
    ]
    assert query(path, "SELECT payload ->> '$.price' FROM events WHERE seq = 1" if _HAS_ARROW else "SELECT '1'") == [
        ("1",)
    ]


_HAS_ARROW = sqlite3.sqlite_version_info >= (3, 38)


def test_market_data_that_begins_its_story_has_no_entry_in_the_indexes_of_streams_and_correlations(path: Path) -> None:
    write(path, 5)
    write(path, 1, lambda seq: trade(seq, correlation_id="2"))
    write(path, 1, order)

    assert query(path, "SELECT seq FROM events WHERE correlation_id IS NOT NULL") == [(6,), (7,)]
    assert query(path, "SELECT seq FROM events WHERE stream IS NOT NULL") == [(7,)]
    assert seqs(path, TapeQuery(correlation_id="2")) == [2, 6]


def test_a_second_writer_is_told_who_the_first_is(path: Path) -> None:
    with SqliteTape(path) as first:
        with pytest.raises(TapeError, match=rf"process {os.getpid()} is writing this tape; stop it first"):
            SqliteTape(path)
        first.append([trade(1)])

    with SqliteTape(path) as next_one:
        assert next_one.last_seq == 1


def test_whoever_asks_is_told_which_process_writes_the_tape(path: Path) -> None:
    assert writer_of(path) is None

    with SqliteTape(path):
        assert writer_of(path) == os.getpid()

    assert writer_of(path) is None
    path.with_name("tape.sqlite.lock").write_text("no number")
    assert writer_of(path) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: None, TapeError, "there is no tape here"),
        (lambda path: path.mkdir(), TapeError, "there is no tape here"),
        (lambda path: path.touch(), TapeVersionError, "this is not a Tickdeck tape"),
        (
            lambda path: path.write_bytes(b"not a database, but long enough for a header" * 9),
            TapeVersionError,
            "not a tape",
        ),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), TapeVersionError, "not a database"),
        (lambda path: query(path, "CREATE TABLE mine (x)"), TapeVersionError, "this is not a Tickdeck tape"),
    ],
    ids=["absent", "folder", "empty", "garbage", "cut in the header", "another database"],
)
def test_what_is_no_tape_is_not_read(
    path: Path, make: Callable[[Path], object], error: type[TapeError], message: str
) -> None:
    make(path)

    with pytest.raises(error, match=message) as caught:
        SqliteTape.open_reader(path)

    assert type(caught.value) is error
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: path.mkdir(), TapeError, "unable to open"),
        (
            lambda path: path.write_bytes(b"not a database, but long enough for a header" * 9),
            TapeVersionError,
            "not a tape",
        ),
        (lambda path: query(path, "CREATE TABLE mine (x)"), TapeVersionError, "this is not a Tickdeck tape"),
    ],
    ids=["folder", "garbage", "another database"],
)
def test_what_is_no_tape_is_not_written_and_left_as_it_was(
    path: Path, make: Callable[[Path], object], error: type[TapeError], message: str
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    for _ in range(2):  # the lock is let go of
        with pytest.raises(error, match=message):
            SqliteTape(path)

    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file or directory"):
        SqliteTape(tmp_path / "none" / "tape.sqlite")


def test_an_empty_file_becomes_a_tape(path: Path) -> None:
    path.touch()

    write(path, 1)

    assert seqs(path) == [1]


def test_a_tape_cut_short_is_reported_as_damaged(path: Path) -> None:
    write(path, 2_000)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)

    with pytest.raises(TapeError, match=r"cannot read the tape.*damaged"):
        seqs(path)


@pytest.mark.parametrize("position", ["last_seq", "stream_version"])
def test_a_damaged_file_is_one_clear_line_for_every_question(path: Path, position: str) -> None:
    write(path, 2_000, order)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))

    with SqliteTapeReader(path) as opened, pytest.raises(TapeError, match="damaged"):
        assert opened.last_seq if position == "last_seq" else opened.stream_version("order/main/a")
    with pytest.raises(TapeError, match="damaged"):
        SqliteTape(path)


# -- versions --------------------------------------------------------------------------------------------------------


def test_a_newer_tape_is_refused(path: Path) -> None:
    write(path, 1)
    query(path, "PRAGMA user_version = 99")

    for opener in (SqliteTape, SqliteTapeReader):
        with pytest.raises(TapeVersionError, match=r"version 99.*supports up to 4; install a newer one"):
            opener(path)


def test_an_older_tape_is_read_as_it_is_and_migrated_by_its_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_tape_of_the_first_version_is_read_as_it_is_and_migrated_with_all_that_it_has(path: Path) -> None:
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


# -- readers ---------------------------------------------------------------------------------------------------------


def test_a_reader_sees_what_is_durable_while_the_writer_goes_on(path: Path) -> None:
    with SqliteTape(path, linger_ms=NEVER) as tape, SqliteTape.open_reader(path) as opened:
        tape.append([trade(1), trade(2)])
        assert list(opened.read()) == []

        tape.wait_durable(1)
        assert [event.seq for event in opened.read()] == [1, 2]

        tape.append([trade(5)])
        tape.wait_durable(5)
        assert [event.seq for event in opened.read(TapeQuery(first_seq=3))] == [5]
        assert opened.last_seq == 5


def test_a_reader_in_the_middle_sees_what_is_appended_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_CHUNK", 2)
    with SqliteTape(path) as tape:
        tape.append([trade(1), trade(2), trade(3)])
        tape.wait_durable(3)
        events = tape.read(TapeQuery(types=("market.*", "order.*")))
        assert next(events).seq == 1

        tape.append([order(4)])
        tape.wait_durable(4)

        assert [event.seq for event in events] == [2, 3, 4]


def test_a_reader_that_pauses_does_not_keep_the_log_from_being_reused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(reader, "_CHUNK", 10)
    with SqliteTape(path, linger_ms=NEVER) as tape:
        tape.append([trade(seq) for seq in range(1, 101)])
        tape.wait_durable(100)
        paused = tape.read()
        next(paused)

        for seq in range(101, 1_101):
            tape.append([trade(seq)])
            if seq % 5 == 0:
                tape.wait_durable(seq)

        assert schema.wal_path(path).stat().st_size < 100 * 4_120
        assert len(list(paused)) == 1_099


def test_readers_that_follow_closely_do_not_let_the_log_grow_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 150_000
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(sqlite, "_LOG_BYTES", limit)
    done = threading.Event()

    def follow() -> None:  # again and again, so that there is nearly always one in a transaction
        with SqliteTapeReader(path) as opened:
            while not done.is_set():
                assert sum(1 for _ in opened.read(TapeQuery(first_seq=opened.last_seq - 500))) >= 500

    longest = 0
    with SqliteTape(path, linger_ms=NEVER) as tape:
        tape.append([trade(seq) for seq in range(1, 1_001)])
        tape.wait_durable(1_000)
        followers = [threading.Thread(target=follow) for _ in range(4)]
        for follower in followers:
            follower.start()
        for first in range(1_001, 5_001, 40):
            tape.append([trade(seq) for seq in range(first, first + 40)])
            tape.wait_durable(first)
            longest = max(longest, schema.wal_path(path).stat().st_size)
        done.set()
        for follower in followers:
            follower.join(60)

    assert longest < 8 * limit  # without the wait it is about ten to fifteen times the limit
    assert seqs(path) == list(range(1, 5_001))


def test_a_reader_that_stays_in_a_transaction_holds_the_writer_up_for_a_moment_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(sqlite, "_LOG_BYTES", 100_000)
    monkeypatch.setattr(schema, "PATIENCE_MS", 1)
    shortened: list[int] = []
    shorten = schema.shorten_log
    monkeypatch.setattr(
        sqlite, "shorten_log", lambda connection: (shortened.append(tape.last_seq), shorten(connection))
    )
    with SqliteTape(path, linger_ms=NEVER) as tape, closing(sqlite3.connect(path, isolation_level=None)) as stays:
        tape.append([trade(1)])
        tape.wait_durable(1)
        stays.execute("BEGIN")
        stays.execute("SELECT max(seq) FROM events").fetchone()
        for seq in range(2, 102):
            tape.append([trade(seq)])
            tape.wait_durable(seq)

        # Not with each commit, but each time that the log has grown by as much.
        assert 2 < len(shortened) < 20
        stays.execute("COMMIT")

    assert seqs(path) == list(range(1, 102))


@pytest.mark.parametrize(
    "wanted",
    [
        TapeQuery(),
        TapeQuery(types=("*.trade", "order.accepted")),
        TapeQuery(types=("order.*",)),
        TapeQuery(symbol="BTCUSDT"),
        TapeQuery(stream="order/main/a"),
        TapeQuery(correlation_id="8"),
        TapeQuery(first_ts=3, last_ts=12),
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [None, 1, 2, 5, 7])
@pytest.mark.parametrize("merged_types", [1, 64])
def test_the_size_of_a_chunk_changes_no_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch, wanted: TapeQuery, limit: int | None, merged_types: int
) -> None:
    with SqliteTape(path) as tape:
        tape.append([trade(1), order(2), trade(4), trade(5), order(6), order(7, "b")])
        tape.append([trade(8, event_id="8"), *(trade(seq, correlation_id="8") for seq in range(9, 15))])
    wanted = msgspec.structs.replace(wanted, limit=limit)
    whole = seqs(path, wanted)
    monkeypatch.setattr(reader, "_MERGED_TYPES", merged_types)

    for chunk in (1, 2, 3, 100):
        monkeypatch.setattr(reader, "_CHUNK", chunk)
        assert seqs(path, wanted) == whole

    assert len(whole) == limit or limit is None or limit > len(whole) > 0


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (TapeQuery(types=("market.*", "order.*", "run.*")), "events_by_type"),
        (TapeQuery(stream="order/main/a"), "events_by_stream"),
        (TapeQuery(correlation_id="2", types=("order.*",)), "events_by_correlation"),
        (TapeQuery(first_ts=1, symbol="BTCUSDT"), "PRIMARY KEY"),
    ],
    ids=str,
)
def test_queries_go_by_an_index(path: Path, wanted: TapeQuery, index: str) -> None:
    write(path, 3)
    write(path, 3, order)
    write(path, 1, lambda seq: RunStopped(seq=seq))
    with SqliteTapeReader(path) as opened:
        opened._learn_types()
        statement, parameters = opened._select(wanted, None)
        parameters |= {"after": 0, "last": 9, "size": 10}

        plan = [row[3].decode() for row in opened._connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    searches = [line for line in plan if line.startswith("SEARCH")]
    assert searches
    assert all(index in line for line in searches), plan
    assert not any(line.startswith("SCAN") for line in plan), plan


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder in which this process cannot write inside ``with lowered()``, whoever it runs as."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def lowered(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root may write anywhere
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_tape_in_a_folder_that_may_not_be_written_is_read_but_not_written() -> None:
    with read_only_folder() as folder:
        path = folder / "tape.sqlite"
        write(path, 3)
        with lowered(folder):
            assert seqs(path) == [1, 2, 3]
            with pytest.raises(TapeError, match="cannot open the tape for writing: Permission denied"):
                SqliteTape(path)


def test_a_killed_writers_tape_in_a_folder_that_may_not_be_written_says_what_to_do(tmp_path: Path) -> None:
    with read_only_folder() as folder:
        path = folder / "tape.sqlite"
        with SqliteTape(tmp_path / "tape.sqlite") as tape:
            tape.append([trade(1)])
            tape.wait_durable(1)
            for name in ("tape.sqlite", "tape.sqlite-wal"):  # what a kill leaves, without the readers' index
                shutil.copy(tmp_path / name, folder)
        with lowered(folder), pytest.raises(TapeError, match=r"copy tape\.sqlite and tape\.sqlite-wal to a folder"):
            SqliteTapeReader(path)
        folder.chmod(0o755)

        assert seqs(path) == [1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("payload = '{\"price\"'", "truncated"),
        ('payload = \'{"symbol":"S","price":"-1","quantity":"1","side":"buy"}\'', "price"),
        ("payload = CAST(x'7b22ff' AS TEXT)", "event seq 2 is damaged"),
        ("payload = 5", "event seq 2 is damaged"),
        ("type_id = 77", "its type number 77 is not defined on the tape"),
    ],
)
def test_an_event_that_does_not_decode_is_named_by_its_seq(path: Path, damage: str, message: str) -> None:
    write(path, 3)
    query(path, f"UPDATE events SET {damage} WHERE seq = 2")

    with SqliteTapeReader(path) as opened:
        events = opened.read()
        assert next(events).seq == 1
        with pytest.raises(TapeError, match="event seq 2 is damaged") as caught:
            next(events)

    assert message in str(caught.value)


def test_a_damaged_event_on_the_way_to_a_storys_beginning_is_named(path: Path) -> None:
    write(path, 3)
    query(path, "UPDATE events SET payload = 'x'")

    with pytest.raises(TapeError, match="event seq 2 is damaged"):
        seqs(path, TapeQuery(correlation_id="2"))
