"""A new or a resumed run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec

import tickdeck
from tickdeck.application.bus import ambient_bus
from tickdeck.application.clock import WallClock
from tickdeck.application.drivers import Simulation
from tickdeck.application.engines import (
    VenueGateway,
)
from tickdeck.application.kernel import Agenda, Kernel, money_context
from tickdeck.application.ports import EdgeCursors, Tape
from tickdeck.application.proof import CatchingUpKernel, RecordCheck, RecordQuality
from tickdeck.application.redaction import REDACTED
from tickdeck.application.results import PerformanceObserver, RunObserver, Summary, backtest_figures, summarise
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.proof import examine
from tickdeck.bootstrap.record import market_for_venue
from tickdeck.bootstrap.strategies import by_absolute_path, load_strategies, signal_records, strategies_as_recorded
from tickdeck.domain.events import DomainEvent, RunStarted
from tickdeck.errors import RunError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.exchanges import PaperVenue
from tickdeck.infrastructure.readers import ReadNotes
from tickdeck.infrastructure.runs import (
    InputRecord,
    Manifest,
    StrategyRecord,
    code_digest,
    create_run,
    discard_run,
    input_records,
    read_end,
    read_manifest,
    settings_of,
    symbols_of,
    without_secrets,
    write_end,
)
from tickdeck.infrastructure.runs.folder import here
from tickdeck.infrastructure.runs.secrets import SECRETS
from tickdeck.infrastructure.tape.opening import open_reader, open_tape, tape_path

__all__ = ["Run", "resume_run", "start_run"]

_LINGER_MS = 100.0  # nobody waits for a virtual run's commits, and fewer of them leave more time to the kernel's thread


_RESERVED = frozenset({"driver", "timer", PaperVenue.name})
"""The sources of inputs that a run produces itself, and produces again when resumed. So is market data."""


def _is_from_outside(event: DomainEvent) -> bool:
    """An input that a run on the simulated market does not produce again."""
    return event.source not in _RESERVED and not event.is_market_data


def _is_from_outside_files(event: DomainEvent) -> bool:
    """The same for a run on files, whose market data is not on the tape."""
    return event.source not in _RESERVED


class Run:
    """A run that is ready: ``await simulation.run(...)``, then ``close()``."""

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
        self.folder = folder
        self.manifest = manifest
        self.config = config
        self.tape = tape
        self.caught_up = caught_up
        self.notes: dict[str, ReadNotes] = {}
        """What was skipped in each input file, by file name; filled while the run reads."""
        agenda = Agenda()
        options: dict[str, Any] = {
            "cursors": cursors, "agenda": agenda, "max_cascade": config.max_cascade, "reserved": _RESERVED,
        }  # fmt: skip
        self.kernel = (
            CatchingUpKernel(record=tape, **options) if isinstance(tape, RecordCheck) else Kernel(tape=tape, **options)
        )
        with ambient_bus(self.kernel):  # for subscriptions that strategies make while they are added
            self.core = Core(config, manifest, strategies, self.kernel)
        self.venue = PaperVenue(
            config=config.paper,
            instruments={symbol: config.instrument(symbol) for symbol in manifest.symbols},
            seed=config.seed,
            schedule=agenda.at,
            report=self.kernel.post_own,
        )
        VenueGateway(self.kernel, self.venue)
        self.observer = PerformanceObserver(self.kernel, self.core.portfolio.valuation, self.core.market_data)
        self._ends = RunObserver(self.kernel)
        self._quality = RecordQuality(self.kernel, self.core.market_data)
        self._market = market_for_venue(config, manifest, self.notes, self.core.candles.from_candles())
        self.simulation = Simulation(
            self.kernel,
            agenda,
            self._market,
            wall=wall or SystemClock(),
            started=RunStarted(
                strategies=tuple(strategy_id for strategy_id, _ in strategies),
                symbols=manifest.symbols,
                seed=config.seed,
            ),
            record_market=not manifest.inputs,
            on_market=self.venue.on_market,
            begin=self.venue.start,
            feed="files" if manifest.inputs else "simulation",
            duration=int(config.duration * 1_000_000_000) if config.duration is not None else None,
            observe=self.observer.observe,
            figures=(lambda inputs: backtest_figures(inputs, self.core.portfolio, self.observer))
            if config.backtest
            else None,
        )

    def close(self) -> None:
        """Write everything to disk, close the files, and write where the record ends.

        A resumed run that did not reach the end of its record keeps the earlier note.
        """
        wanted = self.tape.last_seq
        if isinstance(self._market, Generator):
            self._market.close()  # a run that ends early has not read its files to the end
        self.tape.close()
        if self.caught_up():
            write_end(self.folder, wanted=wanted, completed=self.simulation.completed)

    def summary(self, wall_s: float) -> Summary:
        """The run's current figures after ``wall_s`` seconds of work. Works after ``close``, too."""
        core = self.core
        with money_context():
            return summarise(
                run=self.manifest.run_id,
                tape=str(tape_path(self.folder.resolve())),
                kernel=self.kernel,
                portfolio=core.portfolio,
                execution=core.execution,
                observer=self._ends,
                quality=self._quality,
                symbols=self.manifest.symbols,
                paused=core.strategies.paused,
                ticks=self.simulation.market_events,
                latencies_ns=self.simulation.latencies_ns,
                wall_s=wall_s,
            )


