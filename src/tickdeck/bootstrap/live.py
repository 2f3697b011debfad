"""A run on a venue's live market data, with paper orders or with real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from tickdeck.application.clock import LiveClock
from tickdeck.application.drivers import FrameIntake, LiveAgenda, LiveDriver, Past
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.application.ports import Exchange, Frame, MarketDataFeed, OverloadableFeed, RememberingFeed
from tickdeck.application.proof import CatchingUpKernel, RecordCheck
from tickdeck.application.strategies import Strategy
from tickdeck.application.units import duration_ns
from tickdeck.bootstrap.feeds import live_feed
from tickdeck.bootstrap.live_account import live_account
from tickdeck.bootstrap.new_run import prepare
from tickdeck.bootstrap.session import RESERVED, Session
from tickdeck.domain.events import CommandReceived, GapDetected
from tickdeck.errors import ExchangeError, RunError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.frames import FOLDER, FrameReader, FrameWriter
from tickdeck.infrastructure.runs import Manifest
from tickdeck.infrastructure.tape.opening import AnyTape

__all__ = ["LiveRun", "start_live_run"]

_LAST_CANCELS_NS = 4_000_000_000  # a signal ends the process a second later
LINGER_MS = 5.0  # how long an event may wait before it is synced, unless it is needed earlier
_FRAMES = 65_536  # the capacity between the sockets and the kernel: a few seconds of the fastest market


class LiveRun(Session):
    """A run that receives ``feed`` on the wall clock. Call ``await drive(None)``, then ``close()``. It trades at
    ``exchange``, or on paper without one.

    The venue's frames are stored in segments in the run's folder. Each frame is on disk before any of its effects.
    ``record`` is the record of a run to resume, which continues on ``tape``.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        config: RunConfig,
        strategies: list[tuple[str, Strategy]],
        tape: AnyTape,
        *,
        feed: MarketDataFeed,
        clock: LiveClock,
        record: RecordCheck | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        agenda = LiveAgenda()
        self._clock = clock
        self._exchange = exchange
        first = record.next if record is not None else None
        self._began = first.ts if first is not None else None
        options: dict[str, Any] = {
            "cursors": tape.cursors,
            "agenda": agenda,
            "max_cascade": config.max_cascade,
            "reserved": RESERVED,
            "wall_now": clock.time_ns,
            "clock": clock,
        }
        kernel = Kernel(tape=tape, **options) if record is None else CatchingUpKernel(record=record, **options)
        super().__init__(folder, manifest, config, strategies, tape=record or tape, kernel=kernel, agenda=agenda)
        self._feed = feed
        self._record = record
        self._frames = FrameWriter(folder / FOLDER)
        tape.before_commit = self._frames.sync
        self._intake = FrameIntake(feed, _FRAMES, clock=clock)
        if isinstance(feed, OverloadableFeed):
            self.kernel.subscribe(GapDetected, self._on_gap, priority=-100, component="feed")
        self.driver: LiveDriver = LiveDriver(
            kernel,
            agenda,
            self._intake.queue,
            wall=clock,
            started=self._started,
            record=self._frames.write,
            decode=feed.decode,
            on_market=self.venue.on_market,
            begin=self.venue.start,
            feed=feed.name,
            duration=self._duration,
            observe=self.observer.observe,
            halt=self._halt,
            past=self._past(record) if record is not None else None,
        )

    def _make_venue(self, agenda: Agenda) -> PaperVenue | ExchangeVenue:
        if self._exchange is None:
            return super()._make_venue(agenda)
        return ExchangeVenue(
            self._exchange,
            account_id=self.config.paper.account_id,
            user_id=self.config.paper.user_id,
            clock=self._clock,
            publish=self.kernel.publish,
            open_orders=self.core.execution.open_of,
            greatest_age=duration_ns(self.config.max_order_age),
            began=self._began,
        )

    def _past(self, record: RecordCheck) -> Past | None:
        """What the run did before, or ``None`` if that was nothing."""
        started, frames = record.next, self._recorded_frames()
        if started is not None:
            return Past(started.ts, frames, lambda: record.next)
        frame = next(frames, None)  # its events were not on disk yet
        return None if frame is None else Past(frame.received, chain((frame,), frames), lambda: record.next)

    def _recorded_frames(self) -> Iterator[Frame]:
        feed = self._feed if isinstance(self._feed, RememberingFeed) else None
        for frame in FrameReader(self.folder / FOLDER):
            self._frames.follow(frame)
            if feed is not None:
                feed.remember(frame)
            yield frame

    def caught_up(self) -> bool:
        return self._record is None or self._record.next is None

    async def drive(self, speed: float | None, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        """Run until it is stopped or the duration is over. ``speed`` has no meaning here: time is the wall clock's.

        Raises what ended the feed for good.
        """
        venue = self.venue if isinstance(self.venue, ExchangeVenue) else None
        if venue is not None:
            self.remarks += await venue.connect(resumed=self.driver.is_resumed)
        await self.driver.begin(progress=progress)
        if venue is not None and self.driver.is_resumed:
            venue.recover()
        tasks = [asyncio.create_task(self._read())]
        if venue is not None:
            tasks.append(asyncio.create_task(self._hear(venue)))
        try:
            await self.driver.run(progress=progress, wind_up=self._wind_up)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._intake.stop()
            if venue is not None:
                await venue.close()

    async def _wind_up(self) -> None:
        """At the end of a run with real orders: cancel those that are open, and compare the balances."""
        if isinstance(self.venue, ExchangeVenue):
            await self._cancel_orders(self.venue.name)
            try:
                await self.venue.compare()
            except ExchangeError as error:
                self.remarks.append(f"the balances were not compared with {self.venue.name}'s at the end: {error}")

    async def _cancel_orders(self, venue: str) -> None:
        """Cancel the orders that are open, and wait for it a few seconds."""
        open_of = self.core.execution.open_of
        if open_of() and self.config.orders_at_end == "cancel":
            self.kernel.publish(CommandReceived(command="cancel", reason="the run ends", source="control"))
            deadline = self._clock.monotonic_ns() + _LAST_CANCELS_NS
            while open_of() and self._clock.monotonic_ns() < deadline:
                await self._clock.sleep(0.02)
        if left := open_of():
            names = ", ".join(f"{order.order_id} ({order.symbol}, {order.status.value})" for order in left[:5])
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            self.remarks.append(f"open at {venue} when the run ended: {names}{more}")

    async def _hear(self, venue: ExchangeVenue) -> None:
        try:
            await venue.run()
        except Exception as error:  # noqa: BLE001 (the driver must receive any error)
            self._intake.queue.close(error)

    def _on_gap(self, gap: GapDetected) -> None:
        """Ask for a snapshot if the feed cannot know that a book needs one: the updates crossed it, or some of them
        were dropped before they reached it."""
        unknown_to_feed = gap.expected == gap.received or self._intake.dropped
        if gap.what == "book" and unknown_to_feed and self.caught_up():
            feed = self._feed
            assert isinstance(feed, OverloadableFeed)  # else nobody subscribed
            feed.resync(gap.symbol)

    async def _read(self) -> None:
        try:
            await self._feed.run(self._intake.put)
        except Exception as error:  # noqa: BLE001 (the driver must receive any error)
            self._intake.queue.close(error)
        else:
            self._intake.queue.close(RunError(f"the feed {self._feed.name} has ended; start another run"))

    def _close_market(self) -> None:
        self._frames.close()

    def _frames_digest(self) -> str:
        return self._frames.digest


def start_live_run(config: RunConfig, data_dir: Path, *, clock: LiveClock | None = None, name: str = "") -> LiveRun:
    """Create a new run on the live market data of ``config.exchange``, in its own folder under ``data_dir``. ``name``:
    the run's id, instead of one made from the time. Raises ``ConfigError`` if it cannot be created, or if it is to send
    orders without limits or without a key."""
    clock = clock or SystemClock()
    exchange = None
    if config.live:
        config, exchange = live_account(config, clock)
    prepared = prepare(config, name=name)
    config, strategies = prepared.config, prepared.strategies
    feed = live_feed(config, prepared.manifest.symbols)
    with prepared.created(data_dir, linger_ms=LINGER_MS) as (folder, manifest, tape):
        return LiveRun(folder, manifest, config, strategies, tape, feed=feed, clock=clock, exchange=exchange)
