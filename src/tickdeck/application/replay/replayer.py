"""Replay: the events of a record in their own time, at any speed, with the controls of a tape deck."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import msgspec

from tickdeck.application.bus import InMemoryEventBus, type_name
from tickdeck.application.clock import WallClock
from tickdeck.application.kernel import Kernel
from tickdeck.application.replay.replay_clock import ReplayClock
from tickdeck.domain.events import DomainEvent, RawEvent
from tickdeck.errors import ConfigError

__all__ = ["ReplayStatistics", "Replayer", "Speed", "Transform"]

Speed: TypeAlias = float | Literal["max"]
"""Times real time, above 0; ``"max"``, infinity and 0 are as fast as possible."""
Transform: TypeAlias = Callable[[Any], DomainEvent | None]
"""Is given each event when its time has come, and returns what is played in its stead; ``None`` for nothing."""

_MAX = float("inf")
_TURN = 256  # events between two turns of the event loop, where none has to wait for its time
_REMEMBERED = 65_536


class ReplayStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Since ``replay()`` was called. ``played``: events handed out. ``skipped``: those that a filter or the transform
    kept away, as often as they were read; what a seek jumps over is in neither. ``seeks`` asked for. ``lag_ns``: how
    late the last event was, in wall time; 0 at full speed, where nothing can be late."""

    played: int
    skipped: int
    seeks: int
    lag_ns: int


