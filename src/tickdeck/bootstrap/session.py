"""The parts of every run, independent of its market data and its clock."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tickdeck.application.bus import ambient_bus
from tickdeck.application.clock import WallClock
from tickdeck.application.drivers import Driver, Recalled
from tickdeck.application.engines import VenueGateway
from tickdeck.application.kernel import Agenda, Kernel, money_context
from tickdeck.application.ports import Tape
from tickdeck.application.proof import CatchingUpKernel, RecordQuality
from tickdeck.application.results import PerformanceObserver, RunObserver, Summary, summarise
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.core_snapshots import CoreSnapshotTaker, forget_states
from tickdeck.bootstrap.core_state import StateOfRun, parts_of
from tickdeck.bootstrap.run_accounts import run_accounts
from tickdeck.bootstrap.snapshots import SnapshotTaker
from tickdeck.bootstrap.strategies import Code, code_of
from tickdeck.bootstrap.trade_file import trade_file
from tickdeck.domain.events import DomainEvent, RunStarted
from tickdeck.errors import RunError
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.control import ordered_halt
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.frame_members import FramesMark
from tickdeck.infrastructure.readers import ReadNotes
from tickdeck.infrastructure.runs import TRADES, Manifest, RunFigures, write_end
from tickdeck.infrastructure.tape.opening import tape_path

__all__ = ["RESERVED", "Session", "paper_venue"]

_log = logging.getLogger("tickdeck.run")
RESERVED = frozenset({"driver", "timer", PaperVenue.name})
"""The sources of inputs that a run produces itself, and produces again when resumed. So is market data."""


def paper_venue(config: RunConfig, manifest: Manifest, kernel: Kernel, agenda: Agenda) -> PaperVenue:
    """The paper venue of a run, which takes the orders of all accounts."""
    first, *others = (account.paper for account in run_accounts(config))
    return PaperVenue(
        config=first,
        others=others,
        instruments={symbol: config.instrument(symbol) for symbol in manifest.symbols},
        seed=config.seed,
        schedule=agenda.at,
        report=kernel.post_own,
    )


class Session(ABC):
    """The engines, the paper venue and the observers around one kernel. A subclass adds the driver."""

    driver: Driver

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        config: RunConfig,
        strategies: list[tuple[str, Strategy]],
        *,
        tape: Tape,
        kernel: Kernel,
        agenda: Agenda,
        code: Code | None = None,
    ) -> None:
        """``code``: what runs now, if the run began with other code."""
        self._process = os.getpid()
        self.folder = folder
        self.manifest = manifest
        self.config = config
        self.tape = tape
        self.kernel = kernel
        self.notes: dict[str, ReadNotes] = {}
        """What was skipped in each input file, by file name; filled while the run reads."""
        with ambient_bus(self.kernel):  # for subscriptions that strategies make while they are added
            self.core = Core(config, manifest, strategies, self.kernel)
        self.restored_from: int | None = None
        """The ``seq`` of the snapshot from which a resumed run continues."""
        self.resumed = ""
        """How a resumed run got its state back, in one sentence."""
        self.remarks: list[str] = []
        """What the user should know at the end, besides the figures."""
        self.on_hang: Callable[[str], None] = _log.critical
        """Called in another thread if a handler of a live run does not return and the process must end."""
        self._snapshots = SnapshotTaker(folder, kernel, self.core.strategies)
        self._agenda = agenda
        self._code = code if code is not None else code_of(manifest)
        self._state: StateOfRun | None = None
        self._core_snapshots: CoreSnapshotTaker | None = None
        self.venues = self._venues(agenda)
        """Where the orders of each account go; the paper venue takes those of all."""
        self.gateways = tuple(
            VenueGateway(account.bus, venue) for account, venue in zip(self.core.accounts, self.venues, strict=True)
        )
        self.venue, self.gateway = self.venues[0], self.gateways[0]
        self.observer = PerformanceObserver(self.kernel, self.core.figures.valuation, self.core.market_data)
        self._ends = RunObserver(self.kernel, is_live=manifest.is_live)
        self._quality = RecordQuality(self.kernel, self.core.market_data)
        self._started = RunStarted(
            strategies=tuple(strategy_id for strategy_id, _ in strategies),
            symbols=manifest.symbols,
            seed=config.seed,
        )
        self._trades = trade_file(folder, folder / TRADES, config.instrument) if config.keep_trades else None
        self._halt = ordered_halt(folder, beside=manifest.is_live)
        self._duration = int(config.duration * 1_000_000_000) if config.duration is not None else None

    def _venues(self, agenda: Agenda) -> Sequence[PaperVenue | ExchangeVenue]:
        """A venue for each account."""
        return [paper_venue(self.config, self.manifest, self.kernel, agenda)] * len(self.core.accounts)

    def _keep_state(
        self, place: Callable[[], Any], *, clock: WallClock, market: object = None, outside: tuple[type, ...] = ()
    ) -> None:
        """Take snapshots of the whole run from now on, on ``clock``: everything is prepared. ``place()``: where the run
        is in its market data. ``market``: the market itself, if it is generated. ``outside``: classes of objects that
        every process makes for itself."""
        if not self.config.state_every:
            return
        self._state = StateOfRun(
            self.kernel,
            self._agenda,
            self.core.strategies,
            {
                **parts_of(self.core),
                "venue": self.venue,
                "venues": self.venues,
                "gateways": self.gateways,
                "performance": self.observer,
                "ends": self._ends,
                "quality": self._quality,
                "driver": self.driver,
                "market": market,
            },
            users=self.core.users,
            outside=(Session, Core, CoreSnapshotTaker, SnapshotTaker, *outside),
        )
        self._core_snapshots = CoreSnapshotTaker(
            self.folder,
            self.kernel,
            self.tape,
            self._state,
            code=self._code,
            place=place,
            every=self.config.state_every,
            clock=clock,
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot. The record that the kernel compares begins after it. Raises whatever a snapshot
        that does not fit raises; this object is of no use then."""
        if self._state is None or self._core_snapshots is None:
            raise RunError("this run takes no snapshots")
        self._state.restore(state)
        self._core_snapshots.restored()
        self._continue_at(state["place"])
        self.driver.continue_with(Recalled(self._insert_recorded, None))
        self.restored_from = self.kernel.seq

    def _continue_at(self, place: Any) -> None:
        """Continue the market data at ``place``."""
        raise RunError("this kind of run takes no snapshots")

    def _insert_recorded(self) -> Iterator[DomainEvent]:
        assert isinstance(self.kernel, CatchingUpKernel)
        self.kernel.insert_recorded()
        return iter(())

    def abandon(self) -> None:
        """Close a resumed run that is not going to be driven, and leave its tape open for another object."""
        self._close_market()

    def distrust_snapshots(self) -> None:
        """Use none of the snapshots of this run again: the execution behind one differs from the record."""
        forget_states(self.folder)

    @abstractmethod
    async def drive(self, speed: float | None, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        """Run to the end, or until ``driver.request_stop()`` is called. ``speed`` is as in ``Simulation.run``."""

    def _between(self, progress: Callable[[int], None]) -> Callable[[int], None]:
        """``progress`` for a driver, which calls it between two inputs."""

        def between(ts: int) -> None:
            if self.caught_up():
                self._snapshots.look()
                if self._core_snapshots is not None:
                    self._core_snapshots.look()
            progress(ts)

        return between

    def caught_up(self) -> bool:
        """Whether a resumed run has executed all of its past again."""
        return True

    def close(self) -> None:
        """Take no more events, write everything to disk, close the files, and write where the record ends. Receipts of
        waiting events raise ``TickdeckError``.

        A resumed run that did not reach the end of its record keeps the earlier end. A child that was forked within the
        run writes nothing, because the run belongs to its parent.
        """
        if os.getpid() != self._process:
            return
        if self.caught_up() and not self.driver.completed:
            self._snapshots.take()
            if self._core_snapshots is not None:
                self._core_snapshots.finish()
        wanted, in_order = self.tape.last_seq, self.kernel.is_at_rest
        self.kernel.refuse_inputs("the run is closed; resume it to publish")
        try:
            self._close_market()
        finally:
            self.tape.close()
        if self._trades is not None:
            self._trades.catch_up()
        if self.caught_up():
            write_end(
                self.folder,
                wanted=wanted,
                reached=self.kernel.seq if self.manifest.market_is_elsewhere else wanted,
                in_order=in_order,
                completed=self.driver.completed,
                frames=self._frames_mark(),
                figures=self.key_figures(),
            )

    @property
    def feeds(self) -> Mapping[str, bool]:
        """Whether each feed is connected, in this process."""
        return self._ends.feeds

    def figures(self, account_id: str = "") -> dict[str, Any]:
        """The totals of an account at the current prices, or of all together, by the names in ``Summary``."""
        portfolio = self.core.figures_of(account_id)
        with money_context():
            return {
                "currency": portfolio.quote,
                "equity": portfolio.equity(),
                "cash": portfolio.cash(),
                "pnl": portfolio.pnl(),
                "unrealized_pnl": portfolio.unrealized_pnl(),
                "fees": portfolio.fees(),
                "left_out": portfolio.left_out(),
            }

    def key_figures(self) -> RunFigures:
        """The figures for lists of runs."""
        portfolio, performance = self.core.figures, self.observer.performance()
        published = self.kernel.statistics().published
        with money_context():
            return RunFigures(
                currency=portfolio.quote,
                equity=portfolio.equity(),
                pnl=portfolio.pnl(),
                fills=published.get("order.filled", 0) + published.get("order.partially_filled", 0),
                trades=performance.trades,
                max_drawdown=performance.max_drawdown,
            )

    @abstractmethod
    def _close_market(self) -> None:
        """Close the source of the market data."""

    def _frames_mark(self) -> FramesMark | None:
        """The received frames, if the run is live."""
        return None

    def summary(self, wall_s: float) -> Summary:
        """The run's current figures after ``wall_s`` seconds of work. Works after ``close``, too."""
        core = self.core
        with money_context():
            return summarise(
                run=self.manifest.run_id,
                tape=str(tape_path(self.folder.resolve())),
                kernel=self.kernel,
                portfolio=core.figures,
                accounts=core.accounts,
                observer=self._ends,
                quality=self._quality,
                symbols=self.manifest.symbols,
                paused=core.strategies.paused,
                ticks=self.driver.market_events,
                latencies_ns=self.driver.latencies_ns,
                wall_s=wall_s,
            )
