"""Writes and reads JSON Lines tapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tape_events import NEVER, trade

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import (
    DomainEvent,
)
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader


def write(path: Path, count: int, make: Callable[[int], DomainEvent] = trade, **options: Any) -> None:
    """Append ``count`` events, each in its own group."""
    with JsonlTape(path, linger_ms=NEVER, **options) as tape:
        for seq in range(tape.last_seq + 1, tape.last_seq + count + 1):
            tape.append([make(seq)])
            tape.wait_durable(seq)


def seqs(path: Path, **wanted: Any) -> list[int]:
    with JsonlTapeReader(path) as opened:
        return [event.seq for event in opened.read(TapeQuery(**wanted))]


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.iterdir())
