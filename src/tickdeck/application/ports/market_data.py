"""Market data of a venue, as a live run hears it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from tickdeck.domain.events import DomainEvent

__all__ = ["Frame", "MarketDataFeed"]


class Frame(NamedTuple):
    """A message from a venue: the time of receipt (ns UTC), and its bytes, without a line break."""

    received: int
    data: bytes


class MarketDataFeed(Protocol):
    """A venue's market data: its connections, and the decoding of its frames."""

    name: str

    async def run(self, put: Callable[[Frame], Awaitable[object]]) -> None:
        """Connect, and ``await put(frame)`` for everything that arrives, until cancelled. Broken connections are
        restored; if that is impossible, the error is raised. Everything that ``decode`` needs to know is a frame,
        including a lost connection or the answer to a request."""

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        """The market events of a frame, in order. They depend only on this and earlier frames, because ``verify``
        decodes the recorded frames again. Never raises for what a venue sends."""
