"""Replay recorded events in their own time, at any speed, with the controls of a tape deck."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import msgspec

from tickdeck.application.arguments import check_function, check_methods, check_time, type_names
from tickdeck.application.bus import InMemoryEventBus, check_plain, type_name
from tickdeck.application.clock import WallClock
from tickdeck.application.kernel import Kernel
from tickdeck.application.replay.replay_clock import ReplayClock
from tickdeck.domain.events import DomainEvent, RawEvent
from tickdeck.errors import ConfigError

__all__ = ["ReplayStatistics", "Replayer", "Speed", "Transform"]

Speed: TypeAlias = float | Literal["max"]
"""How many times real time, above 0. ``"max"``, infinity and 0 mean as fast as possible."""
Transform: TypeAlias = Callable[[Any], DomainEvent | None]
"""Called with each event when it is due. Returns the event to play instead, or ``None`` to skip it."""

_MAX = float("inf")
_TURN = 256  # events between two turns of the event loop while none has to wait for its time
_REMEMBERED = 65_536


class ReplayStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since ``replay()`` was called. ``played``: events handed out. ``skipped``: events that a filter or the
    transform rejected, counted each time they were read; events passed over by a seek are in neither. ``seeks``:
    seeks requested. ``lag_ns``: how late the last event was, in wall time; 0 at full speed."""

    played: int
    skipped: int
    seeks: int
    lag_ns: int


