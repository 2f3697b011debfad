"""Runs a run from the command line: the event loop, signals, progress line and log."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TextIO

import msgspec

from tickdeck.application.engines import why_meaningless
from tickdeck.application.engines.trading_gate import HaltedBy
from tickdeck.application.log import bound_logger
from tickdeck.application.proof import RecordDiverged
from tickdeck.bootstrap import SessionQueries
from tickdeck.errors import ConfigError, InputError, RunError, TapeError, TickdeckError
from tickdeck.infrastructure.control import CommandDesk, ControlServer
from tickdeck.infrastructure.event_log import log_events
from tickdeck.infrastructure.listening import listen_address
from tickdeck.infrastructure.logs import last_logged_seq, log_to
from tickdeck.infrastructure.runs import discard_run, overview
from tickdeck.infrastructure.watchdog import running_handler
from tickdeck.interfaces.cli.exits import FAULT, origin
from tickdeck.interfaces.cli.live import CLEAR, Progress
from tickdeck.interfaces.cli.output import note
from tickdeck.interfaces.cli.printed import Printed
from tickdeck.interfaces.cli.stopping import Stopping

if TYPE_CHECKING:
    from tickdeck.application.results import Summary
    from tickdeck.bootstrap import Session
    from tickdeck.interfaces.cli.live import LiveView
    from tickdeck.interfaces.monitoring import MonitoringServer, RunWatch

__all__ = ["Outcome", "SnapshotDiverged", "discard", "discard_unbegun", "drive", "monitor"]


class Outcome(msgspec.Struct, frozen=True):
    """The figures of a run that ended, and the signal that stopped it early, if any."""

    summary: Summary
    stopped_by: signal.Signals | None


def drive(
    run: Session,
    speed: float | None,
    *,
    details: bool,
    live: bool = False,
    log_level: str = "warning",
    log_format: str | None = None,
    log_stream: TextIO | None = None,
    monitoring: Monitoring | None = None,
) -> Outcome:
    """Run to the end, or until the first SIGINT, SIGTERM or SIGHUP. The signal stops the run after the current cascade,
    so that it can be resumed. A second signal, five seconds, or SIGQUIT end the process immediately.

    When this returns or raises, everything is on disk and the tape is closed. ``speed`` is as in ``Simulation.run``.
    ``live`` shows the live view if the terminal has room for it, otherwise one line. Log records from ``log_level``
    upwards go to ``log_stream`` or stderr, as ``log_format`` (``text`` or ``json``) says, with tracebacks if
    ``details`` is true; and to the run's folder. A resumed run prints nothing while it executes its past again.
    ``monitoring`` is what ``monitor`` returned.

    Raises ``TapeError`` if the tape is not in the run's folder at the end.
    """
    began = time.perf_counter()
    log = bound_logger("tickdeck.run")
    kernel, main = run.kernel, threading.get_ident()
    past_seq = run.tape.last_seq and max(run.tape.last_seq, last_logged_seq(run.folder))

    def past() -> bool:
        return kernel.seq <= past_seq and kernel.current is not None

    ending = contextlib.ExitStack()
    if monitoring is not None:
        ending.callback(monitoring.server.close)
    progress, stream, before = _progress(run, live, past_seq)

    def last_words(why: str) -> None:
        place = running_handler(main)
        doing = f"a handler was running: {place}; " if place else ""
        with contextlib.suppress(TickdeckError):  # a tape that failed cannot store more
            run.tape.wait_durable(run.tape.last_seq)
        _log_end(log, run, f"ended immediately, {why}")
        progress.leave()
        note(
            f"run {run.manifest.run_id} was ended immediately, {why}; {doing}{_left_open(run)}"
            f"`tickdeck run --resume {run.manifest.run_id}` continues it"
        )

    async def work() -> None:
        try:
            accounts = [account.account_id for account in run.core.accounts]
            desk = CommandDesk(
                run.kernel,
                run.tape.read,
                accounts=accounts,
                symbols=run.manifest.symbols,
                caught_up=run.caught_up,
                why_not=partial(why_meaningless, run.core.strategies),
            )
            async with ControlServer(run.folder, desk, SessionQueries(run).answer):
                if monitoring is not None:
                    ending.enter_context(monitoring.server.serving(monitoring.watch))
                await run.drive(speed, progress=_telling_what_is_off(run, progress))
        except TapeError:
            with contextlib.suppress(TapeError):  # closing fails for the same reason, and says less
                close()
            raise
        except Exception as error:
            try:
                close()
            except TapeError as why:  # the tape is why the run could not go on
                raise TapeError("; ".join((str(why), *run.remarks))) from error
            raise
        except BaseException:
            close()
            raise
        close()

    def close() -> None:
        stopping.settled()
        ending.close()
        try:
            run.close()
        finally:
            progress.close()

    try:
        with (
            log_to(
                log_stream or stream,
                people=None if log_format is None else log_format == "text",
                level=log_level,
                folder=run.folder,
                run=run.manifest.run_id,
                current=lambda: kernel.current,
                place=origin,
                details=details,
                before=before if log_stream is None else "",
                past=past,
            ),
            contextlib.redirect_stdout(Printed(stream, past)),
            Stopping(run.driver.request_stop, last_words) as stopping,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            strategies = [record.strategy_id for record in run.manifest.strategies]
            log_events(kernel, run.config.log_events)
            run.on_hang = lambda text: stopping.end("because a handler did not return", FAULT)
            log.info("run begins", strategies=strategies, symbols=run.manifest.symbols, resumed=bool(past_seq))
            try:
                runner.run(work())
            except BaseException as error:
                _log_end(log, run, f"{type(error).__name__}: {error}")
                raise
            _log_end(log, run, f"stopped by {stopping.stopped_by.name}" if stopping.stopped_by else "")
    except ConfigError:  # the log cannot be written
        ending.close()
        run.close()
        raise
    except RecordDiverged as error:
        run_id = run.manifest.run_id
        if run.restored_from is not None:
            run.distrust_snapshots()
            raise SnapshotDiverged(
                f"run {run_id} differs from its record after its snapshot at seq {run.restored_from}; the snapshot is "
                "removed, and the whole record is executed again"
            ) from error
        raise RunError(
            f"run {run_id} does not reproduce its record: {error}; `tickdeck verify {run_id}` shows why"
        ) from error
    except InputError as error:
        raise InputError(f"{error}{_after_broken_input(run)}") from error
    summary = run.summary(time.perf_counter() - began)
    if stopping.stopped_by is None or summary.status == "completed":
        return Outcome(summary, None)
    by = "Ctrl-C" if stopping.stopped_by is signal.SIGINT else stopping.stopped_by.name
    return Outcome(msgspec.structs.replace(summary, reason=f"stopped by {by}"), stopping.stopped_by)


class SnapshotDiverged(RunError):
    """A run that continued from a snapshot differs from its record. Resume it again: it has no snapshots now."""


class Monitoring(NamedTuple):
    """A server that listens, and what it will show."""

    server: MonitoringServer
    watch: RunWatch


def monitor(run: Session, address: str | None) -> Monitoring | None:
    """Listen at ``address``, or where the run's configuration says; ``None`` if neither is given. If that fails, the
    run is discarded, and ``ConfigError`` raised."""
    where = address if address is not None else run.config.metrics
    if where is None:
        return None
    try:
        try:
            from tickdeck.interfaces.monitoring import MonitoringServer, RunWatch
        except ImportError:
            raise ConfigError("metrics need one more package; install it: pip install 'tickdeck[metrics]'") from None
        server = MonitoringServer(*listen_address("metrics", where))
    except ConfigError:
        discard(run)
        raise
    note(f"metrics: {server.url}")
    return Monitoring(server, RunWatch(run))


def discard(run: Session) -> None:
    """Close a run that will not be driven, and remove its folder if nothing was recorded in it."""
    run.close()
    if not overview(run.folder).events:
        discard_run(run.folder)


def discard_unbegun(run: Session) -> None:
    """Remove the folder of a closed new run that failed before its first event, for example because the exchange
    refused its key."""
    if not run.resumed and not run.kernel.seq and run.folder.exists():
        discard_run(run.folder)


def _log_end(log: object, run: Session, reason: str) -> None:
    """Write the log's closing line, whatever ended the run."""
    reason = reason or ("completed" if run.driver.completed else "stopped")
    kernel = run.kernel
    log.info(  # type: ignore[attr-defined]
        "run ends", events=kernel.seq, inputs=kernel.inputs, completed=run.driver.completed, reason=reason
    )


