"""Market data feeds: their start, their end, and silence."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent

__all__ = ["FeedConnected", "FeedDisconnected", "FeedStale"]


class FeedConnected(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A market data feed begins. An input of the run's driver.

    ``feed`` is its name (``files``, ``simulation``). ``symbols`` are the symbols that it may deliver.
    """

    event_type: ClassVar[str] = "feed.connected"
    feed: str
    symbols: tuple[str, ...] = ()

    @property
    def aggregate_id(self) -> str:
        return self.feed


class FeedDisconnected(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A market data feed has ended. An input of the run's driver.

    ``feed`` and ``symbols`` are as in ``FeedConnected``. ``reason`` says why it ended.
    """

    event_type: ClassVar[str] = "feed.disconnected"
    feed: str
    symbols: tuple[str, ...] = ()
    reason: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.feed


class FeedStale(DomainEvent, frozen=True, kw_only=True, gc=False):
    """No market data of a symbol arrived for too long. Emitted by the feed monitor, once per silence.

    ``since`` (ns UTC, receive time) is when the last market data of the symbol arrived, or when the feed began.
    ``limit`` (ns) is the longest silence allowed.
    """

    event_type: ClassVar[str] = "feed.stale"
    symbol: str
    since: int
    limit: int

    @property
    def aggregate_id(self) -> str:
        return self.symbol
