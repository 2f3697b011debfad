"""Merges several inputs in the order in which their data was received."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from typing import TypeAlias, TypeVar

from tickdeck.domain.events import CandleEvent, TradeEvent
from tickdeck.domain.market import CandleOpen, MarketRecord, Timeframe
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.times import ns_to_date

__all__ = ["merge"]

_REMEMBERED = 65_536
"""How many trades of a symbol are remembered. Files of one session have the same trade at nearly the same time."""

M = TypeVar("M", bound=MarketRecord)
_Known: TypeAlias = "dict[int | str, tuple[int, TradeEvent]]"


def merge(inputs: Sequence[Iterable[M]], repeated: Callable[[int], None] = lambda index: None) -> Iterator[M]:
    """All events of ``inputs``, sorted by (``ts_ingress``, position of the input, position in the input).

    The order within an input never changes. If its receive time goes back, the event still comes after those above it,
    as soon as it is the input's turn, and keeps its time. Lazy: stores one event per input.

    A trade that another input already contained, with the same id, time, price and quantity, is omitted, and
    ``repeated(index)`` is called with the position of its input. An equal candle is omitted too. Raises ``InputError``
    if candles of one symbol in two inputs overlap, because a venue would trade both.
    """
    if len(inputs) == 1:
        return iter(inputs[0])
    return _merge(inputs, repeated)


def _merge(inputs: Sequence[Iterable[M]], repeated: Callable[[int], None]) -> Iterator[M]:
    iterators = [iter(events) for events in inputs]
    heads = [next(events, None) for events in iterators]
    heap = [(event.ts_ingress, index) for index, event in enumerate(heads) if event is not None]
    known: dict[tuple[str, str], _Known] = {}
    candles: dict[str, tuple[int, CandleEvent]] = {}
    opens: dict[str, int] = {}
    heapify(heap)
    while heap:
        index = heap[0][1]
        event = heads[index]
        assert event is not None  # an input is removed from the heap after its last event
        if isinstance(event, CandleOpen):
            again, reported = _is_repeated_open(event, opens), False
        elif isinstance(event, TradeEvent) and event.trade_id:
            again = reported = _is_repeated(event, index, known)
        else:
            again = reported = isinstance(event, CandleEvent) and _is_repeated_candle(event, index, candles)
        if reported:
            repeated(index)
        if not again:
            yield event
        following = heads[index] = next(iterators[index], None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.ts_ingress, index))


def _is_repeated(trade: TradeEvent, index: int, known: dict[tuple[str, str], _Known]) -> bool:
    """Whether another input already contained ``trade``. A new trade is remembered."""
    trades = known.setdefault((trade.source, trade.symbol), {})
    before = trades.get(trade.trade_id)
    if before is None:
        trades[trade.trade_id] = (index, trade)
        if len(trades) > _REMEMBERED:
            del trades[next(iter(trades))]
        return False
    giver, same = before
    return (
        giver != index
        and same.ts == trade.ts
        and same.price == trade.price
        and same.quantity == trade.quantity
        and same.side is trade.side
    )


def _is_repeated_candle(candle: CandleEvent, index: int, newest: dict[str, tuple[int, CandleEvent]]) -> bool:
    """Whether another input already contained ``candle``. Raises ``InputError`` if it contained one that overlaps."""
    giver, last = newest.get(candle.symbol, (index, candle))
    if giver != index and candle.open_ts < last.close_ts:
        if (candle.open_ts, candle.close_ts) != (last.open_ts, last.close_ts):
            finer, coarser = sorted((last.interval, candle.interval))
            what = f"overlap (they last {Timeframe(finer)} and {Timeframe(coarser)})"
        elif (candle.open, candle.high, candle.low, candle.close, candle.volume) != (
            (last.open, last.high, last.low, last.close, last.volume)
        ):
            what = "differ"
        else:
            return True
        raise InputError(
            f"candles of {candle.symbol} in two input files {what} at {ns_to_date(candle.open_ts)}; give one file for "
            "each time, with the finest candles, and name coarser ones in the strategy's required_candles()"
        )
    newest[candle.symbol] = (index, candle)
    return False


def _is_repeated_open(opened: CandleOpen, newest: dict[str, int]) -> bool:
    """Whether another input already contained the open of the same candle."""
    if newest.get(opened.symbol) == opened.open_ts:
        return True
    newest[opened.symbol] = opened.open_ts
    return False
