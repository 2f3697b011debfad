"""Measures how long it takes to resume a run, by its length.

    python tools/time_to_resume.py 10000 100000

Makes a run on the simulated market for each number of events, stops it there, and resumes copies of it: with the same
code, which executes the record again, and with other code, which restores the state from it. Prints seconds of the
processor. Uses a temporary folder.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tickdeck import bootstrap
from tickdeck.bootstrap import Session, resume_run, start_run
from tickdeck.infrastructure.config import RunConfig, StrategyConfig


def main(lengths: list[int]) -> None:
    own = bootstrap.strategies.code_digest  # type: ignore[attr-defined]
    print("events      read the tape   execute it again   restore from it")
    for length in lengths:
        with tempfile.TemporaryDirectory() as data:
            folder = make(Path(data), length)
            bootstrap.strategies.code_digest = own  # type: ignore[attr-defined]
            reading, executing = resume(folder, Path(data) / "same")
            bootstrap.strategies.code_digest = lambda: "other"  # type: ignore[attr-defined]
            _, taking_up = resume(folder, Path(data) / "other")
            print(f"{length:>9,}  {reading:>14.1f}  {executing:>17.1f}  {taking_up:>11.1f}", flush=True)


def make(data: Path, events: int) -> Path:
    strategies = (StrategyConfig(spec="ema-cross"), StrategyConfig(spec="market-maker"))
    run = start_run(RunConfig(strategies=strategies, duration=Decimal(events)), data)
    drive(run, lambda: run.kernel.seq >= events)
    return run.folder


def resume(folder: Path, place: Path) -> tuple[float, float]:
    """Seconds of the processor to read the tape, and from then on until the run continues."""
    copy = shutil.copytree(folder, place / folder.name)
    began = time.process_time()
    run = resume_run(copy)
    read = time.process_time()
    drive(run, run.caught_up)
    return read - began, time.process_time() - read


def drive(run: Session, enough: Callable[[], bool]) -> None:
    def stop(_: int) -> None:
        if enough():
            run.driver.request_stop()

    try:
        asyncio.run(run.drive(None, progress=stop))
    finally:
        run.close()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10_000, 100_000])