class Replayer:
    """Plays a record.

    ``record()`` gives a fresh pass over all events in order of ``seq``, and so of ``ts_ingress``, which is the time
    that counts here. ``record_from(ts)``, where there is one, is a faster way to a pass that has at least the events
    from ``ts`` on. A pass that has a ``close()``, such as a generator, is closed when it is left.

    ``async for event in replayer.replay(...)`` plays. ``pause``, ``resume``, ``seek`` and ``set_speed`` are plain calls
    and take effect at once; make them from the loop that plays or from another task of the same event loop. There is
    one replay at a time: the next ``replay()`` ends the one before.

    A consumer that is slow does not slow the clock: events that fell due meanwhile come late, one after the other and
    without a wait, and none is left out. Touching a control forgives the delay: time goes on from where the consumer
    is.
    """

    def __init__(
        self,
        record: Callable[[], Iterable[DomainEvent]],
        wall: WallClock,
        *,
        record_from: Callable[[int], Iterable[DomainEvent]] | None = None,
    ) -> None:
        self._record = record
        self._record_from = record_from
        self._wall = wall
        self._clock = ReplayClock(wall, 1.0)
        self._playing: object = None  # stands for the replay that may play
        self._paused = False
        self._cued = True  # the clock starts when the next event is found
        self._start: int | None = None  # where the clock began first; nobody knows before the first event
        self._at = 0  # the record's time at the last event, or as a control was touched
        self._target: int | None = None  # of a seek that was not carried out yet
        self._waiting: DomainEvent | None = None  # found, but its time has not come
        self._resting: asyncio.Future[None] | None = None
        self._played = self._skipped = self._seeks = self._lag_ns = 0
        self.lags_ns: deque[int] = deque(maxlen=_REMEMBERED)
        """How late the newest 65,536 events were that were played at a finite speed, in wall time, oldest first."""

    # -- playing ------------------------------------------------------------------------------------------------------

    def replay(
        self,
        from_: int | None = None,
        to: int | None = None,
        speed: Speed = 1.0,
        types: Iterable[str] = (),
        symbols: Iterable[str] = (),
        exchanges: Iterable[str] = (),
        transform: Transform | None = None,
    ) -> AsyncGenerator[DomainEvent, None]:
        """The events from ``from_`` to ``to`` (ns of ``ts_ingress``, inclusive), each when its time has come.

        The clock begins at ``from_``; without it, with the first event that is played. ``types``: dotted types or
        wildcards (``order.*``); ``symbols``: of events that have one; ``exchanges``: an event's ``source`` or
        ``venue``. An event has to satisfy each of the three, by any one of its values; an empty one does not restrict.
        What ``transform`` returns is played at the time of the event that it was made of.

        Who leaves the loop early closes it (``contextlib.aclosing``), so that the record is let go at once. Raises
        ``ConfigError`` where the call is wrong, and while playing what the record and ``transform`` raise.
        """
        if from_ is not None and to is not None and to < from_:
            raise ConfigError(f"replay: it would end at {to}, before it begins at {from_}; exchange the two")
        wanted = _filter(types, symbols, exchanges)
        self._clock = ReplayClock(self._wall, _times(speed))
        self._playing = playing = object()
        self._paused = False
        self._cued = True
        self._start = from_
        self._at = from_ or 0
        self._target = self._waiting = None
        self._played = self._skipped = self._seeks = self._lag_ns = 0
        self.lags_ns.clear()
        self._wake()  # the replay before this one, so that it ends
        return self._play(playing, from_, to, wanted, transform)

    async def replay_onto(
        self,
        bus: InMemoryEventBus,
        from_: int | None = None,
        to: int | None = None,
        speed: Speed = 1.0,
        types: Iterable[str] = (),
        symbols: Iterable[str] = (),
        exchanges: Iterable[str] = (),
        transform: Transform | None = None,
    ) -> ReplayStatistics:
        """Publish on ``bus`` what ``replay`` gives, and return when the last event was handled.

        Events keep the stamps of their record (``seq``, ids, causes, times). Async handlers are done with an event
        before the next is published, so that no mailbox overflows: a slow one makes the replay late, not lossy.

        Raises what ``replay`` raises, and ``ConfigError`` for the kernel of a run: that stamps what it takes, and
        recorded conclusions would stand beside those that its engines draw.
        """
        if isinstance(bus, Kernel):
            raise ConfigError(
                "replay_onto: the kernel of a run would stamp recorded events anew; give a plain bus, or run "
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
        """Stop the clock; no event is handed out, and the replay does not end, before ``resume()``."""
        self._at = self._where()
        self._paused = True
        self._wake()

    def resume(self) -> None:
        """Let time pass again, from where it stood."""
        if self._paused:
            self._paused = False
            self._clock.start(self._at)
            self._wake()

    def seek(self, ts: int) -> None:
        """Go on at ``ts``, forwards or backwards: the next event is the first from there on that passes the filters.

        Not before the replay's start. Beyond its end it ends. It stays paused where it is.
        """
        self._seeks += 1
        self._target = ts
        self._at = ts if self._start is None else max(ts, self._start)
        self._cued = True
        self._wake()

    def set_speed(self, speed: Speed) -> None:
        """Go on at another speed. Raises ``ConfigError`` where it is none."""
        times = _times(speed)
        self._at = self._where()
        self._clock.speed = times
        self._clock.start(self._at)
        self._wake()

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def speed(self) -> float:
        """Times real time; infinity at full speed."""
        return self._clock.speed

    @property
    def position(self) -> int | None:
        """The record's time (ns) that it is in the replay; ``None`` before its start is known.

        It moves on between two events, but never beyond one that was not handed out. At full speed, and while the
        consumer is at work, it is the time of the last event.
        """
        return None if self._start is None else self._where()

    def statistics(self) -> ReplayStatistics:
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
        """After whatever may have given others a turn, it begins anew at the top: a control may have been touched."""
        clock = self._clock
        first = from_ or 0  # events before this are jumped over
        passed = first - 1  # of earlier times, and of this, the pass has nothing to give any more
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
                        return
                    since_turn += 1
                    if event.ts_ingress < first:
                        continue
                    if to is not None and event.ts_ingress > to:
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
                    continue  # a seek may have had to wait for the start
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

    def _open(self, ts: int | None) -> Iterator[DomainEvent]:
        return iter(self._record() if ts is None or self._record_from is None else self._record_from(ts))

    async def _rest(self, ns: int | None) -> None:
        """Until so many ns have passed (``None``: without end), or until somebody touches a control."""
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
    """``speed`` as a number above 0. Raises ``ConfigError`` where it is none."""
    times: object = _MAX if speed in ("max", 0) else speed
    if isinstance(times, float | int) and times > 0:
        return float(times)
    raise ConfigError(f"{speed!r} is no speed; give how many times real time (1, 10, 0.5), or 'max'")


def _filter(
    types: Iterable[str], symbols: Iterable[str], exchanges: Iterable[str]
) -> Callable[[DomainEvent], bool] | None:
    """Whether an event is to be played; ``None`` where every one is."""
    patterns = _names("types", types)
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


def _names(what: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise ConfigError(f"replay: {what}={given!r} is one name; give a list of names, such as [{given!r}]")
    return tuple(given)


def _field(event: DomainEvent, name: str) -> object:
    return event.raw.get(name) if isinstance(event, RawEvent) else getattr(event, name, None)


def _close(events: Iterator[DomainEvent]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
