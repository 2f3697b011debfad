"""Market data of a venue, as a live run receives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from tickdeck.domain.events import DomainEvent
from tickdeck.domain.market import Instrument

__all__ = [
    "ContinuingFeed",
    "CountingFeed",
    "Frame",
    "ListingFeed",
    "MarketDataFeed",
    "OverloadableFeed",
    "RememberingFeed",
]


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
        decodes the recorded frames again. If earlier frames were dropped, what is left is decoded without them. Never
        raises for what a venue sends."""


@runtime_checkable
class OverloadableFeed(MarketDataFeed, Protocol):
    """A feed from which frames may be lost while they arrive faster than the run processes them. With any other feed,
    the sockets have to wait."""

    def overload_key(self, frame: Frame) -> str | None:
        """What may happen to ``frame``: with a key, a newer frame with the same key may replace it; with an empty key,
        it may be dropped, because later frames show the gap; with ``None``, it must be kept."""

    def overload_frame(self, received: int, dropped: int, conflated: int) -> Frame:
        """A frame that decodes to a warning about the number of frames that were ``dropped`` or ``conflated``
        (replaced).
        """

    def resync(self, symbol: str) -> None:
        """The book of ``symbol`` cannot be used any more, although the feed delivered every update: send a snapshot as
        soon as possible."""


@runtime_checkable
class ListingFeed(MarketDataFeed, Protocol):
    """A feed that reports the venue's instruments, and changes of their status."""

    def ask_instruments(self) -> None:
        """The venue refused an order because it does not trade the symbol: report the instruments soon."""

    def recall_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Take the instruments of a run that continues. Called before ``run``. One that the venue no longer lists is
        delisted; without this, its symbol counts as wrong. If it lists none of them, ``run`` raises."""


@runtime_checkable
class CountingFeed(MarketDataFeed, Protocol):
    """A feed that counts what it does, such as the connections that it opens and the gaps that it finds."""

    def counts(self) -> Mapping[str, int]:
        """Each count by its name, since the process began. None of them becomes smaller."""


@runtime_checkable
class RememberingFeed(MarketDataFeed, Protocol):
    """A feed that fetches what was missed while a run was down. With any other feed, that is a gap."""

    def remember(self, frame: Frame) -> None:
        """Take a frame that an earlier process recorded. Called for each of them, in order, before ``run``."""


@runtime_checkable
class ContinuingFeed(MarketDataFeed, Protocol):
    """A feed that can continue in the middle of a record, so that its runs can be resumed from snapshots. ``decode``
    depends on its frame alone."""

    def continue_after(self, trades: Mapping[str, int]) -> None:
        """The ids of the last trades that an earlier process took, by symbol. Called before ``run``, and before
        ``remember`` for the frames after them."""
