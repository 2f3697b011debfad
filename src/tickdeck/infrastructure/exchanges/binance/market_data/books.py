"""The sequences of book updates, and the snapshots that they continue."""

from __future__ import annotations

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.infrastructure.exchanges.binance.market_data.fetches import Fetches
from tickdeck.infrastructure.exchanges.binance.market_data.output import FeedStatistics, Fetch, Output

__all__ = ["BookChain", "BookChains"]

_S = 1_000_000_000  # ns in a second
_FIRST_WAIT, _LONGEST_WAIT = _S // 4, 30 * _S  # before a snapshot is fetched again
_SETTLED_AFTER = 10 * _S  # a book that lasted this long gets its next snapshot immediately


class _SnapshotId(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")


class BookChain:
    """The updates of one symbol.

    ``last``: the last id that was passed on. ``waits_from``: the first id of the updates that wait for a snapshot; 0 if
    none do. ``fetch``: the number of the pending request for a snapshot; 0 if there is none. ``joined``: when the last
    snapshot was passed on, ns UTC.
    """

    __slots__ = ("fetch", "joined", "last", "symbol", "tries", "waits_from")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last = self.waits_from = self.fetch = self.tries = self.joined = 0


class BookChains:
    """Follows the update ids of every symbol, and fetches a snapshot when a sequence begins or breaks.

    Updates are always passed on, so that the owner of the book detects the break itself.
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
        """Take an update with the ids ``first`` to ``last``. Returns False if it is a repetition."""
        if chain.last and last <= chain.last:
            self._statistics.repeated += 1
            return False
        if not chain.last or first > chain.last + 1:
            if chain.last:
                self._statistics.gaps += 1
            self._start(chain, first, now)
        chain.last = last
        return True

    def resync(self, symbol: str, now: int) -> None:
        """The owner of the book cannot use it any more: fetch a snapshot that includes everything passed on so far."""
        chain = self._chains.get(symbol)
        if chain is not None and chain.last:
            self._start(chain, chain.last + 1, now)

    def take_snapshot(self, fetch: Fetch, now: int, body: bytes) -> None:
        """Pass a snapshot on, or fetch it again if it is older than the updates that wait for it."""
        chain = self._chains[fetch.symbol]
        if msgspec.json.decode(body, type=_SnapshotId).last_update_id + 1 < chain.waits_from:
            self.fetch_again(fetch, now)
            return
        chain.fetch = chain.waits_from = 0
        chain.joined = now
        self._statistics.snapshots += 1
        self._output.frames.append(Frame(now, b'{"symbol":"%b",%b' % (fetch.symbol.encode(), body.strip()[1:])))

    def fetch_again(self, fetch: Fetch, now: int, wait: int = 0) -> None:
        """Repeat a failed request: after ``wait`` ns at the earliest, and each time a little later."""
        chain = self._chains[fetch.symbol]
        chain.tries += 1
        self._fetches.repeat(fetch, now + max(wait, _wait(chain.tries)))

    def _start(self, chain: BookChain, waits_from: int, now: int) -> None:
        chain.waits_from = waits_from
        if chain.fetch:
            return
        # A book that breaks repeatedly must not use up the limits.
        chain.tries = chain.tries + 1 if chain.joined and now - chain.joined < _SETTLED_AFTER else 0
        if chain.tries > 1:
            chain.fetch = self._fetches.start_later("depth", chain.symbol, now + _wait(chain.tries))
        else:
            chain.fetch = self._fetches.start("depth", chain.symbol, now)


def _wait(tries: int) -> int:
    return min(_LONGEST_WAIT, _FIRST_WAIT << min(tries, 7))
