"""The place of a tape on SQLite. The tests of tapes on JSON Lines name their own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.sqlite"
