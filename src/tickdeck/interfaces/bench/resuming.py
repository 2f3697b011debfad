"""The time to resume a run, by its length."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tickdeck.bootstrap import LiveRun, Session, resume_run, start_run
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.interfaces.bench.session import Figures
from tickdeck.interfaces.bench.session import Session as Measurement
from tickdeck.interfaces.bench.tape import Folders

__all__ = ["ALL_STATES", "STRATEGIES", "Resumed", "resume", "resume_copy", "simulated_run"]

STRATEGIES = (StrategyConfig(spec="ema-cross"), StrategyConfig(spec="market-maker"))
ALL_STATES = 2
"""How many snapshots of its whole state a run keeps."""


class Resumed(NamedTuple):
    """Seconds of the processor to open a run, and from then on until it continues. ``passed``: seconds of both on the
    clock. ``restored_from``: the ``seq`` of the snapshot, 0 without one."""

    opened: float
    continued: float
    passed: float
    restored_from: int

    @property
    def seconds(self) -> float:
        return self.opened + self.continued


def resume(*, count: int, state_every: int, folder: str) -> Measurement:
    """CPU seconds to open and continue a run of ``count`` events or slightly more as after a kill; ``behind`` is how
    many of its ``events`` follow the snapshot. The ceiling does the same without snapshots."""
    run = simulated_run(Path(folder) / "run", count, state_every=state_every)
    events = int(_states(run)[0].stem)
    folders = Folders(folder)

    def session() -> Figures:
        place = folders.fresh()
        killed = resume_copy(run, place / "killed", forget=1)
        executed = resume_copy(run, place / "executed", forget=ALL_STATES)
        behind = events - killed.restored_from
        return {"value": killed.seconds, "ceiling": executed.seconds, "events": events, "behind": behind}

    return session


def simulated_run(data: Path, events: int, *, state_every: int = RunConfig().state_every) -> Path:
    """The folder of a run on the simulated market that was stopped after so many ``events``, at its driver's next
    pause."""
    run = start_run(RunConfig(strategies=STRATEGIES, duration=Decimal(events), state_every=state_every), data)
    _drive(run, lambda: run.kernel.seq >= events)
    return run.folder


def resume_copy(folder: Path, place: Path, *, forget: int = 0) -> Resumed:
    """Resume a copy of a stopped run without its newest ``forget`` snapshots; without the newest one, which the stop
    took, it is as after a kill. A live run asks its exchange later."""
    copy = shutil.copytree(folder, place / folder.name)
    for newest in _states(copy)[:forget]:
        newest.unlink()
    at, began = time.perf_counter(), time.process_time()
    run = resume_run(copy)
    opened = time.process_time()
    if isinstance(run, LiveRun):
        asyncio.run(run.driver.begin())
        run.close()
    else:
        _drive(run, run.caught_up)
    continued = time.process_time() - opened
    return Resumed(opened - began, continued, time.perf_counter() - at, run.restored_from or 0)


def _states(run: Path) -> list[Path]:
    """The snapshots of a run, each named by its ``seq``, the newest first. The newest is from the stop."""
    return sorted((run / "states").glob("*"), key=lambda path: -int(path.stem))


def _drive(run: Session, enough: Callable[[], bool]) -> None:
    def stop(_: int) -> None:
        if enough():
            run.driver.request_stop()

    try:
        asyncio.run(run.drive(None, progress=stop))
    finally:
        run.close()
