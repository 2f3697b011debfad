"""The content of an SQLite tape: by SQL, and by a reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tape_events import trade

from tickdeck.application.ports import EVERYTHING, TapeQuery
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader


def query(path: Path, sql: str, *parameters: object) -> list[Any]:
    """The result of any SQL statement. A statement that changes the file is committed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, parameters).fetchall()


def seqs(path: Path, wanted: TapeQuery = EVERYTHING) -> list[int]:
    """``seq`` of the matching events."""
    with SqliteTapeReader(path) as opened:
        return [event.seq for event in opened.read(wanted)]


def write(path: Path, count: int, make: Callable[[int], DomainEvent] = trade) -> None:
    """Appends ``count`` events to the tape, which is created if it does not exist."""
    with SqliteTape(path) as tape:
        for seq in range(tape.last_seq + 1, tape.last_seq + count + 1):
            tape.append([make(seq)])
