"""How the tests open a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tickdeck.application.ports import EventStore

__all__ = ["StoreTests"]


class StoreTests(ABC):
    """The base of all tests of a store: each test gets an open, empty store."""

    survives: ClassVar[bool] = True
    """True if a store that is opened again contains the events that were appended before."""

    @abstractmethod
    def open(self, folder: Path) -> EventStore:
        """Open the store that belongs to ``folder``. It is empty for a new folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[EventStore]:
        opened = self.open(tmp_path)
        yield opened
        opened.close()
