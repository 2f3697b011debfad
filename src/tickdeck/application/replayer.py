"""Replay: the events of a record in their own time, at any speed, with the controls of a tape deck."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import msgspec

from tickdeck.application.bus import EventBus
from tickdeck.application.clock import WallClock
from tickdeck.application.kernel import Kernel
from tickdeck.application.replay_clock import ReplayClock
from tickdeck.application.selection import type_name
from tickdeck.domain.events import DomainEvent, RawEvent
from tickdeck.errors import ConfigError

__all__ = ["ReplayStatistics", "Replayer", "Speed", "Transform"]

Speed: TypeAlias = float | Literal["max"]
"""Times real time, above 0; ``"max"``, infinity and 0 are as fast as possible."""
Transform: TypeAlias = Callable[[Any], DomainEvent | None]
"""Is given each event when its time has come, and returns what is played in its stead; ``None`` for nothing."""

_TURN = 256  # events between two turns of the event loop, where nothing waits
_REMEMBERED = 65_536
_MAX = float("inf")


class ReplayStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``played``: events handed out. ``skipped``: those that a filter or the transform kept away, as often as they were
    read; what a seek jumps over is in neither. ``seeks`` asked for. ``lag_ns``: how late the last event was, in wall
    time; 0 at full speed, which has no time to be late for."""

    played: int
    skipped: int
    seeks: int
    lag_ns: int


class Replayer:
    """Plays a record.

    ``record()`` gives a fresh pass over all events in order of ``seq``, and so of ``ts_ingress``, which is the time
    that counts here. ``record_from(ts)``, where there is one, is a faster way to a pass that has at least the events
    from ``ts`` on. A pass that has a ``close()``, such as a generator, is closed when it is left.

    ``async for event in replayer.replay(...)`` plays; ``pause``, ``resume``, ``seek`` and ``set_speed`` are plain calls
    that take effect at once, from any task of the same event loop or from the loop that plays. There is one replay at a
    time: the next ``replay()`` ends the one before.

    A consumer that is slow does not slow the clock: the events that fell due meanwhile come late, at once and one after
    the other, and none is left out. Touching a control forgives the delay: time goes on from the next event then.
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
        self._clock = ReplayClock(wall, 1.0, 0)
        self._playing: object = None  # stands for the replay that may play
        self._start: int | None = None  # where the clock began; not known before the first event
        self._paused = False
        self._cued = True  # the clock starts with the next event that is read
        self._target: int | None = None  # of a seek that was not carried out yet
        self._waiting: DomainEvent | None = None  # read, but its time has not come
        self._resting: asyncio.Future[None] | None = None
        self._played = self._skipped = self._seeks = self._lag_ns = 0
        self.lags_ns: deque[int] = deque(maxlen=_REMEMBERED)
        """How late each of the newest 65,536 events was that were played at a finite speed, in wall time."""

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
        ``venue``. Of each of the three any may match, and one that is empty does not restrict. It ends with the record,
        or with the first event beyond ``to``, whatever a filter says of it.

        Who leaves the loop early closes it (``contextlib.aclosing``), so that the record is let go at once. Raises
        ``ConfigError`` where the call is wrong, and while playing what the record and ``transform`` raise.
        """
        if from_ is not None and to is not None and to < from_:
            raise ConfigError(f"replay: it would end at {to}, before it begins at {from_}; exchange the two")
        wanted = _filter(types, symbols, exchanges)
        self._clock = ReplayClock(self._wall, _times(speed), from_ or 0)
        self._playing = playing = object()
        self._start = from_
        self._paused = False
        self._cued = True
        self._target = None
        self._waiting = None
        self._played = self._skipped = self._seeks = self._lag_ns = 0
        self.lags_ns.clear()
        self._wake()  # the replay before this one, so that it ends
        return self._play(playing, from_, to, wanted, transform)

    async def replay_onto(
        self,
        bus: EventBus,
        from_: int | None = None,
        to: int | None = None,
        speed: Speed = 1.0,
        types: Iterable[str] = (),
        symbols: Iterable[str] = (),
        exchanges: Iterable[str] = (),
        transform: Transform | None = None,
    ) -> ReplayStatistics:
        """Publish the events on ``bus``, as ``replay`` gives them, and return when the last one was handled.

        Events keep the stamps of their record (``seq``, ids, causes, times). Async handlers are done with an event
        before the next is published, so that no mailbox overflows: a slow one makes the replay late, not lossy.

        Raises what ``replay`` raises, and ``ConfigError`` for the kernel of a run: that takes inputs, which it stamps
        anew, and recorded conclusions would stand beside those that its engines draw.
        """
        if isinstance(bus, Kernel):
            raise ConfigError(
                "replay_onto: the kernel of a run stamps what it takes; give a plain EventBus, or run the recorded "
                "inputs again with `tickdeck run --tape`"
            )
        events = self.replay(from_, to, speed, types, symbols, exchanges, transform)
        try:
            async for event in events:
                bus.publish(event)
                await bus.drain()
        finally:
            await events.aclose()
        return self.statistics()

    async def _play(
        self,
        playing: object,
        from_: int | None,
        to: int | None,
        wanted: Callable[[DomainEvent], bool] | None,
        transform: Transform | None,
    ) -> AsyncGenerator[DomainEvent, None]:
        clock = self._clock
        first = from_ or 0  # events of the pass before this are jumped over
        passed = first - 1  # up to here, the pass has nothing to give any more
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
                    waiting = self._waiting
                    if waiting is None or not passed < first <= waiting.ts_ingress:
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
                    ts = event.ts_ingress
                    if ts < first:
                        continue
                    if to is not None and ts > to:
                        return
                    if wanted is not None and not wanted(event):
                        self._skipped += 1
                        continue
                    self._waiting = event
                if self._cued:
                    self._cue(first, event)
                    continue  # there may be a seek that had to wait for it

                ts = event.ts_ingress
                if clock.speed == _MAX:
                    self._lag_ns = 0
                    clock.at = ts
                else:
                    wait = clock.until(ts)
                    if wait > 0:
                        since_turn = 0
                        await self._rest(wait)
                        continue
                    self._lag_ns = -wait
                    self.lags_ns.append(-wait)
                passed = ts
                self._waiting = None
                ...
        finally:
            _close(events)
