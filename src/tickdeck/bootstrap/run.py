"""A run on files or on the simulated market."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from tickdeck.application.clock import WallClock
from tickdeck.application.drivers import Recalled, Simulation
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.ports import EdgeCursors, Tape
from tickdeck.application.proof import CatchingUpKernel, RecordCheck
from tickdeck.application.results import backtest_figures
from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.new_run import prepare
from tickdeck.bootstrap.recall import PastToRecall, beside, recall_with_venue, recorded, shown_to
from tickdeck.bootstrap.record import market_for_venue
from tickdeck.bootstrap.session import RESERVED, Session
from tickdeck.bootstrap.strategies import Code
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.simulated import SimulatedMarket
from tickdeck.infrastructure.runs import Manifest
from tickdeck.infrastructure.runs.folder import PAPER

__all__ = ["Run", "start_run"]

LINGER_MS = (
    100.0  # nothing waits for commits of a virtual run, and fewer commits leave more time for the kernel's thread
)


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
        past: PastToRecall | None = None,
        code: Code | None = None,
    ) -> None:
        """``past``: of a resumed run, what is restored from the record instead of being executed."""
        agenda, wall = Agenda(), wall or SystemClock()
        options: dict[str, Any] = {
            "cursors": cursors, "agenda": agenda, "max_cascade": config.max_cascade, "reserved": RESERVED,
        }  # fmt: skip
        kernel = (
            CatchingUpKernel(record=tape, **options) if isinstance(tape, RecordCheck) else Kernel(tape=tape, **options)
        )
        super().__init__(folder, manifest, config, strategies, tape=tape, kernel=kernel, agenda=agenda, code=code)
        self._caught_up = caught_up
        self._market = market_for_venue(config, manifest, self.notes, self.core.candles.from_candles())
        self.driver = self.simulation = Simulation(
            kernel,
            agenda,
            self._market,
            wall=wall,
            started=self._started,
            record_market=not manifest.inputs,
            on_market=self.venue.on_market,
            begin=self.venue.start,
            feed="files" if manifest.inputs else "simulation",
            duration=self._duration,
            observe=self.observer.observe,
            halt=self._halt,
            figures=(lambda inputs: backtest_figures(inputs, self.core.figures, self.observer))
            if config.backtest
            else None,
            recalled=Recalled(lambda: self._recall(past), past.resumed) if past is not None else None,
        )

        generated = self._market if isinstance(self._market, SimulatedMarket) else None
        self._keep_state(lambda: self.simulation.market_read, clock=wall, market=generated)

    def _continue_at(self, place: Any) -> None:
        if not isinstance(self._market, SimulatedMarket):
            for _ in range(place):
                next(self._market)

    def _recall(self, past: PastToRecall) -> Iterator[DomainEvent]:
        kernel, venue = self.kernel, self.venue
        assert isinstance(kernel, CatchingUpKernel)
        assert isinstance(venue, PaperVenue)
        market = shown_to(venue, self._market)
        if self.manifest.inputs:
            events = recorded(past.tape, past.upto, market)
        else:
            events = beside(recorded(past.tape, past.upto), market)
        yield from recall_with_venue(events, kernel, self.core, self._agenda, venue, snapshots=past.snapshots)
        kernel.insert_recorded()

    async def drive(self, speed: float | None, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        await self.simulation.run(speed, progress=self._between(progress), pace_from=self.caught_up)

    def caught_up(self) -> bool:
        return self._caught_up() and self.driver.has_taken_up

    def _close_market(self) -> None:
        if isinstance(self._market, Generator):
            self._market.close()  # a run that ends early has not read its files to the end


def start_run(
    config: RunConfig, data_dir: Path, *, wall: WallClock | None = None, whatif_of: str | None = None, name: str = ""
) -> Run:
    """Create a new run in its own folder under ``data_dir``. Raises ``ConfigError`` or ``InputError`` if it cannot be
    created. ``whatif_of`` is for the manifest. ``name``: the run's id, instead of one made from the time."""
    if config.exchange != PAPER:
        raise ConfigError(
            f"start_run: exchange is {config.exchange!r}, whose market data is live; call start_live_run, or omit it"
        )
    prepared = prepare(config, whatif_of=whatif_of, name=name)
    config, strategies = prepared.config, prepared.strategies
    with prepared.created(data_dir, linger_ms=LINGER_MS) as (folder, manifest, tape):
        return Run(folder, manifest, config, strategies, tape, cursors=tape.cursors, wall=wall)
