"""How a run ended: a small file in its folder, written when a run stops in order and everything is on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tickdeck.domain.values import Money
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.frame_members import FramesMark
from tickdeck.infrastructure.tape.jsonl import is_jsonl_tape
from tickdeck.infrastructure.tape.opening import open_reader, tape_path
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["END", "RunEnd", "RunFigures", "read_end", "write_end"]

END = "end.json"
_CHAINED = 2


class RunFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures for comparing runs, as in the summary. Money is in ``currency``."""

    currency: str
    equity: Money
    pnl: Money
    fills: int
    trades: int
    max_drawdown: float


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """``last_seq`` and ``digest`` of the tape when the run stopped in order. ``completed``: it reached its end.
    Otherwise Ctrl-C stopped it, and you can resume it. ``frames``: the digest of a live run's first ``frame_count``
    frames, all that it had then. In format 1 this is the digest of their undivided text, perhaps without the count;
    since format 2, that of their chained members. ``reached``: the ``seq`` of the run's last
    event, which is after ``last_seq`` if market data that is not on the tape followed; 0 from older versions.
    ``in_order``: nothing was interrupted, so all that followed is on the tape; false from older versions.
    ``figures``: for lists of runs; not a part of the record."""

    format: int = 2
    last_seq: int
    digest: str | None
    completed: bool
    frames: str | None = None
    frame_count: int | None = None
    reached: int = 0
    in_order: bool = False
    figures: RunFigures | None = None

    @property
    def frames_mark(self) -> FramesMark | None:
        """Of a live run since format 2: its frames then."""
        if self.format < _CHAINED or self.frames is None or self.frame_count is None:
            return None
        return FramesMark(self.frame_count, self.frames)

    def end_of(self, last_seq: int) -> int:
        """The ``seq`` of the run's last event, if the last one on its tape is ``last_seq``. A run that went on after
        this end has no other than that."""
        return max(self.reached, last_seq) if last_seq == self.last_seq else last_seq

    def in_order_at(self, last_seq: int) -> int:
        """The ``seq`` up to which everything that followed is on the tape, whose last event is ``last_seq`` now; 0 if
        that is not known."""
        return self.reached if self.in_order and last_seq == self.last_seq else 0

    def figures_at(self, last_seq: int) -> RunFigures | None:
        """The figures, if the last event on the tape is ``last_seq`` now: a run that went on has others."""
        return self.figures if last_seq == self.last_seq else None


def write_end(
    folder: Path,
    *,
    wanted: int,
    reached: int,
    in_order: bool,
    completed: bool,
    frames: FramesMark | None = None,
    figures: RunFigures | None = None,
) -> None:
    """Write and sync the end of the run's closed tape. Writes nothing for a run without events.

    ``wanted`` is the ``seq`` of the last event on the tape. ``reached``, ``in_order`` and ``figures`` are as in
    ``RunEnd``; ``frames`` are those of a live run.

    Raises ``TapeError`` if the tape does not contain ``wanted``. This happens if the folder was deleted or moved during
    the run. No write reports that, because a process can still write to a deleted file. Raises ``RunError`` or
    ``TapeError`` if the file cannot be written."""
    try:
        with open_reader(tape_path(folder)) as tape:
            mark, last_seq = tape.mark(), tape.last_seq
    except TapeError:
        path = tape_path(folder)
        if path.is_file() or is_jsonl_tape(path):
            raise
        mark, last_seq = None, -1
    if last_seq < wanted:
        raise TapeError(
            f"run {folder.name} has no tape: {tape_path(folder)} was deleted or moved during the run; "
            "start the run again, and do not touch its folder"
        )
    if not last_seq:
        return
    end = RunEnd(
        last_seq=last_seq,
        digest=mark.digest if mark is not None else None,
        completed=completed,
        frames=frames.digest if frames is not None else None,
        frame_count=frames.frames if frames is not None else None,
        reached=reached,
        in_order=in_order,
        figures=figures,
    )
    path = folder / END
    try:
        replace_file(path, msgspec.json.encode(end) + b"\n", durable=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write how the run ended: {error.strerror}; check the disk") from None
    except TapeError as error:  # what syncing raises
        raise RunError(f"cannot write how the run ended: {error}") from None


def read_end(folder: Path) -> RunEnd | None:
    """Read the file. Returns ``None`` if the run was killed, is still running, or is older than these files. Raises
    ``RunError`` if the file was changed, or has a newer format."""
    path = folder / END
    try:
        end = msgspec.json.decode(path.read_bytes(), type=RunEnd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot read it: {error.strerror}; correct its permissions") from None
    except msgspec.MsgspecError as error:
        raise RunError(f"{path}: {error}; the file was changed, restore it from a copy") from None
    if end.format > _CHAINED:
        raise RunError(f"{path}: format {end.format} is newer than this Tickdeck; update it to read this run")
    return end
