"""The streams that market data comes by: when they begin, end, and fall silent."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent

__all__ = ["FeedConnected", "FeedDisconnected", "FeedStale"]


class FeedConnected(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A stream of market data begins. An input of the run's driver.

    ``feed`` names it (``files``, ``simulation``), ``symbols`` are those that may come by it."""

    event_type: ClassVar[str] = "feed.connected"
    feed: str
    symbols: tuple[str, ...] = ()

    @property
    def aggregate_id(self) -> str:
        return self.feed


class FeedDisconnected(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A stream of market data has ended. An input of the run's driver.

    ``feed`` and ``symbols`` as in ``FeedConnected``, ``reason`` in words."""

    event_type: ClassVar[str] = "feed.disconnected"
    feed: str
    symbols: tuple[str, ...] = ()
    reason: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.feed


class FeedStale(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Nothing was heard of a symbol for too long. Emitted by the feed monitor, once a silence.

    ``since`` (ns UTC, our receive time) is that of the symbol's last market data, or of the feed's beginning;
    ``limit`` (ns) is how much silence is allowed."""

    event_type: ClassVar[str] = "feed.stale"
    symbol: str
    since: int
    limit: int

    @property
    def aggregate_id(self) -> str:
        return self.symbol
