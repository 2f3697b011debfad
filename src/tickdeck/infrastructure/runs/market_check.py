"""Checks the recorded market data of a live run beside its tape."""

from __future__ import annotations

from pathlib import Path

from tickdeck.errors import TapeError
from tickdeck.infrastructure.frame_chain import frame_faults
from tickdeck.infrastructure.frames import FOLDER
from tickdeck.infrastructure.runs.ending import read_end
from tickdeck.infrastructure.tape.tools.checking import CheckReport

__all__ = ["check_market_data"]


def check_market_data(folder: Path, report: CheckReport) -> None:
    """Read all recorded market data of the run in ``folder`` that is within reach, and add to ``report`` what shows
    that it was changed since: up to the first damage. Raises ``RunError`` if it is not known how the run ended."""
    frames = folder / FOLDER
    if not frames.is_dir():
        return
    end = read_end(folder)
    try:
        faults = frame_faults(frames, end.frames_mark if end is not None else None)
    except TapeError as error:
        faults = [str(error)]
    for fault in faults:
        report.add("market data", fault)
    report.checked.append("the recorded market data: the checksums of each write, and the digest")
