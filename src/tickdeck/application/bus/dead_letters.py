"""Events that an edge could not take: kept, told, and sent again on demand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from tickdeck.domain.events import CommandReceived, DomainEvent, EventDeadLettered, event_from_json

__all__ = ["RESEND", "DeadLetter", "DeadLetters", "dead_letters_on"]

RESEND = "resend"
"""The ``command.received`` that asks to send a dead letter again; its arguments are ``event_id`` and ``handler``."""
_KEPT = 10_000


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that ``handler`` could not take in ``attempts`` tries, and what it raised last."""

    event: DomainEvent
    handler: str
    error: str
    attempts: int = 1


class DeadLetters:
    """The newest 10,000, oldest first; ``forgotten`` counts those that had to go."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, int], DeadLetter] = OrderedDict()
        self._added = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, letter: DeadLetter) -> None:
        self._added += 1
        self._kept[letter.event.event_id, letter.handler, self._added] = letter
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
            self.forgotten += 1

    def remove(self, event_id: str, handler: str) -> None:
        """Forget the letters of an event to a handler: they are sent again."""
        for key in [key for key in self._kept if key[:2] == (event_id, handler)]:
            del self._kept[key]

    def all(self) -> tuple[DeadLetter, ...]:
        return tuple(self._kept.values())


def dead_letters_on(record: Iterable[DomainEvent]) -> tuple[DeadLetter, ...]:
    """The dead letters that a record leaves open: told by ``system.event_dead_lettered``, not sent again since.

    So they outlive the process that could not deliver them.
    """
    letters = DeadLetters()
    for event in record:
        if isinstance(event, EventDeadLettered):
            dead = event_from_json(event.payload_json)
            letters.add(DeadLetter(event=dead, handler=event.handler, error=event.error, attempts=event.attempts))
        elif isinstance(event, CommandReceived) and event.command == RESEND:
            letters.remove(event.arguments.get("event_id", ""), event.arguments.get("handler", ""))
    return letters.all()
