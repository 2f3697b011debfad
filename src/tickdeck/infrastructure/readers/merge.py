"""Several inputs as one, in the order in which their data was received."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from typing import TypeAlias, TypeVar

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.market import MarketRecord

__all__ = ["merge"]

_REMEMBERED = 65_536
"""So many trades of a symbol are remembered: files of one session have a trade at nearly the same time."""

M = TypeVar("M", bound=MarketRecord)
_Known: TypeAlias = "dict[int | str, tuple[int, TradeEvent]]"


def merge(inputs: Sequence[Iterable[M]], repeated: Callable[[int], None] = lambda index: None) -> Iterator[M]:
    """All events of ``inputs`` by (``ts_ingress``, position of the input, position in it).

    An input's own order is never changed: where its receive time goes back, the event still comes after those above it,
    as soon as it is its input's turn again, and with the time that it has. Lazy: holds one event of each input.

    A trade that another input gave already, of the same id, time, price and quantity, is left out, and
    ``repeated(index)`` is called with the position of its input.
    """
    if len(inputs) == 1:
        return iter(inputs[0])
    return _merge(inputs, repeated)


def _merge(inputs: Sequence[Iterable[M]], repeated: Callable[[int], None]) -> Iterator[M]:
    iterators = [iter(events) for events in inputs]
    heads = [next(events, None) for events in iterators]
    heap = [(event.ts_ingress, index) for index, event in enumerate(heads) if event is not None]
    known: dict[tuple[str, str], _Known] = {}
    heapify(heap)
    while heap:
        index = heap[0][1]
        event = heads[index]
        assert event is not None  # an input leaves the heap with its last event
        if isinstance(event, TradeEvent) and event.trade_id and _is_repeated(event, index, known):
            repeated(index)
        else:
            yield event
        following = heads[index] = next(iterators[index], None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.ts_ingress, index))


def _is_repeated(trade: TradeEvent, index: int, known: dict[tuple[str, str], _Known]) -> bool:
    """Whether another input gave ``trade`` already; it is remembered where none did."""
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