class Replayer:
    """Plays a record.

    ``record()`` returns a fresh pass over all events in order of ``seq``, and therefore of ``ts_ingress``, the time
    that a replay follows. ``record_from(ts)``, if given, returns a pass with at least the events from ``ts`` on, and is
    used to seek faster. A pass with a ``close()`` method, such as a generator, is closed after use.

    ``async for event in replayer.replay(...)`` plays. ``pause``, ``resume``, ``seek`` and ``set_speed`` are plain calls
    that take effect at once; call them from the loop that plays or from another task of the same event loop. There is
    one replay at a time: a new ``replay()`` ends the one before.

    A slow consumer does not slow the clock. Events that became due meanwhile follow without a wait, late but complete.
    Using a control clears the delay: time continues from where the consumer is.
    """

    def __init__(
        self,
        record: Callable[[], Iterable[DomainEvent]],
        wall: WallClock,
        *,
        record_from: Callable[[int], Iterable[DomainEvent]] | None = None,
    ) -> None:
        check_methods("Replayer", "record", record, "__call__")
        check_methods("Replayer", "wall", wall, "monotonic_ns", "sleep")
        check_function("Replayer", "record_from", record_from)
        self._record = record
        self._record_from = record_from
        self._wall = wall
        self._clock = ReplayClock(wall, 1.0)
        self._playing: object = None  # identifies the replay that may play
        self.pause_at_end = False
        """Whether a replay pauses at its end instead of ending, so that a seek can go back. A replay without any event
        ends."""
        self._paused = self._at_end = False
        self._cued = True  # the clock starts at the next event
        self._start: int | None = None  # where the clock first began; unknown before the first event
        self._at = 0  # recorded time at the last event, or at the last use of a control
        self._target: int | None = None  # target of a seek that has not happened yet
        self._waiting: DomainEvent | None = None  # read, but not due yet
        self._resting: asyncio.Future[None] | None = None
        self._played = self._skipped = self._seeks = self._lag_ns = 0
        self.lags_ns: deque[int] = deque(maxlen=_REMEMBERED)
        """How late events were in wall time, oldest first: the newest 65,536 that were played at a finite speed."""

    # -- playing ------------------------------------------------------------------------------------------------------

    def replay(
        self,
        from_: int | None = None,
        to: int | None = None,
        speed: Speed = 1.0,
        types: Iterable[str | type[DomainEvent]] = (),
        symbols: Iterable[str] = (),
        exchanges: Iterable[str] = (),
        transform: Transform | None = None,
    ) -> AsyncGenerator[DomainEvent, None]:
        """The events from ``from_`` to ``to`` (ns of ``ts_ingress``, inclusive), each at its own time.

        The clock begins at ``from_``, or at the first event if it is left out. Filters: ``types`` are dotted types,
        wildcards such as ``order.*``, or event classes; ``symbols`` match events that have a symbol; ``exchanges``
        match an event's ``source`` or ``venue``. An event must match one value of each filter; an empty filter matches
        everything. The result of ``transform`` is played at the time of the event it was made from.

        If you leave the loop early, close it (``contextlib.aclosing``) so that the record is closed at once. Raises
        ``ConfigError`` for a wrong call and, while playing, whatever the record and ``transform`` raise.
        """
        check_time("replay", "from_", from_, optional=True)
        check_time("replay", "to", to, optional=True)
        check_plain("replay: transform", transform)
        check_function("replay", "transform", transform)
        if from_ is not None and to is not None and to < from_:
            raise ConfigError(f"replay: the end {to} is before the start {from_}; exchange them")
        wanted = _filter(types, symbols, exchanges)
        self._clock = ReplayClock(self._wall, _times(speed))
        self._playing = playing = object()
        self._paused = self._at_end = False
        self._cued = True
        self._start = from_
        self._at = from_ or 0
        self._target = self._waiting = None
        self._played = self._skipped = self._seeks = self._lag_ns = 0
        self.lags_ns.clear()
        self._wake()  # the replay before this one, to end it
        return self._play(playing, from_, to, wanted, transform)

    async def replay_onto(
        self,
        bus: InMemoryEventBus,
        from_: int | None = None,
        to: int | None = None,
        speed: Speed = 1.0,
        types: Iterable[str | type[DomainEvent]] = (),
        symbols: Iterable[str] = (),
        exchanges: Iterable[str] = (),
        transform: Transform | None = None,
    ) -> ReplayStatistics:
        """Publish the events of ``replay`` on ``bus``. Returns once the last event has been handled.

        Events keep their recorded stamps (``seq``, ids, causes, times). Async handlers finish with an event before the
        next is published, so a slow handler makes the replay late but no mailbox overflows.

        Raises what ``replay`` raises. A run's kernel is refused with ``ConfigError``, because it would stamp the events
        again and put recorded conclusions beside those of its engines.
        """
        if isinstance(bus, Kernel):
            raise ConfigError(
                "replay_onto: the kernel of a run would stamp recorded events again; give a plain bus, or run "
                "the recorded inputs again with `tickdeck run --tape`"
            )
        events = self.replay(from_, to, speed, types, symbols, exchanges, transform)
        try:
            async for event in events:
                bus.publish(event)
                await bus.drain()
        finally:
            await events.aclose()
        return self.statistics()

    # -- the controls -------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop the clock. Until ``resume()``, no event is handed out and the replay does not end."""
        self._at = self._where()
        self._paused = True
        self._wake()

    def resume(self) -> None:
        """Start the clock again where it stopped."""
        if self._paused:
            self._paused = False
            self._clock.start(self._at)
            self._wake()

    def seek(self, ts: int) -> None:
        """Continue at ``ts``, forwards or backwards: the next event is the first one from there on that passes the
        filters.

        A time before the replay's start means its start; a time beyond its end ends it. A paused replay stays paused.
        """
        check_time("seek", "ts", ts)
        self._seeks += 1
        self._at_end = False
        self._target = ts
        self._at = ts if self._start is None else max(ts, self._start)
        self._cued = True
        self._wake()

    def set_speed(self, speed: Speed) -> None:
        """Continue at another speed. Raises ``ConfigError`` if ``speed`` is not valid."""
        times = _times(speed)
        self._at = self._where()
        self._clock.speed = times
        self._clock.start(self._at)
        self._wake()

    @property
    def paused(self) -> bool:
        """Whether its clock stands still."""
        return self._paused

    @property
    def at_end(self) -> bool:
        """Whether it is paused behind its last event."""
        return self._paused and self._at_end

    @property
    def speed(self) -> float:
        """How many times real time; infinity at full speed."""
        return self._clock.speed

    @property
    def position(self) -> int | None:
        """The recorded time (ns) that the replay has reached; ``None`` before its start is known.

        It advances between two events, but never beyond an event that was not handed out. At full speed, and while the
        consumer is working, it is the time of the last event.
        """
        return None if self._start is None else self._where()

    def statistics(self) -> ReplayStatistics:
        """How many events were played and skipped, how often ``seek`` was called, and how late the last event was."""
        return ReplayStatistics(played=self._played, skipped=self._skipped, seeks=self._seeks, lag_ns=self._lag_ns)

    def _where(self) -> int:
        if self._waiting is None or self._paused or self._cued or self._clock.speed == _MAX:
            return self._at
        return min(self._clock.now(), self._waiting.ts_ingress)

    # -- the replay itself --------------------------------------------------------------------------------------------

    async def _play(
        self,
        playing: object,
        from_: int | None,
        to: int | None,
        wanted: Callable[[DomainEvent], bool] | None,
        transform: Transform | None,
    ) -> AsyncGenerator[DomainEvent, None]:
        """Start again at the top after every wait, because a control may have been used meanwhile."""
        clock = self._clock
        first = from_ or 0  # skip events before this time
        passed = first - 1  # the pass has no more events up to and including this time
        since_turn = 0
        events = self._open(from_)
        try:
            while self._playing is playing:
                if self._paused:
                    await self._rest(None)
                    continue
                if since_turn >= _TURN:
                    since_turn = 0
                    await self._wall.sleep(0)
                    continue
                if self._target is not None and self._start is not None:
                    first, self._target = max(self._target, self._start), None
                    self._cued, self._at = True, first
                    if self._waiting is None or not passed < first <= self._waiting.ts_ingress:
                        self._waiting = None
                        if first <= passed or self._record_from is not None:
                            _close(events)
                            events = self._open(first)
                        passed = first - 1

                event = self._waiting
                if event is None:
                    event = next(events, None)
                    if event is None:
                        if self._pauses_at_end():
                            continue
                        return
                    since_turn += 1
                    if event.ts_ingress < first:
                        continue
                    if to is not None and event.ts_ingress > to:
                        if self._pauses_at_end():
                            continue
                        return
                    if wanted is not None and not wanted(event):
                        self._skipped += 1
                        continue
                    self._waiting = event
                ts = event.ts_ingress
                if self._cued:
                    if self._start is None:
                        self._start = ts
                    self._at = max(first, self._start)
                    self._cued = False
                    clock.start(self._at)
                    continue  # a seek may have waited for the start
                if clock.speed != _MAX:
                    wait = clock.until(ts)
                    if wait > 0:
                        since_turn = 0
                        await self._rest(wait)
                        continue
                    self._lag_ns = -wait
                    self.lags_ns.append(-wait)
                else:
                    self._lag_ns = 0

                self._waiting = None
                self._at = passed = ts
                if transform is not None:
                    event = transform(event)
                    if event is None:
                        self._skipped += 1
                        continue
                self._played += 1
                yield event
        finally:
            _close(events)

    def _pauses_at_end(self) -> bool:
        if not self.pause_at_end or self._start is None:
            return False
        self.pause()
        self._at_end = True
        return True

    def _open(self, ts: int | None) -> Iterator[DomainEvent]:
        return iter(self._record() if ts is None or self._record_from is None else self._record_from(ts))

    async def _rest(self, ns: int | None) -> None:
        """Wait for this number of ns (``None``: forever), or until a control is used."""
        loop = asyncio.get_running_loop()
        rest: asyncio.Future[None] = (
            loop.create_future() if ns is None else loop.create_task(self._wall.sleep(ns / 1e9))
        )
        self._resting = rest
        try:
            await asyncio.wait((rest,))
        finally:
            if self._resting is rest:
                self._resting = None
            rest.cancel()
        if not rest.cancelled():
            rest.result()

    def _wake(self) -> None:
        if self._resting is not None:
            self._resting.cancel()


