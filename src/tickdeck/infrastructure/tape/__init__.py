"""The tape: SQLite or JSON Lines on disk, for one writer and any number of readers; a twin in memory, and one that
keeps nothing."""

from tickdeck.infrastructure.tape.jsonl import JsonlTape, JsonlTapeReader
from tickdeck.infrastructure.tape.memory import InMemoryEventStore
from tickdeck.infrastructure.tape.null import NullTape
from tickdeck.infrastructure.tape.sqlite import SqliteTape, SqliteTapeReader

__all__ = ["InMemoryEventStore", "JsonlTape", "JsonlTapeReader", "NullTape", "SqliteTape", "SqliteTapeReader"]
