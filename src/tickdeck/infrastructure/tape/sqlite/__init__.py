"""The SQLite tape: schema, rows, writer and reader."""

from tickdeck.infrastructure.tape.sqlite.reader import EVERYTHING, SqliteTapeReader
from tickdeck.infrastructure.tape.sqlite.rows import RowEncoder
from tickdeck.infrastructure.tape.sqlite.schema import COLUMNS, open_for_reading, open_for_writing
from tickdeck.infrastructure.tape.sqlite.tape import SqliteTape

__all__ = [
    "COLUMNS",
    "EVERYTHING",
    "RowEncoder",
    "SqliteTape",
    "SqliteTapeReader",
    "open_for_reading",
    "open_for_writing",
]
