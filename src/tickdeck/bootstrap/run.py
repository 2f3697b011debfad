"""A new or a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.application.clock import WallClock
from tickdeck.application.drivers import Simulation
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.ports import EdgeCursors, Tape
from tickdeck.application.proof import CatchingUpKernel, RecordCheck
from tickdeck.application.redaction import REDACTED
from tickdeck.application.results import backtest_figures
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.new_run import prepare
from tickdeck.bootstrap.proof import examine
from tickdeck.bootstrap.record import market_for_venue
from tickdeck.bootstrap.session import RESERVED, Session
from tickdeck.bootstrap.strategies import strategies_as_recorded
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import RunError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.runs import (
    Manifest,
    read_end,
    read_manifest,
    settings_of,
)
from tickdeck.infrastructure.runs.secrets import SECRETS
from tickdeck.infrastructure.tape.opening import open_reader, open_tape, tape_path

__all__ = ["Run", "resume_run", "start_run"]

_LINGER_MS = (
    100.0  # nothing waits for commits of a virtual run, and fewer commits leave more time for the kernel's thread
)


def _is_from_outside(event: DomainEvent) -> bool:
    """An input that a run on the simulated market does not produce again."""
    return event.source not in RESERVED and not event.is_market_data


def _is_from_outside_files(event: DomainEvent) -> bool:
    """The same for a run on files, whose market data is not on the tape."""
    return event.source not in RESERVED


class Run(Session):
    """A run on files or on the simulated market, on the virtual clock. It is ready: ``await simulation.run(...)``, then
    ``close()``."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        config: RunConfig,
        strategies: list[tuple[str, Strategy]],
        tape: Tape,
        *,
        cursors: EdgeCursors | None,
        caught_up: Callable[[], bool] = lambda: True,
        wall: WallClock | None = None,
    ) -> None:
        agenda = Agenda()
        options: dict[str, Any] = {
            "cursors": cursors, "agenda": agenda, "max_cascade": config.max_cascade, "reserved": RESERVED,
        }  # fmt: skip
        kernel = (
            CatchingUpKernel(record=tape, **options) if isinstance(tape, RecordCheck) else Kernel(tape=tape, **options)
        )
        super().__init__(folder, manifest, config, strategies, tape=tape, kernel=kernel, agenda=agenda)
        self._caught_up = caught_up
        self._market = market_for_venue(config, manifest, self.notes, self.core.candles.from_candles())
        self.driver = self.simulation = Simulation(
            kernel,
            agenda,
            self._market,
            wall=wall or SystemClock(),
            started=self._started,
            record_market=not manifest.inputs,
            on_market=self.venue.on_market,
            begin=self.venue.start,
            feed="files" if manifest.inputs else "simulation",
            duration=self._duration,
            observe=self.observer.observe,
            figures=(lambda inputs: backtest_figures(inputs, self.core.portfolio, self.observer))
            if config.backtest
            else None,
        )

    async def drive(self, speed: float | None, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        await self.simulation.run(speed, progress=progress, pace_from=self.caught_up)

    def caught_up(self) -> bool:
        return self._caught_up()

    def _close_market(self) -> None:
        if isinstance(self._market, Generator):
            self._market.close()  # a run that ends early has not read its files to the end


def start_run(config: RunConfig, data_dir: Path, *, wall: WallClock | None = None, whatif_of: str | None = None) -> Run:
    """Create a new run in its own folder under ``data_dir``. Raises ``ConfigError`` or ``InputError`` if it cannot be
    created. ``whatif_of`` is for the manifest."""
    prepared = prepare(config, whatif_of=whatif_of)
    config, strategies = prepared.config, prepared.strategies
    with prepared.created(data_dir, linger_ms=_LINGER_MS) as (folder, manifest, tape):
        return Run(folder, manifest, config, strategies, tape, cursors=tape.cursors, wall=wall)


def resume_run(folder: Path, *, wall: WallClock | None = None) -> Run:
    """The run in ``folder``, ready to be executed again from its start. It is compared with its tape as far as that
    goes, and then continues.

    Raises ``RunError`` if the code or the inputs have changed since the run.
    """
    manifest = read_manifest(folder)
    if manifest.is_live:
        raise RunError(f"run {manifest.run_id} is a live run, which cannot be resumed yet; start a new one")
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
    tape = open_tape(tape_path(folder, config.tape_format), config.tape_format, linger_ms=_LINGER_MS)
    try:
        with open_reader(tape_path(folder)) as reader:
            faults = examine(reader, read_end(folder)).faults
        if faults:
            raise RunError(
                f"run {manifest.run_id} cannot be resumed, because its record was changed: {faults[0]}; "
                "restore it from a copy"
            )
        check = RecordCheck(
            tape.read(), then=tape, from_outside=_is_from_outside_files if manifest.inputs else _is_from_outside
        )
        return Run(
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
