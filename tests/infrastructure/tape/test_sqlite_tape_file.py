"""The file of the tape on SQLite: what counts as a tape, indexes, locks, damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlite_tapes import query, seqs, write
from tape_events import order, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import RunStopped
from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.lock import writer_of


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


def test_market_data_that_starts_a_correlation_has_no_index_entries(path: Path) -> None:
    write(path, 5)
    write(path, 1, lambda seq: trade(seq, correlation_id="2"))
    write(path, 1, order)

    assert query(path, "SELECT seq FROM events WHERE correlation_id IS NOT NULL") == [(6,), (7,)]
    assert query(path, "SELECT seq FROM events WHERE stream IS NOT NULL") == [(7,)]
    assert seqs(path, TapeQuery(correlation_id="2")) == [2, 6]


def test_a_second_writer_gets_an_error_that_names_the_first(path: Path) -> None:
    with SqliteTape(path) as first:
        with pytest.raises(TapeError, match=rf"process {os.getpid()} is writing this tape; stop it first"):
            SqliteTape(path)
        first.append([trade(1)])

    with SqliteTape(path) as next_one:
        assert next_one.last_seq == 1


def test_the_writing_process_of_a_tape_can_be_found(path: Path) -> None:
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
def test_a_path_without_a_tape_is_not_read(
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
def test_a_file_that_is_not_a_tape_is_not_changed(
    path: Path, make: Callable[[Path], object], error: type[TapeError], message: str
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    for _ in range(2):  # the lock is released
        with pytest.raises(error, match=message):
            SqliteTape(path)

    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_does_not_exist_gives_one_clear_line(tmp_path: Path) -> None:
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
def test_a_damaged_file_gives_one_clear_line_for_every_query(path: Path, position: str) -> None:
    write(path, 2_000, order)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))

    with SqliteTapeReader(path) as opened, pytest.raises(TapeError, match="damaged"):
        assert opened.last_seq if position == "last_seq" else opened.stream_version("order/main/a")
    with pytest.raises(TapeError, match="damaged"):
        SqliteTape(path)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (TapeQuery(types=("market.*", "order.*", "run.*")), "events_by_type"),
        (TapeQuery(stream="order/main/a"), "events_by_stream"),
        (TapeQuery(stream="order/main/a", first_seq=3), "events_by_stream"),
        (TapeQuery(correlation_id="2", types=("order.*",)), "events_by_correlation"),
        (TapeQuery(first_ts=1, symbol="BTCUSDT"), "PRIMARY KEY"),
    ],
    ids=str,
)
def test_queries_use_an_index(path: Path, wanted: TapeQuery, index: str) -> None:
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
    if wanted.stream is not None:  # a long stream is not sorted for each chunk, nor read from its beginning
        assert "stream_version>" in plan[0]
        assert not any("TEMP B-TREE" in line for line in plan), plan


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


def test_a_tape_in_a_read_only_folder_can_be_read_but_not_written() -> None:
    with read_only_folder() as folder:
        path = folder / "tape.sqlite"
        write(path, 3)
        with lowered(folder):
            assert seqs(path) == [1, 2, 3]
            with pytest.raises(TapeError, match="cannot open the tape for writing: Permission denied"):
                SqliteTape(path)


def test_a_killed_writers_tape_in_a_read_only_folder_is_refused_with_advice(tmp_path: Path) -> None:
    with read_only_folder() as folder:
        path = folder / "tape.sqlite"
        with SqliteTape(tmp_path / "tape.sqlite") as tape:
            tape.append([trade(1)])
            tape.wait_durable(1)
            for name in ("tape.sqlite", "tape.sqlite-wal"):  # the leftovers of a kill, without the readers' index
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


def test_a_damaged_event_during_the_search_for_a_correlation_is_reported(path: Path) -> None:
    write(path, 3)
    query(path, "UPDATE events SET payload = 'x'")

    with pytest.raises(TapeError, match="event seq 2 is damaged"):
        seqs(path, TapeQuery(correlation_id="2"))
