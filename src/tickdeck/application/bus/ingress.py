"""Where inputs wait: four lanes, taken by priority, and never two inputs of one source or stream out of order."""

from __future__ import annotations

from collections import deque

from tickdeck.domain.events import DomainEvent, Priority

__all__ = ["P0", "P1", "P2", "P3", "Ingress", "lane_of"]

P0, P1, P2, P3 = Priority


def lane_of(event: DomainEvent) -> int:
    """The lane of an event: the ``priority`` that its class declares."""
    return event.priority


class Ingress:
    """The waiting inputs. Not thread-safe, except ``put``: it belongs to the kernel's thread.

    An input never overtakes an earlier one of the same source or of the same stream, whatever their lanes: it waits in
    the lane of its class, or in the slower lane in which such an input still waits.
    """

    def __init__(self) -> None:
        self._inbox: deque[DomainEvent] = deque()  # put by any thread: appending is one step for the interpreter
        self._lanes: tuple[deque[DomainEvent], ...] = (deque(), deque(), deque(), deque())
        # How many wait in each lane, by ("source", name) and ("stream", key). Only of those that wait.
        self._waiting: dict[tuple[str, str], list[int]] = {}

    def __len__(self) -> int:
        return len(self._inbox) + sum(map(len, self._lanes))

    def put(self, event: DomainEvent) -> None:
        self._inbox.append(event)

    def take(self) -> DomainEvent | None:
        """The next input, or ``None``: the oldest of the most urgent lane that has any."""
        self._sort()
        for number, lane in enumerate(self._lanes):
            if lane:
                event = lane.popleft()
                for key in _keys(event):
                    waiting = self._waiting[key]
                    waiting[number] -= 1
                    if not any(waiting):
                        del self._waiting[key]
                return event
        return None

    def _sort(self) -> None:
        """From the inbox into the lanes."""
        inbox = self._inbox
        while inbox:
            event = inbox.popleft()
            lane = lane_of(event)
            counts = [self._waiting.setdefault(key, [0, 0, 0, 0]) for key in _keys(event)]
            for waiting in counts:
                for slower in range(P3, lane, -1):
                    if waiting[slower]:
                        lane = slower
                        break
            for waiting in counts:
                waiting[lane] += 1
            self._lanes[lane].append(event)

    def depths(self) -> tuple[int, int, int, int]:
        """How many wait in each lane."""
        self._sort()
        p0, p1, p2, p3 = map(len, self._lanes)
        return p0, p1, p2, p3


def _keys(event: DomainEvent) -> tuple[tuple[str, str], ...]:
    """What the event keeps its order by."""
    stream = event.stream
    source = ("source", event.source)
    return (source,) if stream is None else (source, ("stream", stream))
