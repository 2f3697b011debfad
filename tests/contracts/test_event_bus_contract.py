"""Each bus satisfies the contract in ``tickdeck.testing``."""

from __future__ import annotations

from pathlib import Path

from tickdeck import EventBus, InMemoryEventBus, Kernel, RecordingBus, open_bus
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.testing import EventBusContract


class TestBusInMemory(EventBusContract):
    def open(self, folder: Path) -> EventBus:
        return InMemoryEventBus()


class TestBusThatRemembers(EventBusContract):
    def open(self, folder: Path) -> EventBus:
        return RecordingBus()


class TestBusOfSqlite(EventBusContract):
    has_store = True

    def open(self, folder: Path) -> EventBus:
        return open_bus(f"sqlite://{folder}/tape.db")


class TestBusOfJsonl(EventBusContract):
    has_store = True

    def open(self, folder: Path) -> EventBus:
        return open_bus(folder / "tape", tape_format="jsonl")


class TestBusOfAStoreInMemory(EventBusContract):
    has_store = True

    def open(self, folder: Path) -> EventBus:
        return open_bus("memory://")


class TestBusOfARun(EventBusContract):
    has_store = True

    def open(self, folder: Path) -> EventBus:
        return Kernel(tape=SqliteTape(folder / "tape.db"))
