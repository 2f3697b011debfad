"""The waiting inputs: four lanes by priority. Inputs of one source or stream always stay in order."""

from __future__ import annotations

from collections import deque

from tickdeck.domain.events import DomainEvent, Priority

__all__ = ["P0", "P1", "P2", "P3", "Ingress", "lane_of"]

P0, P1, P2, P3 = Priority


def lane_of(event: DomainEvent) -> int:
    """The lane of an event: the ``priority`` that its class declares."""
    return event.priority


class Ingress:
    """The waiting inputs. Not thread-safe, except for ``put``; everything else belongs to the kernel's thread.

    An input never overtakes an earlier one of the same source or stream, whatever their lanes. It waits in the lane of
    its class, or in the slower lane in which such an input still waits.
    """

    def __init__(self) -> None:
        self._inbox: deque[DomainEvent] = deque()  # any thread may put: appending is atomic in the interpreter
        self._lanes: tuple[deque[DomainEvent], ...] = (deque(), deque(), deque(), deque())
        # How many wait in each lane, by ("source", name) and ("stream", key). Only those with waiting inputs.
        self._waiting: dict[tuple[str, str], list[int]] = {}
        self._exact = True  # the counts above hold; Ctrl-C in the middle of a change leaves this False
        self._chosen: int | None = None  # the lane whose first input ``first`` gave
        self._left = 0  # how many that lane holds without it

    def __len__(self) -> int:
        return len(self._inbox) + sum(map(len, self._lanes))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits: half of the cost of the length, and a driver asks after each input."""
        return not self._inbox and not any(self._lanes)

    @property
    def offers(self) -> bool:
        """Whether the input that ``first`` returned is still here."""
        return self._chosen is not None and len(self._lanes[self._chosen]) > self._left

    def put(self, event: DomainEvent) -> None:
        self._inbox.append(event)

    def take(self) -> DomainEvent | None:
        """The oldest input of the most urgent non-empty lane, or ``None``."""
        event = self.first()
        self.remove_first()
        return event

    def first(self) -> DomainEvent | None:
        """The next input. It stays here, and every call returns it, until ``remove_first``."""
        if self._chosen is None:
            self._sort()
            for number, lane in enumerate(self._lanes):
                if lane:
                    self._left = len(lane) - 1
                    self._chosen = number
                    break
            else:
                return None
        return self._lanes[self._chosen][0]

    def remove_first(self) -> None:
        """Remove the input returned by ``first``, if any. After Ctrl-C, call it again: it removes no other."""
        if self._chosen is None:
            return
        lane = self._lanes[self._chosen]
        if len(lane) > self._left:
            exact, self._exact = self._exact, False
            for key in _keys(lane[0]) if exact else ():
                waiting = self._waiting[key]
                waiting[self._chosen] -= 1
                if not any(waiting):
                    del self._waiting[key]
            lane.popleft()
            self._exact = exact
        self._chosen = None

    def _sort(self) -> None:
        """Move inputs from the inbox to the lanes."""
        inbox = self._inbox
        if not inbox:
            return
        if not self._exact:
            self._count_again()
        self._exact = False
        while inbox:
            event = inbox[0]
            lane = lane_of(event)
            counts = [self._waiting.setdefault(key, [0, 0, 0, 0]) for key in _keys(event)]
            for waiting in counts:
                for slower in range(P3, lane, -1):
                    if waiting[slower]:
                        lane = slower
                        break
            for waiting in counts:
                waiting[lane] += 1
            self._lanes[lane].append(inbox.popleft())
        self._exact = True

    def _count_again(self) -> None:
        """Count the inputs in the lanes, after Ctrl-C left the counts wrong."""
        self._waiting = {}
        for number, lane in enumerate(self._lanes):
            for event in lane:
                for key in _keys(event):
                    self._waiting.setdefault(key, [0, 0, 0, 0])[number] += 1
        self._exact = True

    def depths(self) -> tuple[int, int, int, int]:
        """The number of waiting inputs per lane."""
        if self._chosen is None:
            self._sort()
        p0, p1, p2, p3 = map(len, self._lanes)
        return p0, p1, p2, p3


def _keys(event: DomainEvent) -> tuple[tuple[str, str], ...]:
    """The keys that determine the event's order."""
    stream = event.stream
    source = ("source", event.source)
    return (source,) if stream is None else (source, ("stream", stream))
