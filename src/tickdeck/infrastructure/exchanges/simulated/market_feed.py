"""An exchange's public market data as async iterators, from recorded files or the simulated market."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator, Sequence
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any, Generic, TypeVar

from tickdeck.application.bus import Block, OverflowPolicy, check_lossy
from tickdeck.application.clock import WallClock
from tickdeck.application.streaming import BoundedAsyncQueue, QueueStatistics
from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.exchanges.simulated.market import simulated_market
from tickdeck.infrastructure.readers import DEFAULT_FEED_LATENCY_NS, InputFile, merge, open_input

__all__ = ["MarketFeed", "MarketStream"]

E = TypeVar("E", bound=MarketEvent)

_SECOND = 1_000_000_000
_CAPACITY = 1_000
_TURN = 64  # events between two turns of the event loop if the feed never has to wait
_NAP_NS = 100_000_000  # longest sleep before checking whether anybody still listens
_BLOCK = Block()


class MarketStream(Generic[E]):
    """The events of one subscriber, in the feed's order: an async iterator that ends with the data.

    If the feed fails, the iterator raises its error after the events that still wait. It also ends with ``close()``, at
    the end of a ``with`` block, and when the last reference to it is gone. A subscriber that leaves never blocks the
    feed.
    """

    def __init__(self, feed: MarketFeed, queue: BoundedAsyncQueue[E]) -> None:
        self._feed = feed
        self._queue = queue
        self._leave = weakref.finalize(self, feed._forget, queue)
        self._leave.atexit = False

    def __aiter__(self) -> MarketStream[E]:
        return self

    async def __anext__(self) -> E:
        self._feed._wake()
        return await anext(self._queue)

    def close(self) -> None:
        """Stop receiving. Waiting events can still be taken. Closing twice is harmless."""
        self._leave()

    def statistics(self) -> QueueStatistics:
        """Counts of the subscriber's queue: accepted, handed out, dropped by type, waiting."""
        return self._queue.statistics()

    def __enter__(self) -> MarketStream[E]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MarketFeed:
    """Plays market data to any number of subscribers at once. Each has a bounded queue and its own overflow policy.

    The feed starts when the first subscriber waits for an event and stops while nobody listens. A later subscriber
    receives events from that point on. ``speed``: how many times real time, by ``ts_ingress``; ``None`` means as fast
    as possible. A slow subscriber with ``Block``, the default, slows the feed and thereby the other subscribers; with
    any other policy it does not. A delayed feed catches up as fast as possible.

    ``events``: market data in order of ``ts_ingress``; see also ``recorded`` and ``simulated``. ``symbols``: the
    symbols that can occur, if known; subscribing to any other is refused. For one event loop, where the feed runs as a
    task. ``async with`` or ``aclose()`` ends the task and closes the files.

    Raises ``ConfigError`` if ``speed`` is not above 0.
    """

    def __init__(
        self,
        events: Iterator[MarketEvent],
        *,
        symbols: Sequence[str] | None = None,
        speed: float | None = None,
        wall: WallClock | None = None,
    ) -> None:
        if speed is not None and not 0 < speed < inf:
            raise ConfigError(f"market feed: speed is {speed!r}; give a number above 0, or None for full speed")
        self._events = events
        self._symbols = None if symbols is None else tuple(symbols)
        self._speed = speed
        self._wall = wall or SystemClock()
        self._hearers: dict[tuple[type[MarketEvent], str], list[BoundedAsyncQueue[Any]]] = {}
        self._next: MarketEvent | None = None  # read from the source, not due yet
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._error: Exception | None = None

    @classmethod
    def recorded(
        cls,
        files: Sequence[InputFile | Path | str],
        *,
        feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS,
        speed: float | None = None,
        wall: WallClock | None = None,
    ) -> MarketFeed:
        """A feed from files in any format that ``open_input`` reads, merged by receive time. For a plain path, the
        format is detected from the content; use ``InputFile`` to say more.

        Raises ``InputError`` at once if a file cannot be opened. A malformed line ends the feed with that error for
        every subscriber.
        """
        inputs = [file if isinstance(file, InputFile) else InputFile(Path(file)) for file in files]
        events = merge([open_input(file, feed_latency_ns=feed_latency_ns) for file in inputs])
        return cls(events, speed=speed, wall=wall)

    @classmethod
    def simulated(
        cls,
        symbols: Sequence[str],
        *,
        seed: int,
        start_ts: int,
        seconds: float | None = None,
        speed: float | None = None,
        wall: WallClock | None = None,
    ) -> MarketFeed:
        """The simulated market: ``seconds`` of its own clock from ``start_ts`` (ns UTC); ``None`` means for ever.

        Raises ``ConfigError`` if ``symbols`` is empty or names one twice.
        """
        events: Iterator[MarketEvent] = simulated_market(symbols, seed, start_ts)
        if seconds is not None:
            end = start_ts + int(seconds * _SECOND)
            events = takewhile(lambda event: event.ts < end, events)
        return cls(events, symbols=symbols, speed=speed, wall=wall)

    # -- subscribing --------------------------------------------------------------------------------------------------

    def subscribe_trades(
        self, symbol: str, *, capacity: int = _CAPACITY, overflow: OverflowPolicy = _BLOCK
    ) -> MarketStream[TradeEvent]:
        """The public trades of ``symbol``. Up to ``capacity`` events may wait; ``overflow`` applies beyond that.

        Raises ``ConfigError`` if the exchange is known not to have the symbol, or if the policy does not fit a queue.
        """
        return self._subscribe(symbol, (TradeEvent,), capacity, overflow)

    def subscribe_ticks(
        self, symbol: str, *, capacity: int = _CAPACITY, overflow: OverflowPolicy = _BLOCK
    ) -> MarketStream[TickEvent]:
        """The best bid and ask of ``symbol`` at each change. See ``subscribe_trades``."""
        return self._subscribe(symbol, (TickEvent,), capacity, overflow)

    def subscribe_book(
        self, symbol: str, *, capacity: int = _CAPACITY, overflow: OverflowPolicy = _BLOCK
    ) -> MarketStream[OrderBookEvent | OrderBookDeltaEvent]:
        """The order book of ``symbol``, as snapshots and deltas. See ``subscribe_trades``. A lost delta breaks a
        book: with a lossy policy, expect gaps in the update ids and wait for the next snapshot."""
        return self._subscribe(symbol, (OrderBookEvent, OrderBookDeltaEvent), capacity, overflow)

    def _subscribe(
        self, symbol: str, types: tuple[type[MarketEvent], ...], capacity: int, overflow: OverflowPolicy
    ) -> MarketStream[E]:
        if self._symbols is not None and symbol not in self._symbols:
            raise ConfigError(f"market feed: unknown symbol {symbol!r}; it has {', '.join(self._symbols)}")
        queue: BoundedAsyncQueue[E] = BoundedAsyncQueue(capacity, overflow, clock=self._wall)
        check_lossy(overflow, *types)
        if self._ended:
            queue.close(self._error)
        else:
            for cls in types:
                self._hearers.setdefault((cls, symbol), []).append(queue)
        return MarketStream(self, queue)

    # -- playing ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._ended and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        """Play until the data ends or nobody listens."""
        anchor: tuple[int, int] | None = None  # wall time and feed time at the start of this stretch
        sent = 0
        try:
            while self._hearers:
                if self._next is None:
                    self._next = next(self._events, None)
                event = self._next
                if event is None:
                    self._end()
                    return
                if self._speed is not None:
                    anchor = anchor or (self._wall.monotonic_ns(), event.ts_ingress)
                    if await self._slept(event, anchor, self._speed):
                        continue  # check again whether anybody listens, and what time it is
                self._next = None
                await self._send(event)
                sent += 1
                if sent % _TURN == 0:
                    await self._wall.sleep(0)
        except Exception as error:  # noqa: BLE001 (it is the subscribers' to see: each gets it)
            self._end(error)

    async def _slept(self, event: MarketEvent, anchor: tuple[int, int], speed: float) -> bool:
        """Sleep until the event is due, but only for a short while. Returns False if it is due already."""
        wall_start, ts_start = anchor
        wait = int((event.ts_ingress - ts_start) / speed) - (self._wall.monotonic_ns() - wall_start)
        if wait <= 0:
            return False
        await self._wall.sleep(min(wait, _NAP_NS) / 1e9)
        return True

    async def _send(self, event: MarketEvent) -> None:
        for queue in tuple(self._hearers.get((type(event), event.symbol), ())):
            try:
                await queue.put(event)
            except Exception as error:  # noqa: BLE001 (it left while the feed waited, or its own policy failed)
                self._forget(queue, error)

    def _forget(self, queue: BoundedAsyncQueue[Any], error: Exception | None = None) -> None:
        queue.close(error)
        for key, queues in list(self._hearers.items()):
            if queue in queues:
                queues.remove(queue)
                if not queues:
                    del self._hearers[key]

    def _end(self, error: Exception | None = None) -> None:
        self._ended = True
        self._error = error
        for queues in self._hearers.values():
            for queue in queues:
                queue.close(error)
        self._hearers.clear()

    async def aclose(self) -> None:
        """Stop, end every stream, and close the files. Closing twice is harmless."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not self._ended:
            self._end()
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

    async def __aenter__(self) -> MarketFeed:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
