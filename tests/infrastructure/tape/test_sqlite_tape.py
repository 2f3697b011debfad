"""The writer of the tape on SQLite: versions of streams, and writes that fail. See also ``test_tape_groups``."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest
from sqlite_tapes import query, seqs
from tape_events import NEVER, order, trade

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import SqliteTape, encoding
from tickdeck.infrastructure.tape.encoding import StreamVersions
from tickdeck.infrastructure.tape.sqlite import schema

# -- streams ---------------------------------------------------------------------------------------------------------


def stream_versions(path: Path) -> list[tuple[str, int]]:
    return query(path, "SELECT stream, stream_version FROM events WHERE stream IS NOT NULL ORDER BY seq")


def test_versions_of_a_stream_count_from_one_and_continue_after_reopening(path: Path) -> None:
    with SqliteTape(path) as tape:
        tape.append([order(1, "a"), order(2, "b"), order(3, "a")])
    with SqliteTape(path) as tape:
        tape.append([order(4, "a"), order(5, "c"), order(6, "a")])

    versions = [(stream.removeprefix("order/main/"), version) for stream, version in stream_versions(path)]

    assert versions == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("c", 1), ("a", 4)]


def test_versions_are_correct_with_more_streams_than_fit_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding.StreamVersions.__init__, "__defaults__", (3,))
    rng = random.Random(1)
    names = [f"o{rng.randrange(12)}" for _ in range(300)]

    with SqliteTape(path) as tape:
        for seq, name in enumerate(names, start=1):
            tape.append([order(seq, name)])
            if seq % 7 == 0:
                tape.wait_durable(seq)
                assert len(tape._encoder.versions._known) <= 3

    counted: dict[str, int] = {}
    expected = []
    for name in names:
        counted[name] = counted.get(name, 0) + 1
        expected.append((f"order/main/{name}", counted[name]))
    assert stream_versions(path) == expected


def test_a_stream_with_events_that_are_not_durable_is_never_forgotten() -> None:
    versions = StreamVersions(None, kept=1)
    for seq, stream in enumerate("abc", start=1):
        versions.put(stream, 1, seq)

    versions.forget(1, lambda stream: 7)

    assert [versions.last(stream) for stream in "abc"] == [7, 1, 1]


# -- failed writes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    configure = schema.configure

    def configure_small(connection: sqlite3.Connection) -> None:
        configure(connection)
        connection.execute("PRAGMA max_page_count = 30")

    monkeypatch.setattr(schema, "configure", configure_small)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_keeps_acknowledged_events_and_every_caller_gets_an_error(path: Path) -> None:
    tape = SqliteTape(path, linger_ms=NEVER)
    durable = 0
    clear_line = r"tape\.sqlite: cannot write the tape after .*: database or disk is full \(the disk is full: free some"

    def fill() -> None:
        nonlocal durable
        for seq in range(1, 10_000):
            tape.append([trade(seq)])
            tape.wait_durable(seq)
            durable = seq

    with pytest.raises(TapeError, match=clear_line):
        fill()

    assert durable > 0
    with pytest.raises(TapeError, match=clear_line):
        tape.append([trade(10_000)])
    with pytest.raises(TapeError, match=clear_line):
        asyncio.run(tape.wait_durable_async(durable + 1))
    tape.wait_durable(durable)
    with pytest.raises(TapeError, match=clear_line):
        tape.close()
    tape.close()
    assert seqs(path) == list(range(1, durable + 1))
    with SqliteTape(path) as again:
        assert again.durable_seq == durable


def test_a_cascade_whose_write_fails_halfway_leaves_nothing(path: Path) -> None:
    tape = SqliteTape(path, linger_ms=NEVER)
    tape.append([trade(1)])
    tape.wait_durable(1)
    query(
        path, "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN new.seq = 70 BEGIN SELECT raise(ABORT, 'no 70'); END"
    )
    tape.append([trade(seq) for seq in range(2, 100)])

    with pytest.raises(TapeError, match="no 70"):
        tape.wait_durable(99)

    assert [event.seq for event in tape.read()] == [1]
    with pytest.raises(TapeError, match="no 70"):
        tape.close()
