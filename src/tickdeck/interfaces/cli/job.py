"""Driving a run from the command line: the event loop, the signals, the progress line."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tickdeck.application.record import RecordDiverged
from tickdeck.errors import InputError, RunError
from tickdeck.infrastructure.run_overview import overview
from tickdeck.infrastructure.runs import discard_run
from tickdeck.interfaces.cli.faults import FaultLines, fault_lines
from tickdeck.interfaces.cli.progress import Progress

if TYPE_CHECKING:
    from tickdeck.application.summary import Summary
    from tickdeck.bootstrap import Run

__all__ = ["Outcome", "drive"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Outcome(msgspec.Struct, frozen=True):
    """The figures of a run that ended, and the signal that ended it early, if one did."""

    summary: Summary
    stopped_by: signal.Signals | None


def drive(run: Run, speed: float | None, *, details: bool) -> Outcome:
    """Run to the end, or to the first SIGINT or SIGTERM: then stop between two inputs, so that the run can be resumed.

    Everything is on disk and the tape closed when this returns or raises. ``speed`` as in ``Simulation.run``.
    """
    began = time.perf_counter()
    stopped_by: list[signal.Signals] = []
    progress = Progress(run, sys.stderr)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, stopped_by.append, number)
        try:
            await run.simulation.run(speed, stop=lambda: bool(stopped_by), progress=progress, pace_from=run.caught_up)
        finally:
            try:
                run.close()  # in here, where a second Ctrl-C cannot disturb it
            finally:
                progress.close()

    try:
        with (
            fault_lines(FaultLines(sys.stderr, details=details)),
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            runner.run(work())
    except RecordDiverged as error:
        run_id = run.manifest.run_id
        raise RunError(
            f"run {run_id} does not repeat what it recorded: {error}; `tickdeck verify {run_id}` shows why"
        ) from error
    except InputError as error:
        raise InputError(f"{error}{_after_broken_input(run)}") from error
    summary = run.summary(time.perf_counter() - began)
    if not stopped_by or summary.status == "completed":
        return Outcome(summary, None)
    by = "Ctrl-C" if stopped_by[0] is signal.SIGINT else stopped_by[0].name
    return Outcome(msgspec.structs.replace(summary, reason=f"stopped by {by}"), stopped_by[0])


def _after_broken_input(run: Run) -> str:
    """What follows for the run; one that never began is taken away."""
    if not overview(run.folder).events:
        discard_run(run.folder)
        return ""
    return f"; then start a new run: {run.manifest.run_id} ends there, since no run is resumed on inputs that changed"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed; ``None`` is asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
