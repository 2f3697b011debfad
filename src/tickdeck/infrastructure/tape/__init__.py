"""The tape: events on disk in SQLite or JSON Lines, for one writer and any number of readers. Also a store in memory,
and one that stores nothing."""

from tickdeck.infrastructure.tape.jsonl import JsonlTape, JsonlTapeReader
from tickdeck.infrastructure.tape.memory import InMemoryEventStore
from tickdeck.infrastructure.tape.null import NullTape
from tickdeck.infrastructure.tape.sqlite import SqliteTape, SqliteTapeReader

__all__ = ["InMemoryEventStore", "JsonlTape", "JsonlTapeReader", "NullTape", "SqliteTape", "SqliteTapeReader"]
