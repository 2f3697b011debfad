"""The one place where the parts are put together: a run, a resumed run, a proof."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

import tickdeck
from tickdeck.application.agenda import Agenda
from tickdeck.application.clock import WallClock
from tickdeck.application.dead_letters import dead_letters_on
from tickdeck.application.engines.execution import ExecutionEngine
from tickdeck.application.engines.feed_monitor import FeedMonitor
from tickdeck.application.engines.heartbeat import HeartbeatEngine
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.risk import RiskEngine
from tickdeck.application.engines.signals import SignalEngine
from tickdeck.application.engines.strategies import StrategyEngine, strategy_ids
from tickdeck.application.gateway import VenueGateway
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import Tape, TapeQuery
from tickdeck.application.record import RecordCheck, merge_record
from tickdeck.application.record_quality import RecordQuality
from tickdeck.application.report import PerformanceObserver, backtest_figures
from tickdeck.application.selection import select, takes_market_data
from tickdeck.application.simulation import Simulation
from tickdeck.application.strategy import Strategy
from tickdeck.application.summary import RunObserver, Summary, summarise
from tickdeck.application.verification import Verdict, verify
from tickdeck.domain.account import Account
from tickdeck.domain.events import DomainEvent, RunStarted
from tickdeck.errors import ConfigError, RunError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, config_from_dict, duration_ns
from tickdeck.infrastructure.exchanges import PaperVenue, simulated_market
from tickdeck.infrastructure.inputs import check_inputs, input_records, open_inputs, symbols_of
from tickdeck.infrastructure.runs import (
    InputRecord,
    Manifest,
    StrategyRecord,
    code_digest,
    create_run,
    discard_run,
    here,
    read_manifest,
)
from tickdeck.infrastructure.strategy_loader import load_strategy_class, strategy_name
from tickdeck.infrastructure.strategy_source import source_digest
from tickdeck.infrastructure.tape.opening import AnyReader, open_reader, open_tape, tape_path
from tickdeck.infrastructure.tape.reader import EVERYTHING

__all__ = ["Core", "Run", "close_bus", "open_bus", "open_record", "resume_run", "start_run", "verify_run"]

_LINGER_MS = 100.0  # nobody waits for a virtual run's commits: fewer of them leave the kernel's thread more of the time
_SIMULATION_START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z: a run's events must not depend on today


class Core:
    """The engines around one kernel: the same in a run, in a backtest and in a proof."""

    def __init__(
        self, config: RunConfig, manifest: Manifest, strategies: list[tuple[str, Strategy]], kernel: Kernel
    ) -> None:
        names = [name for _, strategy in strategies for name in strategy.required_signals()]
        candles = any(
            strategy.required_signals() or type(strategy).on_candle is not Strategy.on_candle
            for _, strategy in strategies
        )
        self.kernel = kernel
        self.market_data = MarketDataEngine(
            kernel,
            duration_ns(config.candles) if candles else None,
            snapshot_interval=duration_ns(config.snapshots) if config.snapshots else None,
            snapshot_depth=config.snapshot_depth,
        )
        if config.stale_after:
            FeedMonitor(kernel, duration_ns(config.stale_after))
        if config.heartbeat:
            HeartbeatEngine(kernel, duration_ns(config.heartbeat))
        self.signals = SignalEngine(kernel, self.market_data, names)
        account = Account(config.paper.account_id, config.instrument(manifest.symbols[0]).quote)
        self.portfolio = PortfolioEngine(kernel, account, self.market_data, config.instrument)
        self.execution = ExecutionEngine(kernel, manifest.nonce)
        self.risk = RiskEngine(
            kernel,
            config.risk,
            clock=kernel.clock.now,
            market_data=self.market_data,
            portfolio=self.portfolio,
            execution=self.execution,
            instrument=config.instrument,
        )
        self.strategies = StrategyEngine(
            kernel,
            market_data=self.market_data,
            signals=self.signals,
            execution=self.execution,
            portfolio=self.portfolio,
            symbols=manifest.symbols,
            nonce=manifest.nonce,
            seed=config.seed,
        )
        for strategy_id, strategy in strategies:
            self.strategies.add(strategy_id, strategy)


class Run:
    """A run that is ready to go: ``await simulation.run(...)``, then ``close()``."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        config: RunConfig,
        strategies: list[tuple[str, Strategy]],
        tape: Tape,
        *,
        caught_up: Callable[[], bool] = lambda: True,
        wall: WallClock | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.config = config
        self.tape = tape
        self.caught_up = caught_up
        agenda = Agenda()
        self.kernel = Kernel(tape=tape, agenda=agenda, max_cascade=config.max_cascade)
        self.core = Core(config, manifest, strategies, self.kernel)
        self.venue = PaperVenue(
            config=config.paper,
            instruments={symbol: config.instrument(symbol) for symbol in manifest.symbols},
            seed=config.seed,
            schedule=agenda.at,
            report=self.kernel.post,
        )
        VenueGateway(self.kernel, self.venue)
        self.observer = PerformanceObserver(self.kernel, self.core.portfolio.equity)
        self._ends = RunObserver(self.kernel)
        self._quality = RecordQuality(self.kernel, self.core.market_data)
        self.simulation = Simulation(
            self.kernel,
            agenda,
            market_of(config, manifest),
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
        """Everything on disk, and the files let go."""
        self.tape.close()

    def summary(self, wall_s: float) -> Summary:
        """The run's figures as it stands, after ``wall_s`` seconds of work; also after ``close``."""
        core = self.core
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
            latencies_ns=self.simulation.latencies_ns,
            wall_s=wall_s,
        )


