"""How a run ended: a small file in its folder, which an orderly end writes when everything is on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.tape.opening import open_reader, tape_path
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["END", "RunEnd", "read_end", "write_end"]

END = "end.json"


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """``last_seq`` and ``digest`` of the tape when the run stopped in order. ``completed``: it came to its end, as
    opposed to Ctrl-C, after which it may be resumed."""

    format: int = 1
    last_seq: int
    digest: str | None
    completed: bool


def write_end(folder: Path, *, wanted: int, completed: bool) -> None:
    """Write down, synced, where the closed tape of the run ends. Nothing is written for a run without events.

    ``wanted`` is the ``seq`` of the last event that was recorded. Raises ``TapeError`` if the tape does not have it:
    its folder was deleted or moved while the run was going on, which nothing else notices, since a deleted file can
    still be written to. Raises ``RunError`` or ``TapeError`` if the end cannot be written.
    """
    try:
        with open_reader(tape_path(folder)) as tape:
            mark, last_seq = tape.mark(), tape.last_seq
    except TapeError:
        if tape_path(folder).exists():
            raise
        mark, last_seq = None, -1
    if last_seq < wanted:
        raise TapeError(
            f"run {folder.name} has no tape: {tape_path(folder)} was deleted or moved while the run was going on; "
            "start the run again, and leave its folder alone"
        )
    if not last_seq:
        return
    end = RunEnd(last_seq=last_seq, digest=mark.digest if mark is not None else None, completed=completed)
    path = folder / END
    try:
        replace_file(path, msgspec.json.encode(end) + b"\n", durable=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write how the run ended: {error.strerror}; look at the disk") from None
    except TapeError as error:  # what syncing raises
        raise RunError(f"cannot write how the run ended: {error}") from None


def read_end(folder: Path) -> RunEnd | None:
    """``None`` where the run was killed, is still running, or is older than these files. Raises ``RunError`` where the
    file was changed."""
    path = folder / END
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunEnd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot read it: {error.strerror}; mend its permissions") from None
    except msgspec.MsgspecError as error:
        raise RunError(f"{path}: {error}; the file was changed, bring it back from a copy") from None
