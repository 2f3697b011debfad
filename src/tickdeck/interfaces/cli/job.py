"""Driving a run from the command line: the event loop, the signals, the progress line."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import msgspec

from tickdeck.application.log import bound_logger
from tickdeck.application.proof import RecordDiverged
from tickdeck.errors import ConfigError, InputError, RunError
from tickdeck.infrastructure.logs import log_to
from tickdeck.infrastructure.runs import discard_run, overview
from tickdeck.interfaces.cli.exits import origin
from tickdeck.interfaces.cli.live import CLEAR, Progress

if TYPE_CHECKING:
    from tickdeck.application.results import Summary
    from tickdeck.bootstrap import Run
    from tickdeck.interfaces.cli.live import LiveView

__all__ = ["Outcome", "drive"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Outcome(msgspec.Struct, frozen=True):
    """The figures of a run that ended, and the signal that ended it early, if one did."""

    summary: Summary
    stopped_by: signal.Signals | None


def drive(run: Run, speed: float | None, *, details: bool, live: bool = False, log_level: str = "warning") -> Outcome:
    """Run to the end, or to the first SIGINT or SIGTERM: then stop between two inputs, so that the run can be resumed.

    Everything is on disk and the tape closed when this returns or raises. ``speed`` as in ``Simulation.run``. ``live``:
    the live view where the terminal has room for it, else a line. The log goes to stderr from ``log_level`` on, with
    tracebacks where ``details`` are wanted, and to the run's folder.
    """
    began = time.perf_counter()
    stopped_by: list[signal.Signals] = []
    progress, stream, before = _progress(run, live)
    log = bound_logger("tickdeck.run")

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
            log_to(
                stream,
                level=log_level,
                folder=run.folder,
                run=run.manifest.run_id,
                current=lambda: run.kernel.current,
                place=origin,
                details=details,
                before=before,
            ),
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            strategies = [record.strategy_id for record in run.manifest.strategies]
            log.info("run begins", strategies=strategies, symbols=run.manifest.symbols)
            runner.run(work())
            log.info("run ends", events=run.kernel.seq, inputs=run.kernel.inputs, completed=run.simulation.completed)
    except ConfigError:  # there is no place for the log
        run.close()
        raise
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


def _progress(run: Run, live: bool) -> tuple[Progress | LiveView, TextIO, str]:
    """What shows people how the run is going, where log lines go meanwhile, and what each of them begins with."""
    if live:
        from tickdeck.interfaces.cli.live import LiveView, can_show

        if can_show(sys.stderr):
            view = LiveView(run, sys.stderr)
            return view, view.stream, ""
    return Progress(run, sys.stderr), sys.stderr, CLEAR


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed; ``None`` is asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
