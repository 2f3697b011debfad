"""Where inputs wait: four lanes, taken by priority, and never two inputs of one source out of order."""

from __future__ import annotations

from collections import deque

from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    MarketEvent,
    VenueFillReported,
)

__all__ = ["P0", "P1", "P2", "P3", "Ingress", "lane_of"]

P0, P1, P2, P3 = range(4)
"""P0: fills and risk breaches; P1: order reports and commands; P2: market data; P3: metrics and logs."""


def lane_of(event: DomainEvent) -> int:
    """The lane that an event's type belongs to."""
    if isinstance(event, MarketEvent):
        return P2
    if isinstance(event, VenueFillReported) or event.event_type.startswith("risk."):
        return P0
    if isinstance(event, CommandReceived) or event.event_type.startswith(("venue.", "order.", "timer.", "run.")):
        return P1
    return P3


class Ingress:
    """The waiting inputs. Not thread-safe: it belongs to the kernel's thread.

    An input never overtakes an earlier one of the same source, whatever their lanes: it waits in the lane of its
    type, or in the (slower) lane in which an input of its source still waits.
    """

    def __init__(self) -> None:
        self._inbox: deque[DomainEvent] = deque()  # put by any thread: appending is one step for the interpreter
        self._lanes: tuple[deque[DomainEvent], ...] = (deque(), deque(), deque(), deque())
        self._tails: dict[str, list[int]] = {}  # source -> how many wait in each lane

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
                self._tails[event.source][number] -= 1
                return event
        return None

    def _sort(self) -> None:
        """From the inbox into the lanes."""
        inbox = self._inbox
        while inbox:
            event = inbox.popleft()
            waiting = self._tails.get(event.source)
            if waiting is None:
                waiting = self._tails[event.source] = [0, 0, 0, 0]
            lane = lane_of(event)
            for slower in range(P3, lane, -1):
                if waiting[slower]:
                    lane = slower
                    break
            waiting[lane] += 1
            self._lanes[lane].append(event)

    def depths(self) -> tuple[int, int, int, int]:
        """How many wait in each lane."""
        self._sort()
        p0, p1, p2, p3 = map(len, self._lanes)
        return p0, p1, p2, p3
