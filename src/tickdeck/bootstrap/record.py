"""A run's record: the events of its tape and of its input files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import msgspec

from tickdeck.application.bus import select, takes_market_data
from tickdeck.application.ports import MarketDataFeed, TapeQuery
from tickdeck.application.proof import Trace, merge_record, trace
from tickdeck.application.results import JOURNAL_EVENTS, STRATEGY_EVENTS, StrategyStates, TradeJournal
from tickdeck.bootstrap.feeds import live_feed
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    SystemWarning,
    TriggerDeleted,
    TriggerEvent,
    VenueCircuitChanged,
    VenueInstrumentReported,
    iter_event_classes,
)
from tickdeck.domain.market import CandleOpen, Timeframe
from tickdeck.domain.trading import Trigger
from tickdeck.errors import TapeError
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.exchanges.simulated import simulated_market
from tickdeck.infrastructure.frame_segments import GoneSegment
from tickdeck.infrastructure.frames import FOLDER, FrameReader
from tickdeck.infrastructure.readers import ReadNotes
from tickdeck.infrastructure.runs import (
    Manifest,
    check_inputs,
    open_inputs,
    open_inputs_with_opens,
    read_manifest,
)
from tickdeck.infrastructure.tape.opening import AnyReader, is_tape, open_reader, tape_path
from tickdeck.infrastructure.tape.sqlite import EVERYTHING

__all__ = ["FramedMarket", "market_for_venue", "market_of", "open_record", "trace_of", "trade_journal", "triggers_of"]

_OF_FEEDS = (FeedConnected, FeedDisconnected, SystemWarning, VenueCircuitChanged, VenueInstrumentReported)
"""What the frames of a live feed may contain besides market data."""

_SIMULATION_START = 1_704_067_200_000_000_000  # 2024-01-01T00:00:00Z: a run's events must not depend on today's date


def triggers_of(folder: Path) -> list[Trigger]:
    """The triggers of the run in ``folder`` as its tape says, oldest first, without the deleted ones."""
    triggers: dict[str, Trigger] = {}
    types = tuple(kind.event_type for kind in iter_event_classes() if issubclass(kind, TriggerEvent))
    for event in open_record(folder, TapeQuery(types=types)):
        if isinstance(event, TriggerEvent):
            triggers.setdefault(event.trigger_id, Trigger(event.trigger_id, in_run=True)).apply(event)
            if isinstance(event, TriggerDeleted):
                del triggers[event.trigger_id]
    return list(triggers.values())


def open_record(
    folder: Path | str, query: TapeQuery = EVERYTHING, *, more: Callable[[], bool] = lambda: False
) -> Iterator[DomainEvent]:
    """The events of the run in ``folder`` that match ``query``, in order of ``seq``, including those of its input
    files. Instead of a folder you can give a tape, such as the tape of a bus.

    Market data that was dropped, or whose archive is out of reach, is left out; ``missing_market`` says what that is.

    The input files are only read if ``query`` may match their events. To follow a run that is being written, pass
    ``more()``. It is called before each look at the tape, waits a while, and returns whether the run was active before.
    """
    folder = Path(folder)
    manifest = None if is_tape(folder) else read_manifest(folder)
    with open_reader(tape_path(folder)) as tape:
        if manifest is None or not manifest.market_is_elsewhere or not _is_in_market(query, manifest):
            yield from islice(_followed(tape, query, more), query.limit)
            return
        check_inputs(manifest)
        market = market_of(config_from_dict(manifest.config), manifest, folder)
        yield from select(merge_record(_followed(tape, EVERYTHING, more), market), query)


def trace_of(folder: Path, event_id: str) -> Trace:
    """The causes and effects of an event of the run in ``folder``, which may be a tape, too. Events that the tape has
    are found by its indexes. Raises ``RunError`` if there is no such event."""
    with open_reader(tape_path(folder)) as tape:
        try:
            seq = tape.seq_of(event_id)
        except TapeError:  # it is in the input files, or nowhere
            return trace(lambda: open_record(folder), event_id)
        event = next(tape.read(TapeQuery(first_seq=seq, last_seq=seq)))
    if not event.correlation_id:
        return trace(lambda: open_record(folder), event_id)
    story = list(open_record(folder, TapeQuery(correlation_id=event.correlation_id)))
    return trace(lambda: story, event_id)


def trade_journal(folder: Path, *, upto: int | None = None) -> TradeJournal:
    """The trade journal of the run in ``folder`` up to ``seq`` ``upto``, from its tape alone. Raises ``RunError`` if it
    is not a run."""
    config = config_from_dict(read_manifest(folder).config)
    journal = TradeJournal(config.instrument)
    for event in open_record(folder, TapeQuery(types=JOURNAL_EVENTS, last_seq=upto)):
        journal.apply(event)
    return journal


def strategy_states(folder: Path, *, upto: int | None = None) -> StrategyStates:
    """What the strategies of the run in ``folder`` are, up to ``seq`` ``upto``, from its tape alone. Raises
    ``RunError`` if it is not a run."""
    states = StrategyStates()
    for event in open_record(folder, TapeQuery(types=STRATEGY_EVENTS, last_seq=upto)):
        states.apply(event)
    return states


def _is_in_market(query: TapeQuery, manifest: Manifest) -> bool:
    """Whether ``query`` may match events that are not on the tape."""
    if takes_market_data(query.patterns):
        return True
    names = (cls.event_type for cls in _OF_FEEDS) if manifest.is_live else ()
    return any(fnmatchcase(name, pattern) for name in names for pattern in query.patterns)


def _followed(tape: AnyReader, query: TapeQuery, more: Callable[[], bool]) -> Iterator[DomainEvent]:
    seq, going = query.first_seq - 1, True
    while going:
        going = more()
        for event in tape.read(msgspec.structs.replace(query, first_seq=seq + 1)):
            seq = event.seq
            yield event


def market_of(config: RunConfig, manifest: Manifest, folder: Path) -> Iterator[DomainEvent | None]:
    """The market data of the run in ``folder``: from the frames of the venue, from its input files as one stream, or
    from the simulated market. ``None`` stands for an event that is no longer there."""
    if manifest.is_live:
        return FramedMarket(folder / FOLDER, live_feed(config, manifest.symbols))
    return open_inputs(config, manifest.inputs) if manifest.inputs else _simulated(config, manifest)


class FramedMarket:
    """The market events of a live run, decoded again from its frames, with ``None`` for each event of a segment that
    was dropped or is out of reach. The iteration stops at the end of the frames; it can continue later if more were
    recorded."""

    def __init__(self, folder: Path, feed: MarketDataFeed) -> None:
        self._frames = FrameReader(folder, on_gone=self._skip)
        self._feed = feed
        self._gone = 0  # events to leave out before those in ``_events``
        self._events: deque[DomainEvent] = deque()

    def _skip(self, segment: GoneSegment) -> None:
        self._gone += segment.events

    def __iter__(self) -> FramedMarket:
        return self

    def __next__(self) -> DomainEvent | None:
        while not self._gone and not self._events:
            frame = next(self._frames, None)
            if frame is not None:
                self._events.extend(self._feed.decode(frame))
            elif not self._gone:
                raise StopIteration
        if self._gone:
            self._gone -= 1
            return None
        return self._events.popleft()


def market_for_venue(
    config: RunConfig, manifest: Manifest, notes: dict[str, ReadNotes], timeframes: tuple[Timeframe, ...] = ()
) -> Iterator[DomainEvent | CandleOpen]:
    """Like ``market_of``, with the opens of candles, for a run with a simulated venue. Skipped rows are counted in
    ``notes``, by file name. Raises ``InputError`` for a candle from which a candle of ``timeframes`` cannot be
    built."""
    if not manifest.inputs:
        return _simulated(config, manifest)
    return open_inputs_with_opens(config, manifest.inputs, notes, timeframes)


def _simulated(config: RunConfig, manifest: Manifest) -> Iterator[DomainEvent]:
    return simulated_market(
        manifest.symbols,
        config.seed,
        _SIMULATION_START,
        feed_latency_ns=config.paper.feed_latency_ns,
        instruments={symbol: config.instrument(symbol) for symbol in manifest.symbols},
    )
