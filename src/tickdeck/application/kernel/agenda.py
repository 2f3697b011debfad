"""The agenda: timers, and everything else that happens at a time of the run's clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["NEVER", "RANK_OBSERVER", "RANK_TIMER", "RANK_VENUE", "Agenda"]

NEVER = 1 << 63
RANK_TIMER, RANK_VENUE, RANK_OBSERVER = range(3)
"""At one instant, timers come first, then the simulated venue, then observers."""


_FEW = 64
"""A heap of at most this size is never rebuilt."""


class Agenda:
    """A heap of actions by (due, rank, order of creation). ``next_due`` is ``NEVER`` while it is empty.

    The entry of a cancelled action stays in the heap until it reaches the top or until half of the heap is cancelled;
    then the heap is rebuilt. So the heap has at most twice as many entries as there are actions, and a cancel takes
    constant time on average.
    """

    __slots__ = ("_actions", "_created", "_heap", "next_due")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []  # due, rank, number; the first is never a cancelled one
        self._actions: dict[int, Callable[[], None]] = {}  # by number, without the cancelled ones
        self._created = 0
        self.next_due: int = NEVER

    def __len__(self) -> int:
        """The number of pending actions."""
        return len(self._actions)

    @property
    def size(self) -> int:
        """The number of heap entries, including cancelled ones."""
        return len(self._heap)

    @property
    def next(self) -> tuple[int, int]:
        """(due, rank) of the next action."""
        return self._heap[0][:2] if self._heap else (NEVER, RANK_TIMER)

    def at(self, due: int, action: Callable[[], None], rank: int = RANK_VENUE) -> int:
        """Run ``action()`` when the clock reaches ``due`` (ns UTC). Returns a number for ``cancel``."""
        self._created += 1
        self._actions[self._created] = action
        heapq.heappush(self._heap, (due, rank, self._created))
        if due < self.next_due:
            self.next_due = due
        return self._created

    def cancel(self, number: int) -> None:
        """Cancel a pending action. Does nothing if it has run."""
        if self._actions.pop(number, None) is None:
            return
        if len(self._heap) > max(2 * len(self._actions), _FEW):
            self._heap = [entry for entry in self._heap if entry[2] in self._actions]
            heapq.heapify(self._heap)
        self._prune()

    def pop(self, now: int, *, rank: int | None = None) -> tuple[int, Callable[[], None]] | None:
        """Remove and return the next action due at or before ``now`` with its time, or ``None``. With ``rank``, entries
        of other ranks are skipped and lost: for the end of a run, when only the venue still has reports."""
        while self.next_due <= now:
            due, own, number = heapq.heappop(self._heap)
            action = self._actions.pop(number)
            self._prune()
            if rank in (None, own):
                return due, action
        return None

    def _prune(self) -> None:
        heap = self._heap
        while heap and heap[0][2] not in self._actions:
            heapq.heappop(heap)
        self.next_due = heap[0][0] if heap else NEVER