def start_run(config: RunConfig, data_dir: Path, *, wall: WallClock | None = None, whatif_of: str | None = None) -> Run:
    """A new run in a folder of its own under ``data_dir``. Raises ``ConfigError`` or ``InputError`` for what is
    wrong with it. ``whatif_of`` is for the manifest.
    """
    config = msgspec.structs.replace(config, strategies=tuple(map(_by_absolute_path, config.strategies)))
    strategies, records = _load_strategies(config)
    inputs = input_records(config.tapes)
    symbols = symbols_of(config, inputs) or ("BTCUSDT",)
    python, machine = here()
    code = code_digest()
    settings = msgspec.to_builtins(config)
    now = datetime.fromtimestamp(time.time(), UTC)
    manifest = Manifest(
        run_id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        nonce=_nonce(settings, inputs, records, symbols, code),
        created_at=now.isoformat(),
        tickdeck=tickdeck.__version__,
        code=code,
        python=python,
        machine=machine,
        symbols=symbols,
        config=settings,
        inputs=inputs,
        strategies=records,
        whatif_of=whatif_of,
    )
    folder = create_run(data_dir, manifest)
    tape = open_tape(tape_path(folder, config.tape_format), config.tape_format, linger_ms=_LINGER_MS)
    try:
        return Run(folder, manifest, config, strategies, tape, wall=wall)
    except BaseException:  # a signal that does not exist, say: it never was a run
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
    """Made of all that determines the run's events, wherever its files lie, so that two equal runs are equal to the
    byte.
    """
    what = {name: value for name, value in settings.items() if name not in ("tapes", "strategies", "tape_format")}
    venues = [tape["venue"] for tape in settings["tapes"]]
    read = [(record.format, record.symbol, venue, record.sha256) for record, venue in zip(inputs, venues, strict=True)]
    loaded = [(record.strategy_id, record.parameters, record.sha256) for record in strategies]
    return hashlib.sha256(msgspec.json.encode([what, read, loaded, symbols, code], order="sorted")).hexdigest()[:16]


def resume_run(folder: Path, *, wall: WallClock | None = None) -> Run:
    """The run in ``folder``, to be executed again from its start, compared with its tape as far as that goes, and
    continued.

    Raises ``RunError`` where code or inputs are not those of the run any more.
    """
    manifest = read_manifest(folder)
    config = config_from_dict(manifest.config)
    strategies, changes = _strategies_as_recorded(config, manifest)
    if changes:
        raise RunError(f"{changes[0]}: bring back what the run was made with, or start a new run")
    tape = open_tape(tape_path(folder, config.tape_format), config.tape_format, linger_ms=_LINGER_MS)
    try:
        check = RecordCheck(tape.read(), then=tape)
        return Run(folder, manifest, config, strategies, check, caught_up=lambda: check.next is None, wall=wall)
    except BaseException:
        tape.close()
        raise


def verify_run(folder: Path) -> tuple[Verdict, list[str]]:
    """Execute the run's core again on its recorded inputs and compare all that it derives.

    Returns the verdict and, in words, what of the code is not as it was when the run was made. Raises ``RunError``
    where an input file is not.
    """
    manifest = read_manifest(folder)
    config = config_from_dict(manifest.config)
    strategies, changes = _strategies_as_recorded(config, manifest)
    with open_reader(tape_path(folder)) as tape:
        check = RecordCheck(tape.read())
        timers = Agenda()
        kernel = Kernel(tape=check, agenda=timers, max_cascade=config.max_cascade)
        Core(config, manifest, strategies, kernel)
        verdict = verify(kernel, check, market_of(config, manifest) if manifest.inputs else iter(()), timers)
    return verdict, changes


