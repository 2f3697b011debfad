"""The opening prices of candles, for simulated venues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from tickdeck.domain.events import CandleEvent, MarketEvent
from tickdeck.domain.values import Price

__all__ = ["CandleOpen", "MarketRecord", "with_opens"]


class CandleOpen(NamedTuple):
    """A candle of ``symbol`` opens at ``open_ts`` (ns UTC) with ``price`` (quote). We would receive it at
    ``ts_ingress``.

    This is not an event and is never on a tape: strategies receive a candle only when it closes. A simulated venue
    receives it, because a real venue would trade at that price at that time.
    """

    symbol: str
    price: Price
    open_ts: int
    ts_ingress: int


MarketRecord: TypeAlias = MarketEvent | CandleOpen


def with_opens(events: Iterable[MarketEvent]) -> Iterator[MarketRecord]:
    """``events`` of one input, with the open of each candle inserted at the time when the candle opens.

    An open that would be earlier than the preceding event is omitted: either the record contains better data than
    candles, or its candles overlap. The open of the first candle is omitted too, because no order can exist before it.
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
