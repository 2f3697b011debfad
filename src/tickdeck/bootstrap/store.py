"""An event store without a bus."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, overload

from tickdeck.application.arguments import check_flag
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
    """Open the event store at ``url``, which is created if it does not exist. ``close()`` it, or use it as a context
    manager.

    ``url``: ``memory://``, ``sqlite:///absolute/path``, ``jsonl:///absolute/path``, or a path (a new store there is
    SQLite). ``read_only`` also opens a store that another process is writing. Only one process may write at a time. If
    a bus writes the store, publish on the bus.

    Raises ``ConfigError`` for an invalid URL, and ``TapeError`` if the store cannot be opened or already has a writer.
    """
    check_flag("open_store", "read_only", read_only)
    if not read_only:
        return make_store("open_store", url)
    place = store_place("open_store", url)
    if place.form == "memory":
        raise ConfigError(
            "open_store: no other reader can open a store in memory; read it with the object that opened it"
        )
    return open_reader(place.path)


def make_store(call: str, url: Path | str, form: str | None = None) -> AnyStore:
    """The store at ``url`` for writing; ``form`` of a new tape at a plain path."""
    place = store_place(call, url, form)
    return InMemoryEventStore() if place.form == "memory" else open_tape(place.path, place.form)
