"""The tape: SQLite on disk for one writer and any number of readers, and a null twin that keeps nothing."""

from tickdeck.infrastructure.tape.null import NullTape
from tickdeck.infrastructure.tape.reader import SqliteTapeReader
from tickdeck.infrastructure.tape.sqlite import SqliteTape

__all__ = ["NullTape", "SqliteTape", "SqliteTapeReader"]
