"""A store of events by itself, without a bus."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, overload

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.tape import InMemoryEventStore
from tickdeck.infrastructure.tape.opening import AnyReader, AnyTape, open_reader, open_tape
from tickdeck.infrastructure.tape.urls import store_place

__all__ = ["AnyStore", "make_store", "open_store"]

AnyStore: TypeAlias = AnyTape | InMemoryEventStore


@overload
def open_store(url: Path | str, *, read_only: Literal[False] = False) -> AnyStore: ...


@overload
def open_store(url: Path | str, *, read_only: Literal[True]) -> AnyReader: ...


def open_store(url: Path | str, *, read_only: bool = False) -> AnyStore | AnyReader:
    """The event store at ``url``, made where there is none; ``close()`` it, or use it as a context manager.

    ``url``: ``memory://``, ``sqlite:///absolute/path``, ``jsonl:///absolute/path``, or a path (a new one becomes
    SQLite). ``read_only`` opens one that another process may be writing. One process writes a store at a time; where a
    bus writes it, publish there.

    Raises ``ConfigError`` for a URL that names no store, ``TapeError`` where it cannot be opened or has a writer.
    """
    if not read_only:
        return make_store("open_store", url)
    place = store_place("open_store", url)
    if place.form == "memory":
        raise ConfigError("open_store: a store in memory has no other reader; read it where it was opened")
    return open_reader(place.path)


def make_store(call: str, url: Path | str, form: str | None = None) -> AnyStore:
    """The store at ``url`` for writing; ``form`` of a new tape at a plain path."""
    place = store_place(call, url, form)
    return InMemoryEventStore() if place.form == "memory" else open_tape(place.path, place.form)
