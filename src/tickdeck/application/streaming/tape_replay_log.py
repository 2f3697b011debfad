"""The tape as a replay log: it forgets nothing and outlives the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tickdeck.application.ports import Tape, TapeQuery
from tickdeck.application.streaming.replay_log import EventTest, check_count
from tickdeck.domain.events import DomainEvent

__all__ = ["TapeReplayLog"]

_FIRST_LOOK = 256  # entries at the end of the tape to look at first; doubled until there are enough


class TapeReplayLog:
    """A ``ReplayLog`` of the events on a tape. Market data that a run reads from files is not on the tape.

    Each call first waits until everything appended is on disk, so it blocks for up to one commit. Raises ``TapeError``
    if the tape cannot be written or read.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    @property
    def in_step(self) -> bool:
        """False: a cascade is on the tape only when it is over."""
        return False

    @property
    def forgotten_seq(self) -> int:
        return 0

    def last(self, count: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> list[DomainEvent]:
        """See ``ReplayLog.last``. Reads backwards from the end, at most about twice as much as it needs."""
        check_count("count", count)
        end = self._durable_end()
        size = max(count, _FIRST_LOOK)
        found: deque[DomainEvent] = deque()
        while end > 0 and len(found) < count:
            query = TapeQuery(first_seq=max(end - size + 1, 1), last_seq=end, types=types)
            found.extendleft(reversed(deque(filter(where, self._tape.read(query)), maxlen=count - len(found))))
            end -= size
            size *= 2
        return list(found)

    def since(self, seq: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> Iterator[DomainEvent]:
        """See ``ReplayLog.since``. Lazy: events are read when you ask for them."""
        check_count("seq", seq)
        query = TapeQuery(first_seq=seq + 1, last_seq=self._durable_end(), types=types)
        events = self._tape.read(query)
        return events if where is None else filter(where, events)

    def _durable_end(self) -> int:
        end = self._tape.last_seq
        self._tape.wait_durable(end)
        return end
