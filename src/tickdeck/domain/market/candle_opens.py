"""When a candle opens, a market knows its open and nothing else of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from tickdeck.domain.events import CandleEvent, MarketEvent
from tickdeck.domain.values import Price

__all__ = ["CandleOpen", "MarketRecord", "with_opens"]


class CandleOpen(NamedTuple):
    """A candle of ``symbol`` opens at ``open_ts`` (ns UTC) with ``price`` (quote); we would learn it at ``ts_ingress``.

    It is no event and never on a tape: strategies hear a candle when it closes. A simulated venue is told, because a
    real one would trade at that price then.
    """

    symbol: str
    price: Price
    open_ts: int
    ts_ingress: int


MarketRecord: TypeAlias = MarketEvent | CandleOpen


def with_opens(events: Iterable[MarketEvent]) -> Iterator[MarketRecord]:
    """``events`` of one input, each candle preceded by its open at the time of that.

    An open that lies before the event in front of it is left out: then the record holds something better than candles,
    or its candles overlap. So is that of the first candle, since nobody can have ordered before it.
    """
    last = None
    for event in events:
        ts = event.ts_ingress
        if type(event) is CandleEvent and last is not None:
            opened = event.open_ts + ts - event.close_ts
            if last <= opened < ts:
                yield CandleOpen(event.symbol, event.open, event.open_ts, opened)
        yield event
        last = ts
