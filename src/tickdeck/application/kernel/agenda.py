"""What is due when: timers, and whatever else happens at an instant of the run's clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["NEVER", "RANK_OBSERVER", "RANK_TIMER", "RANK_VENUE", "Agenda"]

NEVER = 1 << 63
RANK_TIMER, RANK_VENUE, RANK_OBSERVER = range(3)
"""At one instant timers go first, then the simulated venue, then those who only look."""


class Agenda:
    """A heap of actions by (due, rank, order of creation). ``next_due`` is ``NEVER`` while it is empty."""

    __slots__ = ("_actions", "_created", "_heap", "next_due")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []  # due, rank, number; the first is never a cancelled one
        self._actions: dict[int, Callable[[], None]] = {}  # by number; one that is not here was cancelled
        self._created = 0
        self.next_due: int = NEVER

    @property
    def next(self) -> tuple[int, int]:
        """(due, rank) of the next action."""
        return self._heap[0][:2] if self._heap else (NEVER, RANK_TIMER)

    def at(self, due: int, action: Callable[[], None], rank: int = RANK_VENUE) -> int:
        """Run ``action()`` when the clock reaches ``due`` (ns UTC). Returns a number to cancel it by."""
        self._created += 1
        self._actions[self._created] = action
        heapq.heappush(self._heap, (due, rank, self._created))
        if due < self.next_due:
            self.next_due = due
        return self._created

    def cancel(self, number: int) -> None:
        """Forget an action that has not run. Harmless where it has."""
        if self._actions.pop(number, None) is not None:
            self._prune()

    def pop(self, now: int, *, rank: int | None = None) -> tuple[int, Callable[[], None]] | None:
        """The next action due at or before ``now`` with its time, or ``None``. With ``rank`` entries of other ranks are
        passed over and lost: for the end of a run, when only the venue still has something to say."""
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