def _after_broken_input(run: Session) -> str:
    """What the user can do with the run next. A run that never began is removed."""
    if not overview(run.folder).events:
        discard_run(run.folder)
        return ""
    return f"; then start a new run: {run.manifest.run_id} cannot be resumed, because its inputs changed"


def _progress(run: Session, live: bool, past_seq: int) -> tuple[Progress | LiveView, TextIO, str]:
    """The display of progress, the place where log lines go meanwhile, and the prefix of each line."""
    if live:
        from tickdeck.interfaces.cli.live import LiveView, can_show

        if can_show(sys.stderr):
            view = LiveView(run, sys.stderr)
            return view, view.stream, ""
    return Progress(run, sys.stderr, past_seq=past_seq), sys.stderr, CLEAR


def _telling_what_is_off(run: Session, progress: Callable[[int], None]) -> Callable[[int], None]:
    """``progress``, which also warns of halts and paused strategies of the past when the run has caught up with it."""
    if not (run.resumed or run.manifest.is_live):
        return progress
    told = False

    def tell(ts: int) -> None:
        nonlocal told
        if not told and run.caught_up():
            told = True
            for text in _what_is_off(run):
                bound_logger("tickdeck.run").warning(text)
        progress(ts)

    return tell


def _what_is_off(run: Session) -> Iterator[str]:
    """What does not trade, and the command that changes it."""
    run_id, accounts = run.manifest.run_id, run.core.accounts
    for account in accounts:
        gate = account.risk.gate
        if gate.is_halted:
            where = f"account {account.portfolio.account_id}: " if len(accounts) > 1 else ""
            then = "it cannot be resumed" if gate.is_closed else f"`tickdeck resume {run_id}` ends that"
            if gate.halted_by is HaltedBy.SURROUNDINGS:
                then = "it resumes by itself when nothing is wrong any more"
            yield f"{where}trading is halted, {gate.described}; {then}"
    for strategy_id in run.core.strategies.paused:
        yield (
            f"strategy {strategy_id} is paused; `tickdeck show {run_id} strategies` says why, and "
            f"`tickdeck strategy {run_id} activate {strategy_id}` ends that"
        )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop if it is installed; ``None`` means asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _left_open(run: Session) -> str:
    """How many real orders may be open at the exchange. Any thread may ask."""
    if not run.config.live:
        return ""
    try:
        count: int | str = sum(len(account.execution.open_of()) for account in run.core.accounts)
    except RuntimeError:  # the run's own thread opens or ends one at this moment
        count = "some"
    return f"{count} of its orders may be open at the exchange; " if count else ""
