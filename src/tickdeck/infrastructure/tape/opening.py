"""Which form a tape has is seen by what is there: a file is SQLite, a folder is JSON Lines."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from tickdeck.infrastructure.tape.jsonl import JsonlTape, JsonlTapeReader, is_jsonl_tape
from tickdeck.infrastructure.tape.sqlite import SqliteTape, SqliteTapeReader

__all__ = ["IN_A_RUN", "AnyReader", "AnyTape", "form_of", "is_tape", "open_reader", "open_tape", "tape_path"]

IN_A_RUN = {"sqlite": "tape.db", "jsonl": "tape"}
"""The forms, and what a tape in each is called in the folder of a run."""

AnyTape: TypeAlias = SqliteTape | JsonlTape
AnyReader: TypeAlias = SqliteTapeReader | JsonlTapeReader


def form_of(path: Path) -> str:
    """``jsonl`` for a folder, else ``sqlite``."""
    return "jsonl" if path.is_dir() else "sqlite"


def is_tape(path: Path) -> bool:
    """Whether ``path`` is a tape itself, as opposed to the folder of a run. Raises ``TapeError`` for a folder that may
    not be looked into."""
    return path.is_file() or is_jsonl_tape(path)


def tape_path(run: Path, form: str = "sqlite") -> Path:
    """Where the tape of the run in folder ``run`` is; where it has none yet, that of one in ``form``. A tape by its own
    path is itself."""
    if is_tape(run):
        return run
    for name in IN_A_RUN.values():
        if (run / name).exists():
            return run / name
    return run / IN_A_RUN[form]


def open_tape(path: Path, form: str | None = None, *, linger_ms: float = 5.0) -> AnyTape:
    """The tape in ``path`` for writing; where there is none, a new one in ``form`` (``None``: SQLite). Raises as
    ``SqliteTape`` and ``JsonlTape`` do.
    """
    if path.exists():
        form = form_of(path)
    return JsonlTape(path, linger_ms=linger_ms) if form == "jsonl" else SqliteTape(path, linger_ms=linger_ms)


def open_reader(path: Path) -> AnyReader:
    """The tape in ``path`` for reading. Raises as ``SqliteTapeReader`` and ``JsonlTapeReader`` do."""
    return JsonlTapeReader(path) if path.is_dir() else SqliteTapeReader(path)
