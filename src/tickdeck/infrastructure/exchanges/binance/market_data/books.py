"""The chains of book updates, and the snapshots that join them."""

from __future__ import annotations

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.infrastructure.exchanges.binance.market_data.fetches import Fetches
from tickdeck.infrastructure.exchanges.binance.market_data.output import FeedStatistics, Fetch, Output

__all__ = ["BookChain", "BookChains"]

_S = 1_000_000_000  # ns in a second
_FIRST_WAIT, _LONGEST_WAIT = _S // 4, 30 * _S  # before a snapshot is fetched again


class _SnapshotId(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")


class BookChain:
    """The updates of one symbol.

    ``last``: the last id that was passed on. ``waits_from``: the first id of the updates that wait for a snapshot; 0 if
    none do. ``fetch``: the number of the request for a snapshot; 0 if none is on its way.
    """

    __slots__ = ("fetch", "last", "symbol", "tries", "waits_from")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last = self.waits_from = self.fetch = self.tries = 0


class BookChains:
    """Follows the update ids of every symbol, and fetches a snapshot where a chain begins or breaks.

    Updates are always passed on, so that the owner of the book sees the break itself.
    """

    def __init__(self, output: Output, fetches: Fetches, statistics: FeedStatistics) -> None:
        self._output, self._fetches, self._statistics = output, fetches, statistics
        self._chains: dict[str, BookChain] = {}

    def chain(self, symbol: str) -> BookChain:
        found = self._chains.get(symbol)
        if found is None:
            found = self._chains[symbol] = BookChain(symbol)
        return found

    def take(self, chain: BookChain, first: int, last: int, now: int) -> bool:
        """Take an update with the ids ``first`` to ``last``. Returns False if it came before."""
        if chain.last and last <= chain.last:
            self._statistics.repeated += 1
            return False
        if not chain.last or first > chain.last + 1:
            if chain.last:
                self._statistics.gaps += 1
            self._start(chain, first, now)
        chain.last = last
        return True

    def take_snapshot(self, fetch: Fetch, now: int, body: bytes) -> None:
        """Pass a snapshot on, or fetch it again if it is older than the updates that wait for it."""
        chain = self._chains[fetch.symbol]
        if msgspec.json.decode(body, type=_SnapshotId).last_update_id + 1 < chain.waits_from:
            self.fetch_again(fetch, now)
            return
        chain.fetch = chain.waits_from = 0
        self._statistics.snapshots += 1
        self._output.frames.append(Frame(now, b'{"symbol":"%b",%b' % (fetch.symbol.encode(), body.strip()[1:])))

    def fetch_again(self, fetch: Fetch, now: int, wait: int = 0) -> None:
        """Repeat a request that failed: after ``wait`` ns at the earliest, and later each time."""
        chain = self._chains[fetch.symbol]
        chain.tries += 1
        self._fetches.repeat(fetch, now + max(wait, min(_LONGEST_WAIT, _FIRST_WAIT << min(chain.tries, 7))))

    def _start(self, chain: BookChain, waits_from: int, now: int) -> None:
        chain.waits_from = waits_from
        if not chain.fetch:
            chain.tries = 0
            chain.fetch = self._fetches.start("depth", chain.symbol, now)
