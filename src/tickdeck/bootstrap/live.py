"""A run on a venue's live market data, with paper orders or with real ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from tickdeck.application.clock import LiveClock
from tickdeck.application.drivers import FrameIntake, LiveAgenda, LiveDriver, Past, Recalled
from tickdeck.application.engines import AccountEngines
from tickdeck.application.kernel import NEVER, Agenda, Kernel
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import (
    ContinuingFeed,
    Frame,
    ListingFeed,
    MarketDataFeed,
    OverloadableFeed,
    RememberingFeed,
)
from tickdeck.application.proof import CatchingUpKernel, RecordCheck
from tickdeck.application.strategies import Strategy
from tickdeck.application.units import duration_ns
from tickdeck.bootstrap.ending import ending_error
from tickdeck.bootstrap.feeds import live_feed
from tickdeck.bootstrap.live_account import LiveAccount, live_accounts
from tickdeck.bootstrap.live_archive import LiveArchive
from tickdeck.bootstrap.live_trading import LiveTrading
from tickdeck.bootstrap.live_watch import LiveWatch, WatchedAccount
from tickdeck.bootstrap.new_run import prepare
from tickdeck.bootstrap.recall import PastToRecall, recall, recall_with_venue, recorded, shown_to
from tickdeck.bootstrap.session import RESERVED, Session
from tickdeck.bootstrap.strategies import Code
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    GapDetected,
    NotificationAlert,
)
from tickdeck.errors import ExchangeError, RunError
from tickdeck.infrastructure.clock import SteadyClock
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.venue_reports import circuit_event
from tickdeck.infrastructure.frame_members import FramesMark
from tickdeck.infrastructure.frame_segments import GoneSegment
from tickdeck.infrastructure.frames import FOLDER, FrameReader, FrameWriter, refuse_gone
from tickdeck.infrastructure.resilience import BreakerTransition, Limited, RateLimiter
from tickdeck.infrastructure.runs import Manifest
from tickdeck.infrastructure.surroundings import BanCheck
from tickdeck.infrastructure.tape.opening import AnyTape

__all__ = ["LiveRun", "start_live_run"]

_LAST_CALLS = 1.0  # seconds for calls to the exchange that are still on their way
LINGER_MS = 5.0  # how long an event may wait before it is synced, unless it is needed earlier
_FRAMES = 65_536  # the capacity between the sockets and the kernel: a few seconds of the fastest market


class LiveRun(Session):
    """A run that receives ``feed`` on the wall clock. Call ``await drive(None)``, then ``close()``. It trades with
    ``accounts``, or on paper without any.

    The venue's frames are stored in segments in the run's folder. Each frame is on disk before any of its effects.
    ``record`` is the record of a run to resume, which continues on ``tape``. ``past`` is what is restored from it
    instead of being executed.
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
        clock: SteadyClock,
        record: RecordCheck | None = None,
        accounts: Mapping[str, LiveAccount] = MappingProxyType({}),
        past: PastToRecall | None = None,
        began: int | None = None,
        code: Code | None = None,
    ) -> None:
        """``began``: when the run began (ns UTC), if it is going to be restored from a snapshot."""
        agenda = LiveAgenda()
        self._clock = clock
        self._live_accounts = accounts
        first = record.next if record is not None else None
        self._began = past.began if past is not None else began or (first.ts if first is not None else None)
        options: dict[str, Any] = {
            "cursors": tape.cursors,
            "agenda": agenda,
            "max_cascade": config.max_cascade,
            "reserved": RESERVED,
            "wall_now": clock.time_ns,
            "clock": clock,
        }
        kernel = Kernel(tape=tape, **options) if record is None else CatchingUpKernel(record=record, **options)
        super().__init__(
            folder, manifest, config, strategies, tape=record or tape, kernel=kernel, agenda=agenda, code=code
        )
        self._feed = feed
        policy = config.archive
        self._archive = None if policy.keeps_all else LiveArchive(folder, policy, clock=clock, publish=kernel.publish)
        several = len(self.core.accounts) > 1
        self._watched = [
            WatchedAccount(one.account_id if several else "", one.risk, gateway, venue)
            for one, gateway, venue in zip(self.core.accounts, self.gateways, self.venues, strict=True)
        ]
        self.watch = LiveWatch(
            config.watch,
            kernel,
            clock=clock,
            tape=tape,
            folder=folder,
            accounts=self._watched,
            heard=lambda: self.driver.market_events,
            on_hang=lambda text: self.on_hang(text),
        )
        self._tradings: list[LiveTrading] = []
        for one, watched, venue in zip(self.core.accounts, self._watched, self.venues, strict=True):
            if not isinstance(venue, ExchangeVenue):
                continue
            self._listen(accounts[one.account_id], feed, watched)
            self._tradings.append(
                LiveTrading(
                    one.bus,
                    one.execution,
                    one.portfolio.differences,
                    one.risk.protections.book,
                    venue,
                    clock=clock,
                    cancel_at_end=config.orders_at_end == "cancel",
                    remarks=self.remarks,
                    is_past=lambda: record is not None and (record.next is not None or not self.driver.has_taken_up),
                    account_id=watched.name,
                )
            )
        self._frames = FrameWriter(folder / FOLDER)
        self._frames_before = 0  # those that a snapshot reflects
        self._dropped = 0  # events of market data that was dropped, before the next recorded frame
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
            begin=self._begin_venues,
            feed=feed.name,
            duration=self._duration,
            observe=self.observer.observe,
            halt=self._halt,
            past=self._past(record, past, began) if record is not None else None,
        )
        if isinstance(feed, ContinuingFeed):
            self._keep_state(self._frames_taken, clock=clock, outside=(ExchangeVenue, LiveTrading))

    def _frames_taken(self) -> int:
        self._frames.flush()  # they have to survive a kill as the snapshot does
        return self._frames.frames

    def _continue_at(self, place: Any) -> None:
        if self._frames.frames < place:
            raise RunError(f"only {self._frames.frames} of the {place} messages that it reflects are left")
        self._frames_before = place
        feed, markets = self._feed, self.core.market_data.markets
        assert isinstance(feed, ContinuingFeed)
        feed.continue_after({s: m.next_trade_id - 1 for s, m in markets.items() if m.next_trade_id is not None})

    def _listen(self, account: LiveAccount, feed: MarketDataFeed, watched: WatchedAccount) -> None:
        """Share and watch the limits of the venue, and hear the circuit breakers."""
        if isinstance(account.exchange, Limited):
            watched.checks.append(BanCheck(account.exchange.limits.stopped_for))
            if isinstance(feed, Limited):
                # The venue counts them together, by our address; a second account has limits of its own.
                account.exchange.limits.stop_with(feed.limits)
                feed.limits = account.exchange.limits
                account.exchange.connects = feed.connects

        def hear(transition: BreakerTransition) -> None:
            if watched.name:
                transition = transition._replace(name=f"{transition.name} of {watched.name}")
            self.kernel.publish(circuit_event(transition, self._clock.time_ns()))

        account.hear_breakers.append(hear)
        account.hear_breakers.append(watched.circuits.hear)

    def _venues(self, agenda: Agenda) -> Sequence[PaperVenue | ExchangeVenue]:
        if not self._live_accounts:
            return super()._venues(agenda)
        for one in self.core.accounts:
            if one.account_id not in self._live_accounts:
                known = ", ".join(self._live_accounts)
                raise RunError(
                    f"run {self.manifest.run_id} trades with account {one.account_id}, but its configuration has: "
                    f"{known}; restore {self.folder / 'manifest.json'} from a copy"
                )
        return [self._exchange_venue(one, self._live_accounts[one.account_id]) for one in self.core.accounts]

    def _exchange_venue(self, engines: AccountEngines, account: LiveAccount) -> ExchangeVenue:
        portfolio, name = engines.portfolio, engines.account_id

        def publish(event: DomainEvent) -> object:
            if isinstance(event, FeedConnected | FeedDisconnected):  # each account has a private stream
                event = replace(event, feed=f"{event.feed} of {name}")
            return self.kernel.publish(event)

        return ExchangeVenue(
            account.exchange,
            account_id=name,
            user_id=portfolio.user_id,
            clock=self._clock,
            publish=self.kernel.publish if len(self.core.accounts) == 1 else publish,
            orders=engines.execution.orders,
            quote=portfolio.account.quote,
            symbols=self.manifest.symbols,
            books=portfolio.account.balances,
            pending=portfolio.differences.pending,
            currencies=(
                currency
                for instrument in map(self.config.instrument, self.manifest.symbols)
                for currency in (instrument.base, instrument.quote)
            ),
            on_error=self._fail,
            on_halted_symbol=self._ask_instruments,
            greatest_age=duration_ns(self.config.max_order_age),
            began=self._began,
            is_booked=portfolio.has_booked,
            agrees=portfolio.agrees_with,
        )

    def _past(self, record: RecordCheck, past: PastToRecall | None, began: int | None) -> Past | None:
        """What the run did before, or ``None`` if that was nothing."""
        started, frames = record.next, self._recorded_frames()
        if began is not None:
            return Past(began, frames, lambda: record.next)
        if past is not None:
            recalled = Recalled(lambda: self._recall(past, frames), past.resumed)
            return Past(past.began, frames, lambda: record.next, recalled)
        if started is not None:
            return Past(started.ts, frames, lambda: record.next)
        frame = next(frames, None)  # its events were not on disk yet
        return None if frame is None else Past(frame.received, chain((frame,), frames), lambda: record.next)

    def _recall(self, past: PastToRecall, frames: Iterator[Frame]) -> Iterator[DomainEvent]:
        kernel, venue = self.kernel, self.venue
        assert isinstance(kernel, CatchingUpKernel)
        market = shown_to(venue, self._market(frames))
        events = recorded(past.tape, past.upto, market, rest=past.upto == NEVER)
        if isinstance(venue, PaperVenue):
            yield from recall_with_venue(events, kernel, self.core, self._agenda, venue, snapshots=past.snapshots)
        else:
            yield from recall(events, kernel, self.core, self._agenda, snapshots=past.snapshots)
        kernel.insert_recorded()

    def _market(self, frames: Iterator[Frame]) -> Iterator[DomainEvent | None]:
        """The events of ``frames``, with ``None`` for each of those that were dropped before them."""
        for frame in frames:
            yield from repeat(None, self._dropped)
            self._dropped = 0
            yield from self._feed.decode(frame)
        yield from repeat(None, self._dropped)

    def _pass_over(self, gone: GoneSegment) -> None:
        if gone.place is not None:  # it can be put back
            refuse_gone(gone)
        self._dropped += gone.events

    def _recorded_frames(self) -> Iterator[Frame]:
        feed = self._feed if isinstance(self._feed, RememberingFeed) else None
        for frame in FrameReader(self.folder / FOLDER, on_gone=self._pass_over, after=self._frames_before):
            if feed is not None:
                feed.remember(frame)
            yield frame

    @property
    def intake(self) -> FrameIntake:
        """What waits between the sockets and the kernel."""
        return self._intake

    @property
    def feed(self) -> MarketDataFeed:
        """Where the market data comes from."""
        return self._feed

    @property
    def limiters(self) -> dict[str, RateLimiter]:
        """What keeps the venue's rate limits, by account; empty if the orders are on paper."""
        exchanges = {name: account.exchange for name, account in self._live_accounts.items()}
        return {name: exchange.limits for name, exchange in exchanges.items() if isinstance(exchange, Limited)}

    def caught_up(self) -> bool:
        return self.driver.has_caught_up

    async def drive(self, speed: float | None, *, progress: Callable[[int], None] = lambda ts: None) -> None:
        """Run until it is stopped or the duration is over. ``speed`` has no meaning here: time is the wall clock's.

        Raises what ended the feed for good.
        """
        with self.watch.watchdog:
            await self._drive(progress)

    async def _drive(self, progress: Callable[[int], None]) -> None:
        tradings, driver = self._tradings, self.driver
        tasks: list[asyncio.Task[None]] = []
        try:
            for trading in tradings:
                await trading.connect(resumed=driver.is_resumed)
            progress = self._between(progress)
            await driver.begin(progress=progress)
            if not driver.has_caught_up:
                return  # stopped while it executed its past
            if (behind := self._clock.not_before(self.kernel.clock.now())) >= 1_000_000_000:
                text = f"the wall clock is {behind / 1e9:.1f} s behind the record, so the run goes on from there"
                bound_logger("tickdeck.watch").warning(text)
                self.remarks.append(text)
            if driver.is_resumed:
                for trading, account in zip(tradings, self.core.accounts, strict=bool(tradings)):
                    trading.recover(account.portfolio.known)
                if tradings:
                    self._take_instruments(tradings[0].venue)  # what is due is decided by what holds now
                if isinstance(self._feed, ListingFeed):
                    self._feed.recall_instruments(map(self.core.instruments.instrument, self.manifest.symbols))
                await asyncio.gather(*(trading.catch_up() for trading in tradings))
            tasks.append(asyncio.create_task(self._read()))
            tasks += [asyncio.create_task(self._beside(self._hear(trading))) for trading in tradings]
            tasks.append(asyncio.create_task(self._beside(self.watch.run())))
            if self._archive is not None:
                tasks.append(asyncio.create_task(self._beside(self._archive.run())))
            if self._trades is not None:
                self._trades.follow(self.kernel)
                tasks.append(asyncio.create_task(self._beside(self._trades.keep(self._clock))))
            try:
                await driver.run(progress=progress, wind_up=self._wind_up)
            except Exception as error:
                if not tradings:
                    raise
                await asyncio.gather(*(trading.wind_up(at_once=True) for trading in tradings))
                raise ending_error(error, self.remarks) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._intake.stop()
            if tradings:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_CALLS):
                        await asyncio.gather(*(gateway.idle() for gateway in self.gateways))
            for trading in tradings:
                await trading.venue.close()

    def _take_instruments(self, venue: ExchangeVenue) -> None:
        """Publish what has changed of the instruments while the run was down."""
        instruments = self.core.instruments
        listed = {report.symbol: report for report in venue.instrument_reports()}
        for symbol in self.manifest.symbols:
            report = listed.get(symbol) or instruments.delisted(symbol, venue.name)
            if not instruments.knows(report):
                self.kernel.publish(report)

    def _fail(self, error: Exception) -> None:
        """End the run with an error."""
        self._intake.queue.close(error)

    async def _wind_up(self) -> bool:
        ended = await asyncio.gather(*(one.wind_up(at_once=self.driver.is_stopping) for one in self._tradings))
        return all(ended)

    def _begin_venues(self, now: int) -> None:
        for venue in dict.fromkeys(self.venues):
            venue.start(now)

    async def _hear(self, trading: LiveTrading) -> None:
        """Hear the private stream of an account. If it ends for good, the run ends; with several accounts, that account
        halts, what becomes of its open orders is asked, and the others go on."""
        try:
            await trading.hear()
        except (ExchangeError, RunError) as error:
            if not trading.account_id:
                raise
            reason = f"its private stream has ended: {error}; resume the run to connect again"
            text = f"account {trading.account_id} is halted, {reason}"
            self.kernel.publish(NotificationAlert(text=text, severity="critical"))
            arguments = {"account": trading.account_id}
            self.kernel.publish(CommandReceived(command="halt", arguments=arguments, reason=reason, source="control"))
            await trading.ask_instead()

    async def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something while the driver runs. An error in it ends the run."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 (the driver must receive any error)
            self._fail(error)

    def _ask_instruments(self) -> None:
        if isinstance(self._feed, ListingFeed):
            self._feed.ask_instruments()

    def _on_gap(self, gap: GapDetected) -> None:
        """Ask for a snapshot if the feed cannot know that a book needs one: the updates crossed it, or some of them
        were dropped before they reached it."""
        unknown_to_feed = gap.expected == gap.received or self._intake.dropped
        if gap.what == "book" and unknown_to_feed and self.caught_up():
            feed = self._feed
            assert isinstance(feed, OverloadableFeed)  # otherwise nobody subscribed
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

    def abandon(self) -> None:
        self._frames.discard()

    def _frames_mark(self) -> FramesMark:
        return self._frames.mark


def start_live_run(config: RunConfig, data_dir: Path, *, clock: LiveClock | None = None, name: str = "") -> LiveRun:
    """Create a new run on the live market data of ``config.exchange``, in its own folder under ``data_dir``. ``name``:
    the run's id, instead of one made from the time. Raises ``ConfigError`` if it cannot be created, or if it is to send
    orders without limits or without a key."""
    steady = SteadyClock(clock)
    accounts: Mapping[str, LiveAccount] = {}
    if config.live:
        config, accounts = live_accounts(config, steady)
    prepared = prepare(config, name=name)
    config, strategies = prepared.config, prepared.strategies
    feed = live_feed(config, prepared.manifest.symbols, steady)
    with prepared.created(data_dir, linger_ms=LINGER_MS) as (folder, manifest, tape):
        return LiveRun(folder, manifest, config, strategies, tape, feed=feed, clock=steady, accounts=accounts)