def start_run(config: RunConfig, data_dir: Path, *, wall: WallClock | None = None, whatif_of: str | None = None) -> Run:
    """Create a new run in its own folder under ``data_dir``. Raises ``ConfigError`` or ``InputError`` if it cannot be
    created. ``whatif_of`` is for the manifest."""
    config = msgspec.structs.replace(
        config,
        strategies=tuple(map(by_absolute_path, config.strategies)),
        signals={name: by_absolute_path(signal) for name, signal in config.signals.items()},
    )
    signals = signal_records(config)
    strategies, records = load_strategies(config)
    inputs = input_records(config.tapes)
    symbols = symbols_of(config, inputs) or ("BTCUSDT",)
    configured = {symbol: config.instrument(symbol) for symbol in symbols if symbol in config.instruments}
    config = msgspec.structs.replace(config, instruments=configured)  # a venue's file has thousands
    for symbol in symbols:
        config.instrument(symbol)  # refuses what is not certain
    python, machine = here()
    code = code_digest()
    settings = msgspec.to_builtins(config)
    now = datetime.fromtimestamp(time.time(), UTC)
    manifest = Manifest(
        run_id=f"{now:%Y%m%d-%H%M%S}-{token_hex(3)}",
        nonce=_nonce(settings, inputs, (*records, *signals), symbols, code),
        created_at=now.isoformat(),
        tickdeck=tickdeck.__version__,
        code=code,
        python=python,
        machine=machine,
        symbols=symbols,
        config=settings,
        inputs=inputs,
        strategies=records,
        signals=signals,
        whatif_of=whatif_of,
    )
    manifest, secrets = without_secrets(manifest)
    folder = create_run(data_dir, manifest, secrets)
    tape = open_tape(tape_path(folder, config.tape_format), config.tape_format, linger_ms=_LINGER_MS)
    try:
        return Run(folder, manifest, config, strategies, tape, cursors=tape.cursors, wall=wall)
    except BaseException:  # for example an unknown signal: the run never began
        tape.close()
        discard_run(folder)
        raise


def _nonce(
    settings: dict[str, Any],
    inputs: tuple[InputRecord, ...],
    strategies: tuple[StrategyRecord, ...],
    symbols: tuple[str, ...],
    code: str,
) -> str:
    """The nonce, derived from everything that determines the run's events, but not from the location of its files, so
    that two equal runs are identical to the byte."""
    elsewhere = ("tapes", "strategies", "signals", "tape_format")
    what = {name: value for name, value in settings.items() if name not in elsewhere}
    asked = [(tape["venue"], tape["interval"]) for tape in settings["tapes"]]
    read = [(record.format, record.symbol, *how, record.sha256) for record, how in zip(inputs, asked, strict=True)]
    loaded = [(record.strategy_id, record.parameters, record.sha256) for record in strategies]
    return hashlib.sha256(msgspec.json.encode([what, read, loaded, symbols, code], order="sorted")).hexdigest()[:16]


def resume_run(folder: Path, *, wall: WallClock | None = None) -> Run:
    """The run in ``folder``, ready to be executed again from its start. It is compared with its tape as far as that
    goes, and then continues.

    Raises ``RunError`` if the code or the inputs have changed since the run.
    """
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
