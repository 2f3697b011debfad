"""Frames of a venue that arrive faster than the run processes them."""

from __future__ import annotations

import asyncio

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import Frame, MarketDataFeed, OverloadableFeed
from tickdeck.application.streaming import BoundedAsyncQueue, QueueClosed

__all__ = ["FrameIntake"]


_TELL_EVERY = 1_000_000_000  # ns; an overload may last


class FrameIntake:
    """Puts frames into ``queue``, which has room for ``capacity`` of them. While it is full, an ``OverloadableFeed``
    decides about each frame: replace an older one, drop it, or keep it. Other feeds have to wait.

    A frame that waited outside the queue gets the time at which it entered. Losses are recorded as an
    ``overload_frame``. ``dropped`` and ``conflated`` count since the start.
    """

    def __init__(self, feed: MarketDataFeed, capacity: int, *, clock: LiveClock) -> None:
        self.queue: BoundedAsyncQueue[Frame] = BoundedAsyncQueue(capacity, clock=clock)
        self.dropped = self.conflated = 0
        self._capacity, self._clock = capacity, clock
        self._feed = feed if isinstance(feed, OverloadableFeed) else None
        self._waiting: dict[str, Frame] = {}  # in order of arrival; a newer frame takes the place of an older one
        self._kept = 0
        self._entering: asyncio.Task[None] | None = None
        self._told, self._tell_due = (0, 0), 0

    async def put(self, frame: Frame) -> None:
        """Take a frame. Waits for room only if the feed is not an ``OverloadableFeed``."""
        if self._feed is None:
            await self.queue.put(frame)
        elif self._entering is None and len(self.queue) < self._capacity:
            self.queue.put_nowait(frame)
        else:
            self._hold(frame, self._feed)

    async def stop(self) -> None:
        """Forget what waits."""
        if self._entering is not None:
            self._entering.cancel()
            await asyncio.gather(self._entering, return_exceptions=True)

    def _hold(self, frame: Frame, feed: OverloadableFeed) -> None:
        key = feed.overload_key(frame)
        if key == "":
            self.dropped += 1
        else:
            if key is None:
                self._kept += 1
                key = f"\n{self._kept}"
            self.conflated += key in self._waiting
            self._waiting[key] = frame
        if self._entering is None:
            self._tell_due = self._clock.monotonic_ns() + _TELL_EVERY
            self._entering = asyncio.ensure_future(self._enter(feed))

    async def _enter(self, feed: OverloadableFeed) -> None:
        """Move the waiting frames into the queue as soon as there is room."""
        try:
            while self._waiting or self._told != (self.dropped, self.conflated):
                if self._waiting and self._clock.monotonic_ns() < self._tell_due:
                    frame = self._waiting.pop(next(iter(self._waiting)))
                    await self.queue.put(frame._replace(received=self._clock.time_ns()))
                else:
                    await self.queue.put(self._lost(feed))
        except QueueClosed:
            self._waiting.clear()  # the run has ended
        finally:
            self._entering = None

    def _lost(self, feed: OverloadableFeed) -> Frame:
        dropped, conflated = self.dropped - self._told[0], self.conflated - self._told[1]
        self._told = self.dropped, self.conflated
        self._tell_due = self._clock.monotonic_ns() + _TELL_EVERY
        return feed.overload_frame(self._clock.time_ns(), dropped, conflated)
