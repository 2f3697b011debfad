"""The sequences of trades, and the trades that are fetched to close gaps in them."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.infrastructure.exchanges.binance.market_data.fetches import Fetches
from tickdeck.infrastructure.exchanges.binance.market_data.output import FeedStatistics, Fetch, Output

__all__ = ["TradeChain", "TradeChains"]

_LONGEST_GAP = 5_000  # trades; a longer gap is not fetched
_MAX_HELD = 20_000  # messages of one stream that wait for a fetch


class _RestTrade(msgspec.Struct):
    id: int
    price: str
    quantity: str = msgspec.field(name="qty")
    time: int
    buyer_is_maker: bool = msgspec.field(name="isBuyerMaker")


class _RestAggTrade(msgspec.Struct):
    id: int = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class TradeChain:
    """The trades of one stream. ``kind`` is ``trade`` or ``aggTrade``, ``last`` the last id that was passed on.

    While request ``fetch`` fetches the trades ``first_missing`` to ``last_missing``, later ones are stored in ``held``.
    """

    __slots__ = ("fetch", "first_missing", "held", "kind", "last", "last_missing", "symbol")

    def __init__(self, kind: str, symbol: str) -> None:
        self.kind, self.symbol = kind, symbol
        self.last = self.fetch = self.first_missing = self.last_missing = 0
        self.held: deque[tuple[int, Frame]] = deque()


class TradeChains:
    """Follows the trade ids of every stream, and fetches missing trades before it passes on later ones.

    If the fetch fails or the gap is long, the later trades are passed on. The gap then shows in their ids.
    """

    def __init__(self, output: Output, fetches: Fetches, statistics: FeedStatistics) -> None:
        self._output, self._fetches, self._statistics = output, fetches, statistics
        self._chains: dict[bytes, TradeChain] = {}

    def chain(self, stream: bytes, kind: str, symbol: str) -> TradeChain:
        found = self._chains.get(stream)
        if found is None:
            found = self._chains[stream] = TradeChain(kind, symbol)
        return found

    def take(self, chain: TradeChain, number: int, frame: Frame) -> bool:
        """Take a trade with its id. Returns whether to pass it on now."""
        last = chain.last
        if chain.fetch:
            if len(chain.held) < _MAX_HELD:
                chain.held.append((number, frame))
                return False
            self._release(chain, frame.received)
            return self.take(chain, number, frame)
        if last and number <= last:
            self._statistics.repeated += 1
            return False
        if last and number > last + 1:
            self._statistics.gaps += 1
            if number - last <= _LONGEST_GAP:
                chain.first_missing, chain.last_missing = last + 1, number - 1
                chain.held.append((number, frame))
                self._fetch(chain, frame.received)
                return False
        chain.last = number
        return True

    def take_missing(self, fetch: Fetch, now: int, body: bytes) -> None:
        """Pass on fetched trades, then fetch the rest or pass on the held ones."""
        chain = next(chain for chain in self._chains.values() if chain.fetch == fetch.number)
        shape: Any = list[_RestTrade] if chain.kind == "trade" else list[_RestAggTrade]
        wanted = chain.first_missing
        for trade in msgspec.json.decode(body, type=shape):
            if wanted == trade.id <= chain.last_missing:
                self._output.frames.append(Frame(now, _as_message(chain, trade)))
                self._statistics.trades_fetched += 1
                wanted += 1
        progress, chain.first_missing = wanted > chain.first_missing, wanted
        chain.last = wanted - 1
        if progress and wanted <= chain.last_missing:
            self._fetch(chain, now)
        else:
            self._release(chain, now)

    def give_up(self, fetch: Fetch, now: int) -> None:
        """A request failed: pass on the trades that were held for it."""
        for chain in self._chains.values():
            if chain.fetch == fetch.number:
                self._release(chain, now)

    def _fetch(self, chain: TradeChain, now: int) -> None:
        chain.fetch = self._fetches.start(chain.kind, chain.symbol, now, chain.first_missing, chain.last_missing)

    def _release(self, chain: TradeChain, now: int) -> None:
        """Pass on the held trades. If there is another gap among them, it is fetched too."""
        chain.fetch = 0
        held, chain.held = chain.held, deque()
        if held and held[0][0] > chain.last:
            chain.last = held[0][0] - 1  # the ids show what is still missing
        for number, frame in held:
            moved = frame._replace(received=now)
            if self.take(chain, number, moved):
                self._output.frames.append(moved)


def _as_message(chain: TradeChain, trade: _RestTrade | _RestAggTrade) -> bytes:
    """A fetched trade in the format of its stream. ``r`` marks it as fetched."""
    data = {
        "e": chain.kind,
        "s": chain.symbol,
        "t" if chain.kind == "trade" else "a": trade.id,
        "p": trade.price,
        "q": trade.quantity,
        "T": trade.time,
        "m": trade.buyer_is_maker,
        "r": "rest",
    }
    stream = f"{chain.symbol.lower()}@{chain.kind}".encode()
    return b'{"stream":"%b","data":%b}' % (stream, msgspec.json.encode(data))
