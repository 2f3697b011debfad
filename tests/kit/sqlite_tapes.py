"""What is on an SQLite tape: by SQL, and by a reader."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tickdeck.application.ports import EVERYTHING, TapeQuery
from tickdeck.infrastructure.tape import SqliteTapeReader


def query(path: Path, sql: str, *parameters: object) -> list[Any]:
    """The result of any SQL statement. A statement that changes the file is committed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, parameters).fetchall()


def seqs(path: Path, wanted: TapeQuery = EVERYTHING) -> list[int]:
    """``seq`` of the matching events."""
    with SqliteTapeReader(path) as opened:
        return [event.seq for event in opened.read(wanted)]
