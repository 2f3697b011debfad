"""The tape as a replay log: it forgets nothing, and outlives the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tickdeck.application.ports import Tape, TapeQuery
from tickdeck.application.streaming.replay_log import EventTest, check_count
from tickdeck.domain.events import DomainEvent

__all__ = ["TapeReplayLog"]

_FIRST_LOOK = 256  # positions at the end of the tape that are looked at first; then twice as many, and so on


class TapeReplayLog:
    """A ``ReplayLog`` of what is on a tape. Market data that a run takes from files is not: its tape has holes there.

    Each call first waits until what was appended is on disk, so it blocks for as long as one commit takes. Raises
    ``TapeError`` where the tape cannot be written or read.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    @property
    def in_step(self) -> bool:
        """False: a cascade goes on the tape when it is over."""
        return False

    @property
    def forgotten_seq(self) -> int:
        return 0

    def last(self, count: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> list[DomainEvent]:
        """See ``ReplayLog.last``. Reads from the end of the tape, no more than about twice of what it needs."""
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
        """See ``ReplayLog.since``. Lazy: events are read as they are asked for."""
        check_count("seq", seq)
        query = TapeQuery(first_seq=seq + 1, last_seq=self._durable_end(), types=types)
        events = self._tape.read(query)
        return events if where is None else filter(where, events)

    def _durable_end(self) -> int:
        end = self._tape.last_seq
        self._tape.wait_durable(end)
        return end
