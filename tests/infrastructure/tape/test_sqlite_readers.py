"""Readers of a tape on SQLite while its writer goes on."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlite_tapes import seqs
from tape_events import NEVER, order, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.sqlite import reader, schema
from tickdeck.infrastructure.tape.sqlite import tape as sqlite


def test_a_reader_sees_durable_events_while_the_writer_continues(path: Path) -> None:
    with SqliteTape(path, linger_ms=NEVER) as tape, SqliteTape.open_reader(path) as opened:
        tape.append([trade(1), trade(2)])
        assert list(opened.read()) == []

        tape.wait_durable(1)
        assert [event.seq for event in opened.read()] == [1, 2]

        tape.append([trade(5)])
        tape.wait_durable(5)
        assert [event.seq for event in opened.read(TapeQuery(first_seq=3))] == [5]
        assert opened.last_seq == 5


def test_a_reader_sees_events_appended_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_readers_that_follow_closely_do_not_let_the_log_grow_forever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 150_000
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(sqlite, "_LOG_BYTES", limit)
    done = threading.Event()

    def follow() -> None:  # repeatedly, so that one is nearly always in a transaction
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


def test_a_reader_in_a_long_transaction_delays_the_writer_only_briefly(
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


def test_a_tape_that_is_deleted_while_it_is_opened_is_named_as_such(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log is still there, as after a kill."""
    connect = schema._connect_reading

    def too_late(address: str, place: Path) -> sqlite3.Connection:
        place.unlink()
        return connect(address, place)

    with SqliteTape(path) as tape:
        tape.append([trade(1)])
        tape.wait_durable(1)
        monkeypatch.setattr(schema, "_connect_reading", too_late)
        with pytest.raises(TapeError, match="was deleted or moved"):
            SqliteTapeReader(path)
