"""Reads a file as a list of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tickdeck.domain.events import MarketEvent
from tickdeck.infrastructure.readers import InputFile, ReadNotes, open_input


def read(file: Path, notes: ReadNotes | None = None, **options: Any) -> list[MarketEvent]:
    return list(open_input(InputFile(file, **options), notes=notes))