def open_bus(path: Path | str, *, tape_format: str = "sqlite") -> Kernel:
    """A bus of its own with a tape in ``path``, made where there is none, in ``tape_format`` (``sqlite`` or
    ``jsonl``): events are stamped with ids, causes and the wall clock's time, and recorded before edges see them. It
    goes on behind the tape's last event, with the dead letters that were left. ``close_bus`` ends it.
    """
    tape = open_tape(Path(path), tape_format)
    kernel = Kernel(tape=tape, wall_now=time.time_ns, clock=SystemClock())
    last = next(tape.read(TapeQuery(first_seq=tape.last_seq)), None) if tape.last_seq else None
    if last is not None:
        kernel.continue_from(last)
        kernel.restore_dead_letters(
            dead_letters_on(tape.read(TapeQuery(types=("system.event_dead_lettered", "command.*"))))
        )
    return kernel


async def close_bus(bus: Kernel) -> None:
    """Let the edges finish what waits for them, then put everything on disk and let the file go."""
    await bus.aclose()
    bus.close_tape()


def open_record(
    folder: Path | str, query: TapeQuery = EVERYTHING, *, more: Callable[[], bool] = lambda: False
) -> Iterator[DomainEvent]:
    """The events of the run in ``folder`` that ``query`` asks for, in order of ``seq``, those of its input files among
    them.

    The input files are read only where ``query`` may mean their events. To follow a run that is being written,
    ``more()`` is called before each look at the tape: it waits a while, and says whether the run was going on before.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with open_reader(tape_path(folder)) as tape:
        if not manifest.inputs or not takes_market_data(query.types):
            yield from islice(_followed(tape, query, more), query.limit)
            return
        check_inputs(manifest)
        market = market_of(config_from_dict(manifest.config), manifest)
        yield from select(merge_record(_followed(tape, EVERYTHING, more), market), query)


def _followed(tape: AnyReader, query: TapeQuery, more: Callable[[], bool]) -> Iterator[DomainEvent]:
    seq, going = query.first_seq - 1, True
    while going:
        going = more()
        for event in tape.read(msgspec.structs.replace(query, first_seq=seq + 1)):
            seq = event.seq
            yield event


def market_of(config: RunConfig, manifest: Manifest) -> Iterator[DomainEvent]:
    """The market data of a run: its input files as one stream, or the simulated market."""
    if not manifest.inputs:
        return simulated_market(
            manifest.symbols,
            config.seed,
            _SIMULATION_START,
            feed_latency_ns=config.paper.feed_latency_ns,
            instruments={symbol: config.instrument(symbol) for symbol in manifest.symbols},
        )
    return open_inputs(config, manifest.inputs)


# -- strategies -------------------------------------------------------------------------------------------------


def _by_absolute_path(wanted: StrategyConfig) -> StrategyConfig:
    """A strategy's file is found again when the run is verified or resumed from another folder."""
    place, _, name = wanted.spec.rpartition(":")
    if not place.endswith(".py"):
        return wanted
    return msgspec.structs.replace(wanted, spec=f"{Path(place).absolute()}:{name}")


def _load_strategies(config: RunConfig) -> tuple[list[tuple[str, Strategy]], tuple[StrategyRecord, ...]]:
    if not config.strategies:
        raise ConfigError("there is no strategy; name one with --strategy")
    ids = strategy_ids([strategy_name(wanted.spec) for wanted in config.strategies])
    loaded: list[tuple[str, Strategy]] = []
    records: list[StrategyRecord] = []
    for strategy_id, wanted in zip(ids, config.strategies, strict=True):
        cls = load_strategy_class(wanted.spec)
        strategy = cls(**wanted.parameters)
        loaded.append((strategy_id, strategy))
        parameters = msgspec.to_builtins(strategy.parameters())
        records.append(
            StrategyRecord(strategy_id=strategy_id, spec=wanted.spec, parameters=parameters, sha256=source_digest(cls))
        )
    return loaded, tuple(records)


def _strategies_as_recorded(config: RunConfig, manifest: Manifest) -> tuple[list[tuple[str, Strategy]], list[str]]:
    """The run's strategies, and what of code and machine is not as it was then. Refuses changed input files."""
    check_inputs(manifest)
    changes = []
    python, machine = here()
    if (manifest.python, manifest.machine) != (python, machine):
        changes.append(
            f"the run was made by Python {manifest.python} on {manifest.machine}, this is {python} on {machine}"
        )
    if manifest.code != code_digest():
        changes.append(f"the run was made by other code of Tickdeck (version {manifest.tickdeck})")
    strategies, records = _load_strategies(config)
    for then, now in zip(manifest.strategies, records, strict=True):
        if then.sha256 != now.sha256:
            changes.append(f"the source of strategy {then.spec!r} has changed since the run")
    return strategies, changes
