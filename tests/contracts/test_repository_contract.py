"""The repositories satisfy their contract on every store."""

from __future__ import annotations

from pathlib import Path

from tickdeck.bootstrap import RecordedBus, close_bus, open_bus
from tickdeck.testing import RepositoryContract


class _OnOurs(RepositoryContract):
    async def close(self, bus: RecordedBus) -> None:
        await close_bus(bus)


class TestInMemory(_OnOurs):
    survives = False

    def open(self, folder: Path) -> RecordedBus:
        return open_bus("memory://")


class TestOnSqlite(_OnOurs):
    def open(self, folder: Path) -> RecordedBus:
        return open_bus(f"sqlite://{folder / 'store'}")


class TestOnJsonl(_OnOurs):
    def open(self, folder: Path) -> RecordedBus:
        return open_bus(f"jsonl://{folder / 'store'}")
