"""The position of a named async handler across processes: every event below this ``seq`` has been handled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from tickdeck.application.bus.topics import Topic
from tickdeck.application.ports import EdgeCursors, TapeQuery
from tickdeck.domain.events import DomainEvent, iter_event_classes

__all__ = ["Cursor"]

_READ = 500  # events at a time, so that reading does not block the event loop for long


class Cursor:
    """The position of one edge, and the events it still has to read from the tape.

    An edge is *behind* while it has to read from the tape: after a restart, or after its mailbox overflowed. It also
    reads events that are published meanwhile from the tape, in order. Once it has read everything, it receives events
    live again.

    - ``present()``: the ``seq`` up to which all events were handed to the edges.
    - ``position()``: the last ``seq`` on the tape. The cursor only passes an event when the tape is durable up to its
      position at the end of the handler, so that what the handler published is durable too.
    - ``now``: where an edge with a new name starts.
    """

    def __init__(
        self,
        name: str,
        store: EdgeCursors,
        *,
        topic: Topic,
        now: int,
        present: Callable[[], int],
        position: Callable[[], int],
        read: Callable[[TapeQuery], Iterator[DomainEvent]],
    ) -> None:
        self._name = name
        self._store = store
        self._types = _types(topic)
        self._present = present
        self._position = position
        self._read = read
        self._handled_before = store.start(name, now)
        self._next: int | None = self._handled_before + 1 if self._handled_before < present() else None
        self._live = True
        self._stopped = False

    @property
    def behind(self) -> bool:
        """True if there is something to read from the tape."""
        return self._next is not None

    def is_behind(self, seq: int) -> bool:
        """Events up to ``seq`` are still to be read."""
        return self._next is not None and self._next <= seq

    def wants(self, seq: int) -> bool:
        """Whether a live event goes into the mailbox. False for an event that was handled before (a resumed run
        dispatches it again), and while the edge is behind."""
        return self._next is None and seq > self._handled_before

    def fall_behind(self, seq: int) -> None:
        """There was no room for the event at ``seq``: read it and its successors from the tape later."""
        self._next = seq

    def present(self) -> int:
        return self._present()

    def read_on(self, upto: int, at_most: int) -> list[DomainEvent]:
        """The next events on the tape, up to ``upto``, which must be durable. Some may not be for this edge."""
        if self._next is None or upto < self._next:
            return []
        limit = min(_READ, at_most)
        query = TapeQuery(first_seq=self._next, last_seq=upto, types=self._types, limit=limit)
        events = list(islice(self._read(query), limit))
        if len(events) == limit:
            self._next = events[-1].seq + 1
        else:
            self._next = None if self._present() == upto else upto + 1
        return events

    def advance(self, seq: int) -> None:
        """Everything up to ``seq`` is handled."""
        if not self._stopped:
            self._store.advance(self._name, seq, self._position())

    def advance_to_present(self, seq: int = 0) -> None:
        """Everything handed to edges so far is handled, including the event at ``seq``."""
        if self._live:
            seq = max(seq, self._present())
        if seq:
            self.advance(seq)

    def continue_at(self, seq: int) -> None:
        """The bus continues after ``seq`` without dispatching what was before: read from the tape what the edge has
        not handled of it."""
        if self._handled_before < seq:
            self._next = self._handled_before + 1

    def stop_reading(self) -> None:
        """The subscription ended. Later events are left for the next subscription with this name."""
        self._next = None
        self._live = False

    def stop(self) -> None:
        """An event could not be handled. It and all later events remain to be handled."""
        self._stopped = True


def _types(topic: Topic) -> tuple[str, ...]:
    if topic is DomainEvent or topic == "*":
        return ()
    if isinstance(topic, str):
        return (topic,)
    return tuple(cls.event_type for cls in iter_event_classes() if issubclass(cls, topic))
