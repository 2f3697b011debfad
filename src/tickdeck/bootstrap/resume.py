"""Continues a run: executes it again up to the end of its tape, and goes on from there."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tickdeck.application.clock import LiveClock, WallClock
from tickdeck.application.proof import RecordCheck
from tickdeck.application.redaction import REDACTED
from tickdeck.bootstrap import live, run
from tickdeck.bootstrap.feeds import live_feed
from tickdeck.bootstrap.live import LiveRun
from tickdeck.bootstrap.live_account import live_account
from tickdeck.bootstrap.proof import examine
from tickdeck.bootstrap.run import Run
from tickdeck.bootstrap.session import RESERVED
from tickdeck.bootstrap.strategies import strategies_as_recorded
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import RunError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.runs import read_end, read_manifest, settings_of
from tickdeck.infrastructure.runs.secrets import SECRETS
from tickdeck.infrastructure.tape.opening import open_reader, open_tape, tape_path

__all__ = ["resume_run"]


def resume_run(folder: Path, *, wall: WallClock | None = None, clock: LiveClock | None = None) -> Run | LiveRun:
    """The run in ``folder``, ready to be executed again from its start. It is compared with its tape as far as that
    goes, and then continues; a live run continues with what its venue sends from now on. ``wall`` paces a run on
    recorded data, ``clock`` is that of a live run.

    Raises ``RunError`` if the code or the inputs have changed since the run, and if it is a live run that is complete.
    """
    folder = folder.absolute()  # a strategy may change the working directory
    manifest = read_manifest(folder)
    settings = settings_of(folder, manifest)
    if REDACTED.encode() in msgspec.json.encode([settings["strategies"], settings.get("signals")]):
        raise RunError(
            f"run {manifest.run_id} has secret parameters, and {SECRETS} in its folder is gone: restore the file, "
            "or start a new run"
        )
    config = config_from_dict(settings)
    strategies, changes = strategies_as_recorded(config, manifest)
    if changes:
        raise RunError(f"{changes[0]}: restore the original, or start a new run")
    end = read_end(folder)
    if manifest.is_live and end is not None and end.completed:
        raise RunError(f"run {manifest.run_id} is complete: its duration was reached; start a new run")
    linger_ms = live.LINGER_MS if manifest.is_live else run.LINGER_MS
    tape = open_tape(tape_path(folder, config.tape_format), config.tape_format, linger_ms=linger_ms)
    try:
        with open_reader(tape_path(folder)) as reader:
            faults = examine(reader, end).faults
        if faults:
            raise RunError(
                f"run {manifest.run_id} cannot be resumed, because its record was changed: {faults[0]}; "
                "restore it from a copy"
            )
        on_tape = not manifest.market_is_elsewhere
        check = RecordCheck(tape.read(), then=tape, from_outside=_is_from_outside if on_tape else _is_not_reserved)
        if manifest.is_live:
            clock = clock or SystemClock()
            return live.LiveRun(
                folder,
                manifest,
                config,
                strategies,
                tape,
                feed=live_feed(config, manifest.symbols),
                clock=clock,
                record=check,
                account=live_account(config, clock) if config.live else None,
            )
        return run.Run(
            folder,
            manifest,
            config,
            strategies,
            check,
            cursors=tape.cursors,
            caught_up=lambda: check.next is None,
            wall=wall,
        )
    except BaseException:
        tape.close()
        raise


def _is_not_reserved(event: DomainEvent) -> bool:
    """An input that a run whose market data is not on the tape does not produce again."""
    return event.source not in RESERVED


def _is_from_outside(event: DomainEvent) -> bool:
    """The same for a run on the simulated market, which produces its market data again."""
    return _is_not_reserved(event) and not event.is_market_data
