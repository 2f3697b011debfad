"""The file ``HALT``: a run begins or continues halted while it exists."""

from __future__ import annotations

from pathlib import Path

from tickdeck.errors import RunError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["lift_halt", "order_halt", "ordered_halt"]

_HALT = "HALT"


def order_halt(folder: Path, reason: str) -> Path:
    """Write the file for the run in ``folder``, synced. Its content is the reason. Raises ``RunError``."""
    path = folder / _HALT
    try:
        replace_file(path, reason.encode(errors="replace") + b"\n", durable=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write it: {error.strerror}") from None
    return path


def ordered_halt(folder: Path, *, beside: bool = False) -> str:
    """The reason for which the run in ``folder`` must begin halted; empty if it need not. With ``beside``, the file
    also counts in the folder of all runs, so that ``touch`` stops everything. A file that cannot be read counts."""
    for path in (folder / _HALT, *([folder.parent / _HALT] if beside else ())):
        try:
            said = path.read_bytes()[:1_000].decode(errors="replace").strip()
        except FileNotFoundError:
            continue
        except OSError as error:
            said = f"it cannot be read: {error.strerror}"
        return said or f"there is a file {_HALT}"
    return ""


def lift_halt(folder: Path) -> bool:
    """Remove the file from the run's folder. Returns whether there was one. Raises ``RunError``."""
    path = folder / _HALT
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"{path}: cannot remove it: {error.strerror}") from None
    return True
