"""Several inputs as one, in the order in which their data was received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from tickdeck.domain.events import MarketEvent

__all__ = ["merge"]


def merge(inputs: Sequence[Iterable[MarketEvent]]) -> Iterator[MarketEvent]:
    """All events of ``inputs`` by (``ts_ingress``, position of the input, position in it).

    An input's own order is never changed: where its receive time goes back, the event still comes after those above it,
    as soon as it is its input's turn again, and with the time that it has. Lazy: holds one event of each input.
    """
    if len(inputs) == 1:
        return iter(inputs[0])
    return _merge(inputs)


def _merge(inputs: Sequence[Iterable[MarketEvent]]) -> Iterator[MarketEvent]:
    iterators = [iter(events) for events in inputs]
    heads = [next(events, None) for events in iterators]
    heap = [(event.ts_ingress, index) for index, event in enumerate(heads) if event is not None]
    heapify(heap)
    while heap:
        index = heap[0][1]
        event = heads[index]
        assert event is not None  # an input leaves the heap with its last event
        yield event
        following = heads[index] = next(iterators[index], None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.ts_ingress, index))
