"""The format of a tape is visible on disk: a file is SQLite, a folder is JSON Lines."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TypeAlias

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.jsonl import JsonlTape, JsonlTapeReader, is_jsonl_tape
from tickdeck.infrastructure.tape.sqlite import SqliteTape, SqliteTapeReader

__all__ = ["IN_A_RUN", "AnyReader", "AnyTape", "form_of", "is_tape", "open_reader", "open_tape", "tape_path"]

IN_A_RUN = {"sqlite": "tape.db", "jsonl": "tape"}
"""The formats, and the name of the tape in a run's folder for each."""

AnyTape: TypeAlias = SqliteTape | JsonlTape
AnyReader: TypeAlias = SqliteTapeReader | JsonlTapeReader


def form_of(path: Path) -> str:
    """``jsonl`` for a folder, otherwise ``sqlite``."""
    return "jsonl" if path.is_dir() else "sqlite"


def is_tape(path: Path) -> bool:
    """True if ``path`` is a tape itself, not the folder of a run. Raises ``TapeError`` for a folder that cannot be
    read."""
    return path.is_file() or is_jsonl_tape(path)


def tape_path(run: Path, form: str = "sqlite") -> Path:
    """The path of the tape in the run folder ``run``; if there is none yet, the path of one in ``form``. The path of a
    tape is returned unchanged."""
    if is_tape(run):
        return run
    for name in IN_A_RUN.values():
        if (run / name).exists():
            return run / name
    return run / IN_A_RUN[form]


def open_tape(path: Path, form: str | None = None, *, linger_ms: float = 5.0) -> AnyTape:
    """Open the tape ``path`` for writing, or create one in ``form`` (``None``: SQLite). Raises the errors of
    ``SqliteTape`` and ``JsonlTape``."""
    _check_place(path)
    if path.exists():
        form = form_of(path)
    return JsonlTape(path, linger_ms=linger_ms) if form == "jsonl" else SqliteTape(path, linger_ms=linger_ms)


def open_reader(path: Path) -> AnyReader:
    """Open the tape ``path`` for reading. Raises the errors of ``SqliteTapeReader`` and ``JsonlTapeReader``."""
    _check_place(path)
    return JsonlTapeReader(path) if path.is_dir() else SqliteTapeReader(path)


def _check_place(path: Path) -> None:
    """Raise ``TapeError`` if no tape can be at ``path``: its name is too long, or a device or a pipe is there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TapeError(f"{path}: cannot open the tape: {reason}; name another path") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise TapeError(f"{path}: this is neither a file nor a folder, but a device or a pipe; name another path")