def _times(speed: Speed) -> float:
    """``speed`` as a number above 0. Raises ``ConfigError`` if it is not valid."""
    given: object = speed
    times = _MAX if given in ("max", 0) else given
    if isinstance(times, float | int) and not isinstance(given, bool) and times > 0:
        return float(times)
    raise ConfigError(f"{speed!r} is not a valid speed; give a multiple of real time (1, 10, 0.5), or 'max'")


def _filter(
    types: Iterable[str | type[DomainEvent]], symbols: Iterable[str], exchanges: Iterable[str]
) -> Callable[[DomainEvent], bool] | None:
    """A function that says whether to play an event; ``None`` if every event is played."""
    patterns = tuple(name for given in _names("types", types) for name in type_names("replay", given))
    wanted_symbols = _names("symbols", symbols)
    venues = _names("exchanges", exchanges)
    known: dict[str, bool] = {}  # by type

    def wanted(event: DomainEvent) -> bool:
        name = type_name(event)
        of_type = known.get(name)
        if of_type is None:
            of_type = known[name] = not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
        return (
            of_type
            and (not wanted_symbols or _field(event, "symbol") in wanted_symbols)
            and (not venues or event.source in venues or _field(event, "venue") in venues)
        )

    return wanted if patterns or wanted_symbols or venues else None


def _names(what: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str | type):
        shown = given.__name__ if isinstance(given, type) else repr(given)
        raise ConfigError(f"replay: {what}={shown} is one name; give a list of names, such as [{shown}]")
    names = tuple(given) if isinstance(given, Iterable) else (given,)
    for name in names:
        if not isinstance(name, str) and not (what == "types" and isinstance(name, type)):
            raise ConfigError(f"replay: {what} has {name!r}; give a list of names")
    return names


def _field(event: DomainEvent, name: str) -> object:
    return event.raw.get(name) if isinstance(event, RawEvent) else getattr(event, name, None)


def _close(events: Iterator[DomainEvent]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
